package entry

import (
	"bytes"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Held keeps entries in their order, with the attachments that come for them. It
// copies what it is given, and does not allocate in the long run. It is for one
// goroutine.
type Held struct {
	slots []slot // a ring
	head  int
	n     int
	bytes int

	list []spool.Attachment // what Pop returns
}

// slot is an entry that is held.
type slot struct {
	entry spool.Entry // its Data is text[:size]
	size  int
	key   ipe.Key // of its record, with keyed
	keyed bool
	host  []byte // of an imported one
	boot  []byte

	text        []byte // the data, and those of the attachments
	attachments []piece

	ended    bool // its TypeEOE was attached
	asked    bool // what /proc said was attached
	released bool // waits for nothing any more
}

// piece is an attachment within slot.text.
type piece struct {
	typ        uint16
	start, end int
}

// Len returns how many entries are held.
func (h *Held) Len() int { return h.n }

// Complete reports whether the first entry needs not wait: for what can have no
// companions, has them all, or has waited too long. There must be one.
func (h *Held) Complete() bool {
	s := h.first()
	return s.released || s.ended || h.full()
}

// full reports whether the first entry has to go.
func (h *Held) full() bool { return h.n >= maxHeld || h.bytes >= maxHeldBytes }

func (h *Held) at(i int) *slot { return &h.slots[(h.head+i)%len(h.slots)] }

func (h *Held) first() *slot { return h.at(0) }

// epoch returns the id of the spool that the last entry is of.
func (h *Held) epoch() spool.ID { return h.at(h.n - 1).entry.ID }

// Push holds e as the last entry. With released, it waits for nothing.
func (h *Held) Push(e *spool.Entry, released bool) {
	if h.n == len(h.slots) {
		grown := make([]slot, max(16, 2*h.n))
		for i := range h.n {
			grown[i] = *h.at(i)
		}
		h.slots, h.head = grown, 0
	}
	h.n++
	s := h.at(h.n - 1)
	text, pieces := append(s.text[:0], e.Data...), s.attachments[:0]
	*s = slot{entry: *e, size: len(e.Data), text: text, attachments: pieces, released: released}
	if !released {
		data := text
		if im, ok := ParseImported(data); e.Type == TypeImported && ok {
			data, s.host, s.boot = im.Data, im.Host, im.BootID
		}
		s.key, s.keyed = ipe.KeyOf(data)
	}
	h.bytes += len(text)
}

// Attach attaches a record to every entry that has its stamp and serial, host and
// boot, and reports whether there is any.
func (h *Held) Attach(im *Imported) (found bool) {
	key, ok := ipe.KeyOf(im.Data)
	if !ok {
		return false
	}
	for i := h.n - 1; i >= 0; i-- {
		s := h.at(i)
		if s.keyed && s.key == key && bytes.Equal(s.host, im.Host) && bytes.Equal(s.boot, im.BootID) {
			h.attach(s, im.Type, im.Data)
			found = true
		}
	}
	return found
}

// attachEntry attaches an attachment that stands in the spool.
func (h *Held) attachEntry(e *spool.Entry) {
	if h.Attach(&Imported{Type: e.Type, Data: e.Data}) || e.Event == 0 {
		return
	}
	for i := h.n - 1; i >= 0; i-- {
		if s := h.at(i); s.entry.Seq == e.Event && s.entry.ID == e.ID {
			h.attach(s, e.Type, e.Data)
			return
		}
	}
}

func (h *Held) attach(s *slot, typ uint16, data []byte) {
	switch typ {
	case ipe.TypeEOE:
		s.ended = true
		return
	case TypeProcess:
		s.asked = true
	}
	start := len(s.text)
	s.text = append(s.text, data...)
	s.attachments = append(s.attachments, piece{typ, start, len(s.text)})
	h.bytes += len(data)
}

// ReleaseAll lets everything that is held wait for nothing any more.
func (h *Held) ReleaseAll() {
	for i := range h.n {
		h.at(i).released = true
	}
}

// Pop returns the first entry with its attachments. They live until the next Push
// or Pop.
func (h *Held) Pop() *spool.Entry {
	s := h.first()
	h.head, h.n = (h.head+1)%len(h.slots), h.n-1
	h.bytes -= len(s.text)
	h.list = h.list[:0]
	for _, p := range s.attachments {
		h.list = append(h.list, spool.Attachment{Type: p.typ, Data: s.text[p.start:p.end:p.end]})
	}
	s.entry.Data = s.text[:s.size:s.size]
	s.entry.Attachments = slices.Clip(h.list)
	return &s.entry
}

// Clear drops everything that is held.
func (h *Held) Clear() { h.n, h.bytes = 0, 0 }

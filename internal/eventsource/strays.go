package eventsource

import (
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxStrays is how many companions are kept for accesses that come behind them.
const maxStrays = 256

// strays keeps the newest companions that came before anything they belong to, as
// in what journalctl -r prints. The kernel sends them behind it.
type strays struct {
	list []stray // a ring
	next int
}

type stray struct {
	key  ipe.Key
	data []byte // as entry.AppendImported makes it
}

// keep keeps a companion.
func (s *strays) keep(im *entry.Imported) {
	key, ok := ipe.KeyOf(im.Data)
	if !ok {
		return
	}
	if len(s.list) < maxStrays {
		s.list = append(s.list, stray{})
	}
	at := &s.list[s.next%maxStrays]
	s.next++
	at.key, at.data = key, entry.AppendImported(at.data[:0], im)
}

// claim attaches what belongs to the access im, which is held.
func (s *strays) claim(im *entry.Imported, held *entry.Held) {
	key, ok := ipe.KeyOf(im.Data)
	if !ok {
		return
	}
	for i := range s.list {
		if at := &s.list[i]; at.key == key && len(at.data) > 0 {
			if c, ok := entry.ParseImported(at.data); ok && c.Type != ipe.TypeEOE {
				held.Attach(&c) // and not its end: a second access may follow
			}
		}
	}
}

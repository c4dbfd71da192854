package history

import (
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Event is one event of the past. Its slices live until the next event is read.
type Event struct {
	ipe.Event

	// At is the identity of the event. It is zero for what has none: records
	// from logs and captures, and losses that only the reader is told. A
	// "repeated" has an id, that of the entries it counts, and no number.
	At spool.Cursor

	// Skipped is how many entries the source leaves out between the event before
	// and this one, by their sequence numbers. It is negative for a "repeated",
	// which stands for entries that were left out.
	Skipped int64

	// InForce is what is known to be in force after the event, concluded from
	// those before. The ActivePolicy of an access that does not say its own is
	// from there.
	InForce inforce.State

	Host   []byte // name of the host; nil when not known
	BootID []byte // as the kernel writes it; nil when not known
}

// identify makes ev the event that id names.
func (ev *Event) identify(id *format.Identity) {
	ev.At = spool.Cursor{ID: spool.ID(id.Spool), Seq: id.Seq}
	ev.Host, ev.BootID = id.Host, id.BootID
}

// Reset makes ev the zero Event but keeps the capacity of its lists.
func (ev *Event) Reset() {
	ev.Event.Reset()
	*ev = Event{Event: ev.Event}
}

// place follows the identities of the events of one source.
type place struct {
	last map[spool.ID]uint64 // sequence number of the newest event, by id
	from spool.Cursor        // of the first event
	at   spool.Cursor        // of the event before
	told uint64              // last entry of a loss that was told since, of whatever id
}

// take puts ev in its place: it fills in Skipped. It reports false when ev was
// there already.
func (p *place) take(ev *Event) bool {
	if ev.Kind == ipe.KindLost && ev.At.Seq == 0 && ev.Has&ipe.HasSeqRange != 0 {
		p.told = ev.LastSeq // missing, but not left out
		return true
	}
	if ev.Kind == ipe.KindRepeated && p.counted(ev) {
		ev.Skipped = -int64(min(ev.Count, ev.LastSeq-ev.FirstSeq+1))
	}
	if ev.At.Seq == 0 {
		return true
	}
	if p.from.ID == 0 {
		p.from = ev.At
	}
	if ev.At.Seq <= p.last[ev.At.ID] {
		return false
	}
	before := p.told // an id begins with 1
	if p.at.ID == ev.At.ID {
		before = max(before, p.at.Seq)
	}
	if p.at.ID != 0 && ev.At.Seq > before {
		ev.Skipped = int64(ev.At.Seq - before - 1)
	}
	p.told = 0
	if p.last == nil {
		p.last = make(map[spool.ID]uint64)
	}
	if p.last[ev.At.ID] == 0 && len(p.last) >= maxIDs {
		clear(p.last)
	}
	p.last[ev.At.ID], p.at = ev.At.Seq, ev.At
	return true
}

// counted reports whether the entries that a "repeated" has counted lie behind
// the first event of the source, so that each was missed there, or will be.
func (p *place) counted(ev *Event) bool {
	return ev.At.ID == p.at.ID && ev.FirstSeq <= ev.LastSeq && (p.from.ID != ev.At.ID || p.from.Seq < ev.FirstSeq)
}

// maxIDs bounds how many ids are remembered. A spool draws a few in its life.
const maxIDs = 10_000

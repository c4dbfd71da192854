package eventsource

import (
	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
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

	// PrevSeq is the number of the event that the same reader was given before,
	// with Partial; 0: none since it began. Partial says that it was given only
	// some events.
	PrevSeq uint64
	Partial bool

	// InForce is what is known to be in force after the event, concluded from
	// those of the same boot before it. The ActivePolicy of an access that does
	// not say its own is from there.
	InForce activepolicy.State

	// Hole says that the entry before is missing, by the sequence numbers, or
	// that it is not known whether it is.
	Hole bool

	Host   []byte // name of the host; nil when not known
	BootID []byte // as the kernel writes it; nil when not known

	// On is the host. All events of one host come one behind the other, and
	// have the same On.
	On *Host

	boot    *boot
	numbers *numbers // nil for what has no number
}

// Elsewhere reports whether the host is known to be another one than that of this
// name.
func (h *Host) Elsewhere(name string) bool {
	return h != nil && h.Name != nil && name != "" && string(h.Name) != name
}

// Elsewhere reports whether the event is known to be of another host than the one
// of that name.
func (ev *Event) Elsewhere(host string) bool {
	return ev.Host != nil && host != "" && string(ev.Host) != host
}

// identify makes ev the event that id names.
func (ev *Event) identify(id *format.Identity) {
	ev.At = spool.Cursor{ID: spool.ID(id.Spool), Seq: id.Seq}
	ev.Host, ev.BootID = id.Host, id.BootID
	ev.PrevSeq, ev.Partial = id.PrevSeq, id.Partial
}

// Reset makes ev the zero Event but keeps the capacity of its lists.
func (ev *Event) Reset() {
	ev.Event.Reset()
	*ev = Event{Event: ev.Event}
}

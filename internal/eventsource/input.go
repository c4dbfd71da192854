package eventsource

import (
	"errors"
	"io"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// pause is how long an input may be silent before an access that could have
// companions is given without them. A plain file never is.
const pause = 100 * time.Millisecond

// Input reads the records of IPE and the events in JSON of one input as entries of
// [entry.TypeImported], each with its companions, in the order of the input. One
// goroutine at a time may use it.
type Input struct {
	// Forged and Truncated are how many records were not the kernel's, and how many
	// of IPE, or left out, lack their end.
	Forged, Truncated uint64

	in     *input.Reader
	record input.Record
	waits  bool  // record has not been looked at
	paused bool  // whoever writes paused behind all that is held
	err    error // that ended the input

	held   entry.Held // what waits for companions, and what is behind that
	strays strays     // companions that came before anything they belong to
	direct spool.Entry
	data   []byte

	parser format.Parser
	parsed bool // event and id are the entry that was returned last
	event  ipe.Event
	id     format.Identity

	own         bool   // tell forged and omitted records as events
	omitted     uint64 // messages that journalctl left out as too long, not yet told
	forged      uint64 // not yet told
	forgedSince int64  // when the first of them came, monotonic nanoseconds
}

// NewInput returns the entries of r. Nothing is read before the first Next.
func NewInput(r io.Reader) *Input { return &Input{in: input.NewReader(r)} }

// Next returns the next entry, which lives until the next call. Errors are those of
// [Records.Next].
func (r *Input) Next() (*spool.Entry, error) {
	r.parsed = false
	for {
		over := r.err != nil
		if r.held.Len() > 0 {
			// One pause is enough for all that is held: it is no reason to wait as long
			// for each of them.
			r.paused = r.paused || !over && !r.held.Complete() && !r.waits && r.in.Pauses(pause)
			if over || r.paused || r.held.Complete() {
				return r.held.Pop(), nil
			}
		}
		switch {
		// At most one event for each second of the capture.
		case r.own && r.forged > 0 && (over || r.waits && r.record.Monotonic-r.forgedSince >= int64(time.Second)):
			r.tell(losses.Forged, &r.forged)
			continue
		case r.own && over && r.omitted > 0:
			r.tell(losses.Truncated, &r.omitted)
			continue
		case over:
			return nil, r.err
		case !r.waits:
			r.err = r.in.Next(&r.record)
			r.waits, r.paused = r.err == nil, false
			continue
		}
		r.waits = false
		if e := r.take(); e != nil {
			return e, nil
		}
	}
}

// take looks at the record. It returns it where it is something that needs not be
// held.
func (r *Input) take() *spool.Entry {
	record := &r.record
	im := entry.Imported{Type: record.Type, Cut: record.Truncated, Host: record.Host, BootID: record.BootID, Data: record.Text}
	switch {
	case record.Event:
		im.Type = entry.TypeInternal
		if errors.Is(r.parse(&r.event, &r.id, record.Text), format.ErrForeign) {
			r.in.Reject(record)
			return nil
		}
		r.parsed = r.held.Len() == 0
	case record.Forged:
		r.Forged++
		if r.forged == 0 {
			r.forgedSince = record.Monotonic
		}
		r.forged++
		return nil
	case record.Type == 0:
		return nil // no type of the kernel's
	case ipe.IsCompanion(record.Type):
		if !r.held.Attach(&im) {
			r.strays.keep(&im)
		}
		return nil
	default:
		class := ipe.Classify(record.Type, record.Text)
		if record.Truncated && (class == ipe.ClassIPE || class == ipe.ClassEmpty) {
			r.Truncated++
		}
		if class == ipe.ClassEmpty && record.Truncated {
			r.omitted++
		}
		if class != ipe.ClassIPE {
			r.in.Reject(record)
			return nil
		}
	}
	return r.hold(&im)
}

// hold holds what im is, or returns it if that can have no companions and nothing
// is before it.
func (r *Input) hold(im *entry.Imported) *spool.Entry {
	r.data = entry.AppendImported(r.data[:0], im)
	r.direct = spool.Entry{Type: entry.TypeImported, Data: r.data}
	if r.held.Len() == 0 && im.Type != ipe.TypeAccess {
		return &r.direct
	}
	r.held.Push(&r.direct, im.Type != ipe.TypeAccess)
	if im.Type == ipe.TypeAccess {
		r.strays.claim(im, &r.held)
	}
	return nil
}

// parse makes ev and id an event in JSON, or one that is unparsed.
func (r *Input) parse(ev *ipe.Event, id *format.Identity, line []byte) error {
	err := r.parser.Parse(ev, id, line)
	if errors.Is(err, format.ErrUnreadable) {
		ev.Raw = line
	}
	return err
}

// tell holds an event of ours about n records, and makes n 0.
func (r *Input) tell(account losses.Stage, n *uint64) {
	ev := account.Event(losses.Loss{Count: *n, Accuracy: ipe.AccuracyExact})
	*n = 0
	line := format.AppendJSON(nil, &ev, new(format.Context))
	r.data = entry.AppendImported(r.data[:0], &entry.Imported{Type: entry.TypeInternal, Data: line})
	r.held.Push(&spool.Entry{Type: entry.TypeImported, Data: r.data}, true)
}

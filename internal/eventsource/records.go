package eventsource

import (
	"errors"
	"io"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Records turns the records of one input into events: those of IPE, events of ours
// in JSON, and events about forged and omitted records. Other records are passed
// over.
type Records struct {
	in      *input.Reader
	record  input.Record
	waits   bool // record has not been looked at
	decoder ipe.Decoder
	parser  format.Parser
	err     error // that ended the input

	omitted     uint64 // messages that journalctl left out as too long
	forged      uint64 // not yet told
	forgedSince int64  // when the first of them came, monotonic nanoseconds
}

// NewRecords returns the events of r.
func NewRecords(r io.Reader) *Records { return &Records{in: input.NewReader(r)} }

// Next reads the next event, and what the input says of its identity, host and
// boot. They live until the next call. It returns io.EOF at the end if everything
// was read, an [*input.UnreadError] if not, and other errors where the input
// cannot be read on; everything before that was returned. A line that may have
// been an event of ours, but cannot be read, is of KindUnparsed.
func (r *Records) Next(ev *ipe.Event, id *format.Identity) error {
	*id = format.Identity{}
	for {
		over := r.err != nil
		switch {
		// At most one event for each second of the capture.
		case r.forged > 0 && (over || r.waits && r.record.Monotonic-r.forgedSince >= int64(time.Second)):
			tell(ev, losses.Forged, &r.forged)
			return nil
		case over && r.omitted > 0:
			tell(ev, losses.Truncated, &r.omitted)
			return nil
		case over:
			return r.err
		case !r.waits:
			r.err = r.in.Next(&r.record)
			r.waits = r.err == nil
			continue
		}
		r.waits = false
		if r.decode(ev, id) {
			return nil
		}
	}
}

// decode makes ev and id of the record and reports whether it is an event.
func (r *Records) decode(ev *ipe.Event, id *format.Identity) bool {
	record := &r.record
	switch {
	case record.Event:
		switch err := r.parser.Parse(ev, id, record.Text); {
		case errors.Is(err, format.ErrUnreadable):
			ev.Raw = record.Text
		case err != nil:
			r.in.Reject(record)
			return false
		}
		return true
	case record.Forged:
		if r.forged == 0 {
			r.forgedSince = record.Monotonic
		}
		r.forged++
		return false
	case record.Type == 0:
		return false // no type of the kernel's
	}
	id.Host, id.BootID = record.Host, record.BootID
	switch class := r.decoder.Decode(ev, record.Type, record.Text); {
	case class == ipe.ClassEmpty && record.Truncated:
		r.omitted++
		return false
	case class != ipe.ClassIPE:
		r.in.Reject(record)
		return false
	case record.Truncated:
		entry.MakeUnparsed(ev)
	}
	return true
}

// tell makes ev an event of ours about n records, and n 0.
func tell(ev *ipe.Event, account losses.Stage, n *uint64) {
	*ev = account.Event(losses.Loss{Count: *n, Accuracy: ipe.AccuracyExact})
	*n = 0
}

// file is a source that reads one file.
type file struct {
	name    string
	closer  io.Closer // nil for stdin
	records *Records
}

func (f *file) next(ev *Event) error {
	ev.Reset()
	var id format.Identity
	if err := f.records.Next(&ev.Event, &id); err != nil {
		var unread *input.UnreadError
		if errors.As(err, &unread) {
			unread.Source = f.name
		}
		return err
	}
	ev.identify(&id)
	return nil
}

func (f *file) close() {
	if f.closer != nil {
		f.closer.Close()
	}
}

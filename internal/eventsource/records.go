package eventsource

import (
	"errors"
	"io"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Records turns the records of one input into events: those of IPE, with what their
// companions say, events of ours in JSON, and events about forged and omitted
// records. Other records are passed over.
type Records struct {
	in      *Input
	decoder ipe.Decoder
}

// NewRecords returns the events of r.
func NewRecords(r io.Reader) *Records {
	in := NewInput(r)
	in.own = true
	return &Records{in: in}
}

// Next reads the next event, and what the input says of its identity, host and
// boot. They live until the next call. It returns io.EOF at the end if everything
// was read, an [*input.UnreadError] if not, and other errors where the input
// cannot be read on; everything before that was returned. A line that may have
// been an event of ours, but cannot be read, is of KindUnparsed.
//
// The order is that of the input. An access is given once its companions were read,
// behind 4096 other events, or where an input that somebody writes pauses.
func (r *Records) Next(ev *ipe.Event, id *format.Identity) error {
	e, err := r.in.Next()
	if err != nil {
		*id = format.Identity{}
		return err
	}
	if r.in.parsed {
		*ev, r.in.event = r.in.event, *ev
		*id = r.in.id
		return nil
	}
	im, _ := entry.ParseImported(e.Data)
	if im.Type == entry.TypeInternal {
		_ = r.in.parse(ev, id, im.Data)
		return nil
	}
	*id = format.Identity{Host: im.Host, BootID: im.BootID}
	r.decoder.Decode(ev, im.Type, im.Data)
	if im.Cut {
		entry.MakeUnparsed(ev)
		return nil
	}
	for i := range e.Attachments {
		r.decoder.Join(ev, e.Attachments[i].Type, e.Attachments[i].Data)
	}
	return nil
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

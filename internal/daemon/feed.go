package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// feedBatch is how many records of an input are appended at once. It is not in a
// hurry, as somebody who reads from a file has them all.
const feedBatch = 512

// feeder moves records from an input to the spool. It waits for the sinks
// instead of giving up entries.
type feeder struct {
	spool     *spool.Spool
	annotator *activepolicy.Annotator
	policies  *activepolicy.Table
	save      func() // policies
	records   []spool.Record
	text      []byte // of records; the input reuses its own
	now       int64  // when the first of records was read
	events    int    // in records
	batch     int    // of events that are appended at once
}

// errInterrupted says that a signal came before the end of the input.
var errInterrupted = errors.New("stopped before the end of the input")

// feed brings the whole input into the spool, unless ctx or the time for the run
// ends before. Then it does not wait for a read of the input, which cannot be
// called off; what that returns is not taken any more.
func (d *daemon) feed(ctx context.Context) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	var expired <-chan time.Time
	if !d.deadline.IsZero() {
		timer := time.NewTimer(time.Until(d.deadline))
		defer timer.Stop()
		expired = timer.C
	}
	fed := make(chan error, 1)
	go func() { fed <- d.read(reading) }()
	for {
		select {
		case err := <-fed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", d.InputName, errInterrupted)
		case <-expired:
			return fmt.Errorf("%s: not everything could be read in %v", d.InputName, d.Timeout)
		case <-d.Hangup:
			d.reload(ctx)
		}
	}
}

// read reads the whole input. Everything before a damage gets into the spool.
func (d *daemon) read(ctx context.Context) error {
	f := feeder{spool: d.spool, annotator: d.annotator, policies: d.policies, save: func() { d.savePolicyTable(false) }, batch: feedBatch}
	if input.Live(d.Input) {
		f.batch = 1 // whoever writes it may pause
	}
	in := eventsource.NewInput(d.Input)
	for {
		e, err := in.Next()
		if err != nil {
			if flushErr := f.flush(ctx); flushErr != nil {
				return flushErr
			}
			d.emitInputLoss(losses.Forged, in.Forged)
			d.emitInputLoss(losses.Truncated, in.Truncated)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("%s: %w", d.InputName, err)
		}
		if err := f.add(ctx, e); err != nil {
			return err
		}
	}
}

// emitInputLoss says that n records of the input were not to be trusted, or not
// whole.
func (d *daemon) emitInputLoss(a losses.Stage, n uint64) {
	if n == 0 {
		return
	}
	ev := a.Event(losses.Loss{Count: n, Accuracy: ipe.AccuracyExact})
	d.emitter.emit(&ev)
	d.logLoss(&ev)
}

// add copies an entry of the input into the batch, with its companions behind it.
func (f *feeder) add(ctx context.Context, e *spool.Entry) error {
	if len(f.records) == 0 {
		f.now = time.Now().UnixNano()
	}
	f.records = append(f.records, spool.Record{Type: e.Type, Time: f.now, Data: f.keep(e.Data)})
	f.events++
	for i := range e.Attachments {
		a := &e.Attachments[i]
		f.records = append(f.records, spool.Record{Type: a.Type, Time: f.now, Data: f.keep(a.Data), Attachment: true})
	}
	if f.events < f.batch {
		return nil
	}
	return f.flush(ctx)
}

// keep returns a copy that lives until the next flush.
func (f *feeder) keep(text []byte) []byte {
	start := len(f.text)
	f.text = append(f.text, text...)
	return f.text[start:len(f.text):len(f.text)]
}

// flush appends the batch.
func (f *feeder) flush(ctx context.Context) error {
	for i := range f.records {
		if f.records[i].Attachment {
			continue
		}
		f.annotator.Annotate(f.records[i : i+1])
		select {
		case <-f.policies.Changed():
			f.save() // at once, so that the next policy gets its number
		default:
		}
	}
	_, err := f.spool.AppendWait(ctx, f.records)
	f.records, f.text, f.events = f.records[:0], f.text[:0], 0
	if err != nil {
		return fmt.Errorf("append to the spool: %w", err)
	}
	return nil
}

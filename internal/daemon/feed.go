package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
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
	f := feeder{spool: d.spool, annotator: d.annotator, policies: d.policies, save: func() { d.savePolicyTable(false) }, records: make([]spool.Record, 0, feedBatch)}
	if input.Live(d.Input) {
		f.records = make([]spool.Record, 0, 1) // whoever writes it may pause
	}
	r := input.NewReader(d.Input)
	var record input.Record
	var lines format.Parser
	var event ipe.Event
	var id format.Identity
	var forged, truncated uint64
	for {
		err := r.Next(&record)
		if err != nil {
			if flushErr := f.flush(ctx); flushErr != nil {
				return flushErr
			}
			d.emitInputLoss(losses.Forged, forged)
			d.emitInputLoss(losses.Truncated, truncated)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("%s: %w", d.InputName, err)
		}
		if record.Forged {
			forged++
			continue
		}
		class := ipe.ClassForeign
		if record.Event {
			if !errors.Is(lines.Parse(&event, &id, record.Text), format.ErrForeign) {
				class = ipe.ClassIPE // if only one that cannot be read
			}
		} else {
			class = ipe.Classify(record.Type, record.Text)
		}
		if record.Truncated && (class == ipe.ClassIPE || class == ipe.ClassEmpty) {
			truncated++
		}
		if class != ipe.ClassIPE {
			r.Reject(&record)
			continue
		}
		if err := f.add(ctx, &record); err != nil {
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

// add copies a record, or an event in JSON, into the batch, with what the input says
// of its origin.
func (f *feeder) add(ctx context.Context, r *input.Record) error {
	if len(f.records) == 0 {
		f.now = time.Now().UnixNano()
	}
	im := entry.Imported{Type: r.Type, Cut: r.Truncated, Host: r.Host, BootID: r.BootID, Data: r.Text}
	if r.Event {
		im.Type = entry.TypeInternal
	}
	start := len(f.text)
	f.text = entry.AppendImported(f.text, &im)
	f.records = append(f.records, spool.Record{Type: entry.TypeImported, Time: f.now, Data: f.text[start:len(f.text):len(f.text)]})
	if len(f.records) < cap(f.records) {
		return nil
	}
	return f.flush(ctx)
}

// flush appends the batch.
func (f *feeder) flush(ctx context.Context) error {
	for i := range f.records {
		f.annotator.Annotate(f.records[i : i+1])
		select {
		case <-f.policies.Changed():
			f.save() // at once, so that the next policy gets its number
		default:
		}
	}
	_, err := f.spool.AppendWait(ctx, f.records)
	f.records, f.text = f.records[:0], f.text[:0]
	if err != nil {
		return fmt.Errorf("append to the spool: %w", err)
	}
	return nil
}

package sink

import (
	"context"
	"errors"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxWindows bounds the memory of what a runner counts, in bytes.
const maxWindows = 4 << 20

// errWindow says that a window has ended.
var errWindow = errors.New("a window has ended")

// coalesce counts the event of e if another one of its kind was written a short
// time ago, and reports whether it did.
func (r *Runner) coalesce(ctx context.Context, e *spool.Entry) (counted bool, err error) {
	if r.windows == nil {
		return false, nil
	}
	if c, ok := r.config.Sink.(Causer); ok && c.Caused(&r.event) {
		return false, nil
	}
	counted, early, err := r.windows.Add(ctx, e, &r.event, &r.context.Identity)
	r.batch.counts.EarlyFlushes += early
	if counted && err == nil {
		r.batch.counts.Coalesced++
	}
	return counted, err
}

// writeRepeated writes what a window has counted. What the context says of the
// event that is handled meanwhile stays.
func (r *Runner) writeRepeated(ctx context.Context, ev *ipe.Event, id *format.Identity) error {
	handled, received := r.context.Identity, r.context.Received
	r.context.Identity, r.context.Received = *id, 0
	r.batch.told++
	err := r.write(ctx, ev)
	r.context.Identity, r.context.Received = handled, received
	return err
}

// tellDue closes the windows that have ended, as far as the batch has room.
func (r *Runner) tellDue(ctx context.Context) error {
	if r.windows == nil {
		return nil
	}
	for now := time.Now(); r.windows.Due(now) && r.room(); {
		if err := r.windows.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tellAll closes all windows, as far as the batch has room unless the runner
// halts, and reports whether none is left.
func (r *Runner) tellAll(ctx context.Context) (all bool, err error) {
	if r.windows == nil {
		return true, nil
	}
	for !r.windows.Empty() {
		if !r.room() && r.halting.Err() == nil {
			return false, nil
		}
		if err := r.windows.Close(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// untilEnd returns a context that ends with the next window, too.
func (r *Runner) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.windows != nil {
		if end, ok := r.windows.End(); ok {
			return context.WithDeadline(ctx, end)
		}
	}
	return ctx, func() {}
}

// kept returns the cursor to keep.
func (r *Runner) kept() spool.Cursor {
	if r.windows != nil {
		return r.windows.Kept(r.cursor)
	}
	return r.cursor
}

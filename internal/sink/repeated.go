package sink

import (
	"context"
	"errors"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// errWindow says that a window has ended.
var errWindow = errors.New("a window has ended")

// coalesce counts the event of e if another one of its kind was written a short
// time ago, and reports whether it did.
func (r *Runner) coalesce(ctx context.Context, e *spool.Entry) (counted bool, err error) {
	if r.windows == nil || r.event.Kind != ipe.KindAccess {
		return false, nil
	}
	id := &r.identity
	if id.Spool != uint64(e.ID) || id.Seq != e.Seq {
		return false, nil // an event of an input, which keeps its own number
	}
	if c, ok := r.config.Sink.(Causer); ok && c.Caused(&r.event) {
		return false, nil
	}
	// Sequence numbers of an event are those of one id.
	for at, ok := r.windows.oldest(); ok && at.ID != e.ID; at, ok = r.windows.oldest() {
		if err := r.tellWindow(ctx, front(&r.windows.counted)); err != nil {
			return false, err
		}
	}
	w := r.windows.find(&r.event, id)
	if w != nil && r.windows.over(w, &r.event) {
		if err := r.tellWindow(ctx, w); err != nil {
			return false, err
		}
		w = nil
	}
	if w != nil {
		r.windows.count(w, e, &r.event)
		r.batch.counts.Coalesced++
	} else {
		r.windows.begin(&r.event, time.Now())
	}
	for r.windows.size > maxWindows {
		oldest := front(&r.windows.order)
		if oldest.count > 0 {
			r.batch.counts.EarlyFlushes++
		}
		if err := r.tellWindow(ctx, oldest); err != nil {
			return false, err
		}
	}
	return w != nil, nil
}

// tellWindow closes a window and writes what it has counted.
func (r *Runner) tellWindow(ctx context.Context, w *window) error {
	ev := r.windows.release(w, &r.context.Identity)
	if ev == nil {
		return nil
	}
	r.batch.told++
	r.context.Received = 0
	return r.write(ctx, ev)
}

// tellDue closes the windows that have ended, as far as the batch has room.
func (r *Runner) tellDue(ctx context.Context) error {
	if r.windows == nil {
		return nil
	}
	now := time.Now()
	for w := r.windows.due(now); w != nil && r.room(); w = r.windows.due(now) {
		if err := r.tellWindow(ctx, w); err != nil {
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
	for w := front(&r.windows.order); w != nil; w = front(&r.windows.order) {
		if !r.room() && r.halting.Err() == nil {
			return false, nil
		}
		if err := r.tellWindow(ctx, w); err != nil {
			return false, err
		}
	}
	return true, nil
}

// untilEnd returns a context that ends with the next window, too.
func (r *Runner) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.windows != nil {
		if end, ok := r.windows.end(); ok {
			return context.WithDeadline(ctx, end)
		}
	}
	return ctx, func() {}
}

// kept returns the cursor to keep: what was counted, but not told, has to be
// counted again by the next start.
func (r *Runner) kept() spool.Cursor {
	if r.windows != nil {
		if at, ok := r.windows.oldest(); ok {
			return spool.Cursor{ID: at.ID, Seq: at.Seq - 1}
		}
	}
	return r.cursor
}

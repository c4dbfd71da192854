package api

import (
	"context"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// appendRepeated adds what a window has counted to what is sent next. What the
// context says of the event that is handled meanwhile stays.
func (st *stream) appendRepeated(_ context.Context, ev *ipe.Event, id *format.Identity) error {
	handled := st.context.Identity
	st.context.Identity = *id
	st.appendLine(ev)
	st.context.Identity = handled
	st.events++
	return nil
}

// closeWindows adds what was counted in windows that have ended, or in all.
func (st *stream) closeWindows(ctx context.Context, all bool) error {
	if st.windows == nil {
		return nil
	}
	for now := time.Now(); st.windows.Due(now) || all && !st.windows.Empty(); {
		if err := st.task.Enter(ctx); err != nil {
			return err
		}
		had := len(st.buf)
		if err := st.windows.Close(ctx); err != nil {
			return err
		}
		if err := st.task.Spend(ctx, fairshare.Written(len(st.buf)-had)); err != nil {
			return err
		}
	}
	return nil
}

// untilEnd returns a context that ends with the next window, too.
func (st *stream) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	if st.windows != nil {
		if end, ok := st.windows.End(); ok {
			return context.WithDeadline(ctx, end)
		}
	}
	return ctx, func() {}
}

// resume returns the place to go on behind, so that nothing is missed: it is before
// what was counted and not sent.
func (st *stream) resume() spool.Cursor {
	if st.windows == nil {
		return st.place
	}
	return st.windows.Kept(st.place)
}

package api

import (
	"context"
	"errors"
	"io"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// seek opens the reader where the client wants to begin.
func (st *stream) seek(ctx context.Context) error {
	switch {
	case st.last > 0:
		return st.seekLast(ctx)
	case st.last == 0:
		st.open(ctx, spool.Start{After: &st.end})
		st.place = st.end
	default:
		st.open(ctx, spool.Start{After: st.after, Since: st.since})
	}
	return nil
}

// open opens the reader.
func (st *stream) open(ctx context.Context, start spool.Start) {
	start.Passed = st.passed(ctx)
	start.Attachments = true
	st.reader = st.spool.NewReader(start)
	if st.form != formSpool || st.match != nil {
		st.joiner = entry.NewJoiner(st.reader)
		if st.follow {
			st.joiner.Wait, st.joiner.Expect = st.join, st.expect
		}
	}
}

// seekLast opens the reader before the last events that are wanted. The spool
// is read forwards only, so this looks through a piece of it at the end, and
// through larger ones until it finds enough. Only their places are kept.
func (st *stream) seekLast(ctx context.Context) error {
	for window := uint64(st.last); ; window *= 8 {
		start := spool.Start{Since: st.since}
		whole := !st.since.IsZero() || window >= st.end.Seq
		if !whole {
			start.After = &spool.Cursor{ID: st.end.ID, Seq: st.end.Seq - window}
		}
		found, err := st.look(ctx, start)
		if err != nil {
			return err
		}
		if n := len(found.places); whole || n == st.last {
			begin := st.end
			if n > 0 {
				begin = found.oldest()
			}
			st.open(ctx, spool.Start{After: &begin})
			st.place = begin
			return nil
		}
	}
}

// passed counts the work of what the reader passes over.
func (st *stream) passed(ctx context.Context) func() error {
	if st.task == nil {
		return nil
	}
	return func() error { return st.task.Spend(ctx, spool.PassedStep/4) }
}

// look goes through the spool from start to the end of the stream and returns
// the places before the last events that are wanted.
func (st *stream) look(ctx context.Context, start spool.Start) (*ring, error) {
	start.Passed = st.passed(ctx)
	start.Attachments = true // a client may ask for what they say
	r := st.spool.NewReader(start)
	defer r.Close()
	joined := entry.NewJoiner(r)
	found := &ring{size: st.last}
	for n := 1; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e, ok, err := joined.TryNext()
		switch {
		case isGap(err):
			continue // the stream meets it again, if it lies behind its begin
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		case !ok || st.beyond(e):
			return found, nil
		}
		if err := st.task.Enter(ctx); err != nil {
			return nil, err
		}
		if st.wanted(e) {
			found.add(spool.Cursor{ID: e.ID, Seq: e.Seq - 1})
		}
		if e.Cursor() == st.end {
			return found, nil
		}
		if err := st.spend(ctx, e, 0); err != nil {
			return nil, err
		}
	}
}

// ring keeps the newest of many places.
type ring struct {
	size   int
	places []spool.Cursor
	next   int // where the next one goes, once there are size
}

func (r *ring) add(c spool.Cursor) {
	if len(r.places) < r.size {
		r.places = append(r.places, c)
		return
	}
	r.places[r.next] = c
	r.next = (r.next + 1) % r.size
}

// oldest returns the first place that is kept; there must be one.
func (r *ring) oldest() spool.Cursor { return r.places[r.next] }

func isGap(err error) bool {
	if err == nil {
		return false
	}
	var gap *spool.GapError
	return errors.As(err, &gap)
}

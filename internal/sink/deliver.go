package sink

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// session opens the sink and delivers until something fails or all is done.
func (r *Runner) session(ctx context.Context) (err error) {
	r.given = r.flushed
	closed := make(chan struct{})
	keepOpen := context.AfterFunc(ctx, func() {
		defer close(closed)
		r.config.Sink.Close() // unblocks what ctx does not; the error comes from the second call
	})
	defer r.config.Task.Leave()
	defer func() {
		if !keepOpen() {
			<-closed
		}
		if cerr := r.config.Sink.Close(); cerr != nil && err == nil {
			// Everything is flushed: nothing that another attempt would mend.
			r.change(r.status.State, fmt.Errorf("close: %w", cerr))
		}
	}()
	if err := r.config.Sink.Open(ctx); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	idle, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.draining, cancel)()
	for {
		if done, err := r.deliver(ctx, idle); done || err != nil {
			return err
		}
	}
}

// deliver delivers one batch. It waits for its first entry until idle ends. It
// reports true when there will be no other one.
func (r *Runner) deliver(ctx, idle context.Context) (done bool, err error) {
	r.batch = batch{}
	if done, err = r.fill(ctx, idle); err != nil {
		return false, err
	}
	r.config.Task.Leave()
	if r.batch.counts.Delivered > 0 {
		if err := r.config.Sink.Flush(ctx); err != nil {
			return false, fmt.Errorf("flush: %w", err)
		}
		r.limit = min(2*r.limit, r.config.Batch)
		r.pause = r.config.Pause
	}
	if r.windows != nil {
		r.windows.Commit()
	}
	if r.batch.begun() {
		r.advance()
	}
	if !done && r.halting.Err() != nil {
		return false, ErrUndelivered
	}
	if done && r.resender != nil {
		if err := r.resender.Confirm(ctx); err != nil {
			return false, fmt.Errorf("flush: %w", err)
		}
	}
	return done, nil
}

// fill reads and writes until the batch is full or there is nothing more at
// once. It reports true when there will be nothing more.
func (r *Runner) fill(ctx, idle context.Context) (done bool, err error) {
	for r.room() && r.halting.Err() == nil {
		if err := r.tellDue(ctx); err != nil {
			return false, err
		}
		e, err := r.next(ctx, idle)
		switch {
		case e != nil:
			err = r.handle(ctx, e)
		case err == nil && r.batch.begun():
			return false, nil
		case err == nil, errors.Is(err, io.EOF):
			return r.tellAll(ctx)
		case errors.Is(err, errWindow):
			err = nil
		default:
			err = r.interrupted(ctx, err)
		}
		if err != nil {
			return false, err
		}
	}
	if r.halting.Err() != nil {
		_, err = r.tellAll(ctx) // or the next start would begin before what it counted
	}
	return false, err
}

// begun reports whether there is something to flush or to pass.
func (b *batch) begun() bool { return b.read+b.told > 0 }

// room reports whether the batch may grow.
func (r *Runner) room() bool {
	return r.batch.read+r.batch.told < r.limit && r.batch.bytes < maxBatchBytes
}

// next returns the next entry. With nothing to flush it waits for one; when the
// runner drains, it returns nil instead, and errWindow when a window ends.
func (r *Runner) next(ctx, idle context.Context) (*spool.Entry, error) {
	if j, ok := r.config.Source.(interface{ Hurry() }); ok && r.draining.Err() != nil {
		j.Hurry() // what waits is to be delivered too
	}
	e, ok, err := r.config.Source.TryNext()
	if ok || err != nil || r.batch.begun() {
		return e, err
	}
	r.config.Task.Leave()
	if r.resender != nil {
		if err := r.resender.Flush(ctx); err != nil {
			return nil, &flushError{err}
		}
	}
	if r.status.State != OK {
		r.change(OK, nil)
	}
	if r.draining.Err() != nil {
		return nil, ctx.Err()
	}
	wait, cancel := r.untilEnd(idle)
	wait, alive := r.whileAlive(wait)
	e, err = r.config.Source.Next(wait)
	alive.end()
	cancel()
	if err != nil && alive.ended() && idle.Err() == nil && errors.Is(err, context.Canceled) {
		return r.next(ctx, idle) // Flush has something to do
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, errWindow
	}
	if err != nil && ctx.Err() == nil && errors.Is(err, idle.Err()) {
		return r.next(ctx, idle) // draining began: see once more whether there is nothing
	}
	return e, err
}

// handle passes one entry, and writes it if it is wanted.
func (r *Runner) handle(ctx context.Context, e *spool.Entry) error {
	if err := r.config.Task.Enter(ctx); err != nil {
		return err
	}
	r.begin(spool.Cursor{ID: e.ID, Seq: e.Seq - 1})
	if r.config.Host != nil && r.batch.read == 0 {
		r.rename(r.config.Host())
	}
	class := r.decoder.Decode(&r.event, &r.context.Identity, e)
	if class == ipe.ClassIPE && r.event.Kind == ipe.KindUnparsed {
		r.batch.counts.Unparsed++
	}
	switch {
	case class != ipe.ClassIPE:
		r.batch.counts.Skipped++
	case !r.config.Match.Match(&r.event):
		r.batch.counts.Unmatched++
	default:
		if counted, err := r.coalesce(ctx, e); counted || err != nil {
			if err != nil {
				return err
			}
			break
		}
		r.context.Received = e.Time
		if r.config.Match != nil {
			r.context.Behind(uint64(r.given.ID), r.given.Seq)
			r.given = spool.Cursor{ID: spool.ID(r.context.Spool), Seq: r.context.Seq}
		}
		if err := r.write(ctx, &r.event); err != nil {
			return err
		}
	}
	r.batch.read++
	r.batch.cursor, r.batch.time = e.Cursor(), e.Time
	return r.config.Task.Spend(ctx, fairshare.Passed(len(e.Data)))
}

// interrupted passes a gap, and returns any other error of the source. It is
// apart from fill because errors.As makes the variable escape, for every entry.
func (r *Runner) interrupted(ctx context.Context, err error) error {
	var gap *spool.GapError
	if errors.As(err, &gap) {
		return r.handleGap(ctx, gap)
	}
	var flush *flushError
	if errors.As(err, &flush) {
		return fmt.Errorf("flush: %w", flush.error)
	}
	return fmt.Errorf("read spool: %w", err)
}

// handleGap passes a gap, and writes it as an event if that is wanted. The event is
// no entry of the spool, so it has no identity.
func (r *Runner) handleGap(ctx context.Context, g *spool.GapError) error {
	r.begin(spool.Cursor{ID: g.ID, Seq: g.First - 1})
	cursor := r.decoder.Missed(&r.event, &r.context.Identity, g)
	r.context.Spool, r.context.Received = uint64(g.ID), 0
	if r.config.Match.Match(&r.event) {
		if err := r.write(ctx, &r.event); err != nil {
			return err
		}
	}
	r.batch.read++
	r.batch.cursor = cursor
	r.batch.counts.Gaps++
	r.batch.counts.Overwritten += g.Count
	return nil
}

// rename says what the host is called from here on.
func (r *Runner) rename(host []byte) {
	r.decoder.Host = host
	if r.windows != nil {
		r.windows.SetHost(host)
	}
}

// begin learns from what is read first where the source stood.
func (r *Runner) begin(c spool.Cursor) {
	if r.cursor == (spool.Cursor{}) {
		r.cursor = c
	}
}

// write writes the event to the sink. Most sinks only copy it, or make a short
// system call, which is work too. One that blocks has lost its place meanwhile;
// so that the others need not find that out each time, it leaves its place for a
// while before it writes.
func (r *Runner) write(ctx context.Context, ev *ipe.Event) error {
	r.config.Omit.Apply(ev)
	r.buf = r.config.Format(r.buf[:0], ev, &r.context)
	id := &r.context.Identity
	r.entry = Entry{Event: ev, Bytes: r.buf, Cursor: spool.Cursor{ID: spool.ID(id.Spool), Seq: id.Seq}}
	if r.blocks > 0 {
		r.blocks--
		r.config.Task.Leave()
	}
	if err := r.config.Sink.Write(ctx, &r.entry); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if r.config.Task.Lost() {
		r.blocks = blockingWrites
	}
	r.batch.bytes += len(r.buf)
	r.batch.counts.Delivered++
	return r.config.Task.Spend(ctx, fairshare.Written(len(r.buf)))
}

// advance moves the cursor behind the batch, which is flushed.
func (r *Runner) advance() {
	if r.batch.read > 0 {
		r.cursor = r.batch.cursor
	}
	r.flushed = r.given
	if r.saver != nil {
		r.saver.set(r.kept())
	}
	if r.config.Delivered != nil {
		r.config.Delivered(r.cursor)
	}
	r.passed()
	if c := &r.batch.counts; c.Gaps > 0 && r.config.OnGap != nil {
		r.config.OnGap(c.Gaps, c.Overwritten)
	}
	if r.batch.counts.Delivered > 0 && r.status.State != OK {
		r.change(OK, nil)
	}
}

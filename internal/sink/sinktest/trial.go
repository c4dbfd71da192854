package sinktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/goleak"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// trial is one check under way.
type trial struct {
	place    *Place
	patience time.Duration
	lines    bool // entries are the suite's own

	written map[string]int // bytes of each entry that Write was called with
	flushed int            // entries below it were flushed
	failed  bool           // something was written again

	calls atomic.Int64 // of Write and Flush that returned
}

// try runs c against p and then looks for what was left behind.
func (c *check) try(p *Place, patience time.Duration) error {
	t := &trial{place: p, patience: patience, lines: p.Entry == nil, written: map[string]int{}}
	if t.lines {
		p.Entry = line
	}
	goroutines := goleak.IgnoreCurrent()
	if err := wakePoller(); err != nil {
		return err
	}
	before, err := descriptors()
	if err != nil {
		return err
	}
	if err := c.run(t); err != nil {
		return errors.Join(err, t.close())
	}
	if err := t.close(); err != nil {
		return err
	}
	if err := goleak.Find(goroutines); err != nil {
		return fmt.Errorf("after Close: %w", err)
	}
	for deadline := time.Now().Add(t.patience); ; {
		after, err := descriptors()
		switch {
		case err != nil:
			return err
		case after <= before:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("after Close: %d descriptors are open, %d before Open", after, before)
		}
		time.Sleep(time.Millisecond) // the far end may need a moment to see the end
	}
}

// wakePoller makes the runtime open the descriptors of its poller, which it
// does once in a process, and never closes: they are not the sink's.
func wakePoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	return errors.Join(r.Close(), w.Close())
}

// descriptors returns how many descriptors this process has open.
func descriptors() (int, error) {
	names, err := os.ReadDir("/proc/self/fd")
	return len(names), err
}

// call calls f in a goroutine of its own and gives up when it hangs.
func (t *trial) call(name string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	case <-time.After(t.patience):
		return fmt.Errorf("%s %w", name, errHangs)
	}
}

func (t *trial) open() error {
	return t.call("Open", func() error { return t.place.Sink.Open(context.Background()) })
}

func (t *trial) close() error { return t.call("Close", t.place.Sink.Close) }

func (t *trial) flush() error {
	return t.call("Flush", func() error { return t.place.Sink.Flush(context.Background()) })
}

func (t *trial) write(i int) error {
	return t.call("Write", func() error { return t.lend(context.Background(), i) })
}

// lend writes the i-th entry from memory that it destroys afterwards.
func (t *trial) lend(ctx context.Context, i int) error {
	e := t.place.Entry(i)
	t.written[string(e.Bytes)] = i
	err := t.place.Sink.Write(ctx, e)
	scribble(e)
	return err
}

func scribble(e *sink.Entry) {
	for i := range e.Bytes {
		e.Bytes[i] = '#'
	}
	for _, b := range [][]byte{e.Event.Op, e.Event.Hook, e.Event.Comm, e.Event.Path, e.Event.Dev, e.Event.Rule, e.Event.Raw} {
		for i := range b {
			b[i] = '#'
		}
	}
	*e.Event = ipe.Event{Kind: ipe.KindForged, Count: 1 << 40}
	*e = sink.Entry{}
}

// deliver writes and flushes entries from the first that was not flushed to
// n-1.
func (t *trial) deliver(n int) error {
	for i := t.flushed; i < n; i++ {
		if err := t.write(i); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.flushed = n
	return nil
}

// reopen closes and opens until the sink opens.
func (t *trial) reopen() error {
	t.failed = true
	deadline := time.Now().Add(t.patience)
	for {
		if err := t.close(); err != nil && errors.Is(err, errHangs) {
			return err
		}
		err := t.open()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond) // the runner's pause
	}
}

// flood writes and flushes batches until the sink fails, and counts the calls
// that returned. It runs in a goroutine of its own while the far end hangs.
func (t *trial) flood(ctx context.Context) error {
	const batch, limit = 100, 100_000 // more than any socket or pipe takes
	for n := t.flushed; n < limit; n += batch {
		for i := n; i < n+batch; i++ {
			if err := t.lend(ctx, i); err != nil {
				return err
			}
			t.calls.Add(1)
		}
		if err := t.place.Sink.Flush(ctx); err != nil {
			return err
		}
		t.calls.Add(1)
		t.flushed = n + batch
	}
	return nil
}

// stalled waits until no call has returned for some time, or done is closed.
func (t *trial) stalled(done <-chan struct{}) {
	for last := int64(-1); last != t.calls.Load(); {
		last = t.calls.Load()
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

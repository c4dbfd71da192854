package sinktest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// check is one rule. It begins with a sink that was never open.
type check struct {
	name  string
	needs func(*Place) bool
	run   func(*trial) error
}

func canBreak(p *Place) bool { return p.Break != nil }
func canHang(p *Place) bool  { return p.Hang != nil }

func checks() []check {
	return []check{
		{"delivers what was flushed", nil, checkDelivers},
		{"delivers long entries", nil, checkLong},
		{"flushes nothing", nil, checkFlushesNothing},
		{"goes on after reopening", nil, checkReopens},
		{"tears nothing when closed before a flush", nil, checkCloseWithoutFlush},
		{"may be closed at any time", nil, checkClose},
		{"refuses entries when not open", nil, checkNotOpen},
		{"returns when the context has ended", nil, checkContextEnded},
		{"reports a failure and recovers", canBreak, checkFailure},
		{"may fail to open", canBreak, checkFailsToOpen},
		{"is unblocked by Close", canHang, checkCloseUnblocks},
		{"is unblocked by the context", canHang, checkContextUnblocks},
	}
}

func checkDelivers(t *trial) error {
	if err := t.open(); err != nil {
		return err
	}
	for _, n := range []int{1, 2, 10, cmp.Or(t.place.Most, 2000)} {
		if err := t.deliver(n); err != nil {
			return err
		}
		if err := t.verify(n); err != nil {
			return fmt.Errorf("after Flush: %w", err)
		}
	}
	return nil
}

// checkLong writes entries of a length that only hostile records reach. A place
// with a format of its own knows better what is long.
func checkLong(t *trial) error {
	if !t.lines {
		return nil
	}
	t.place.Entry = func(i int) *sink.Entry {
		e := line(i)
		e.Bytes = fmt.Appendf(nil, "%s%s\n", e.Bytes[:len(e.Bytes)-1], bytes.Repeat([]byte("l"), 50_000))
		return e
	}
	if err := t.open(); err != nil {
		return err
	}
	if err := t.deliver(20); err != nil {
		return err
	}
	return t.verify(20)
}

func checkFlushesNothing(t *trial) error {
	if err := t.open(); err != nil {
		return err
	}
	for _, n := range []int{0, 0, 3, 3} {
		if err := t.deliver(n); err != nil {
			return err
		}
	}
	return t.verify(3)
}

func checkReopens(t *trial) error {
	for n := 5; n <= 20; n += 5 {
		if err := t.open(); err != nil {
			return err
		}
		if err := t.deliver(n); err != nil {
			return err
		}
		if err := t.close(); err != nil {
			return err
		}
	}
	return t.verify(20)
}

func checkCloseWithoutFlush(t *trial) error {
	if err := t.open(); err != nil {
		return err
	}
	if err := t.deliver(10); err != nil {
		return err
	}
	for i := 10; i < 20; i++ {
		if err := t.write(i); err != nil {
			return err
		}
	}
	if err := t.close(); err != nil {
		return err
	}
	if err := t.verify(10); err != nil {
		return err
	}
	if err := t.reopen(); err != nil {
		return err
	}
	if err := t.deliver(20); err != nil {
		return err
	}
	return t.verify(20)
}

func checkClose(t *trial) error {
	if err := t.close(); err != nil {
		return fmt.Errorf("before Open: %w", err)
	}
	if err := t.open(); err != nil {
		return err
	}
	if err := t.deliver(3); err != nil {
		return err
	}
	for range 2 {
		if err := t.close(); err != nil {
			return err
		}
	}
	return t.verify(3)
}

func checkNotOpen(t *trial) error {
	refuses := func(when string) error {
		if err := t.write(0); err == nil {
			return fmt.Errorf("%s: Write returned nil", when)
		} else if errors.Is(err, errHangs) {
			return err
		}
		if err := t.flush(); err == nil {
			return fmt.Errorf("%s: Flush returned nil", when)
		} else if errors.Is(err, errHangs) {
			return err
		}
		return nil
	}
	if err := refuses("before Open"); err != nil {
		return err
	}
	if err := t.open(); err != nil {
		return err
	}
	if err := t.close(); err != nil {
		return err
	}
	return refuses("after Close")
}

// checkContextEnded allows any result, but no hanging, and no lie: what was
// flushed is there.
func checkContextEnded(t *trial) error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s := t.place.Sink
	if err := t.call("Open", func() error { return s.Open(ended) }); errors.Is(err, errHangs) {
		return err
	}
	if err := t.reopen(); err != nil {
		return err
	}
	write := t.call("Write", func() error { return t.lend(ended, 0) })
	flush := t.call("Flush", func() error { return s.Flush(ended) })
	switch {
	case errors.Is(write, errHangs):
		return write
	case errors.Is(flush, errHangs):
		return flush
	case write == nil && flush == nil:
		t.flushed = 1
	}
	if err := t.reopen(); err != nil {
		return err
	}
	if err := t.deliver(10); err != nil {
		return err
	}
	return t.verify(10)
}

func checkFailure(t *trial) error {
	if err := t.open(); err != nil {
		return err
	}
	for range 3 {
		t.place.Break()
		if err := t.failing(); err != nil {
			return err
		}
		t.place.Repair()
		if err := t.reopen(); err != nil {
			return err
		}
		if err := t.deliver(t.flushed + 50); err != nil {
			return fmt.Errorf("after the repair: %w", err)
		}
		if err := t.verify(t.flushed); err != nil {
			return fmt.Errorf("after the repair: %w", err)
		}
	}
	return nil
}

// failing delivers to a broken place until the sink says so. Some kernels take
// a few entries before they notice that the peer is gone.
func (t *trial) failing() error {
	for range 100 {
		err := t.deliver(t.flushed + 50)
		if errors.Is(err, errHangs) {
			return err
		}
		if err != nil {
			return nil
		}
	}
	return errors.New("the place is broken, but Write and Flush return nil")
}

func checkFailsToOpen(t *trial) error {
	t.place.Break()
	for range 3 {
		if err := t.open(); errors.Is(err, errHangs) {
			return err
		}
		if err := t.close(); err != nil {
			return fmt.Errorf("after Open to a broken place: %w", err)
		}
	}
	t.place.Repair()
	if err := t.reopen(); err != nil {
		return err
	}
	if err := t.deliver(5); err != nil {
		return err
	}
	return t.verify(5)
}

func checkCloseUnblocks(t *trial) error {
	return t.hang(func(_ context.CancelFunc) error { return t.close() })
}

func checkContextUnblocks(t *trial) error {
	return t.hang(func(cancel context.CancelFunc) error { cancel(); return nil })
}

// hang lets the sink run into a place that takes nothing, unblocks it, and sees
// that it goes on.
func (t *trial) hang(unblock func(context.CancelFunc) error) error {
	if err := t.open(); err != nil {
		return err
	}
	if err := t.deliver(10); err != nil {
		return err
	}
	t.place.Hang()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	var flooded error
	go func() {
		defer close(done)
		flooded = t.flood(ctx)
	}()
	t.stalled(done)
	if err := unblock(cancel); err != nil {
		t.place.Resume()
		return err
	}
	err := t.call("a Write or Flush that was unblocked", func() error { <-done; return nil })
	t.place.Resume()
	if err != nil {
		return err
	}
	if flooded == nil {
		return errors.New("the place takes nothing, but Write and Flush return nil")
	}
	if err := t.reopen(); err != nil {
		return err
	}
	if err := t.deliver(t.flushed + 50); err != nil {
		return fmt.Errorf("after hanging: %w", err)
	}
	return t.verify(t.flushed)
}

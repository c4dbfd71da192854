package sink

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// However many sinks catch up, no more of them are at work at the same time than
// there are places.
func TestRunnersShareThePlacesThereAre(t *testing.T) {
	t.Parallel()
	const sinks, events = 20, 2000
	pool := fairshare.NewPool(1, time.Hour)
	var now, most atomic.Int64
	l := newLog(events)
	l.close()
	var wg sync.WaitGroup
	for range sinks {
		m := &memory{}
		c := config(l, m)
		c.Task = pool.Task(fairshare.Sinks)
		c.Policy = func(uint16) *ipe.Policy {
			n := now.Add(1)
			for at := most.Load(); n > at && !most.CompareAndSwap(at, n); at = most.Load() {
			}
			runtime.Gosched() // lets others come
			now.Add(-1)
			return nil
		}
		wg.Go(func() {
			if err := New(c).Run(t.Context()); err != nil {
				t.Error(err)
			}
			if got := len(m.got()); got != events {
				t.Errorf("%d events delivered, want %d", got, events)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at work at the same time, want 1", most.Load())
	}
}

// A sink that hangs in Flush has no place, and one that hangs in Write has lost it
// soon: another one gets on.
func TestASinkThatHangsHoldsNoPlace(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"write", "flush"} {
		synctest.Test(t, func(t *testing.T) {
			pool := fairshare.NewPool(1, fairshare.Patience)
			l := newLog(2000)
			hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
			hanging := &memory{}
			if where == "write" {
				hanging.onWrite = func(ctx context.Context, _ []byte) error { return hang(ctx) }
			} else {
				hanging.onFlush = hang
			}
			ctx, cancel := context.WithCancel(t.Context())
			c := config(l, hanging)
			c.Task = pool.Task(fairshare.Sinks)
			hung := start(ctx, New(c))
			synctest.Wait()

			l.close()
			begin := time.Now()
			m := &memory{}
			c = config(l, m)
			c.Task = pool.Task(fairshare.Sinks)
			if err := New(c).Run(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); len(m.got()) != 2000 || took > 2*fairshare.Patience {
				t.Errorf("%s: %d events delivered in %v", where, len(m.got()), took)
			}
			cancel()
			_ = hung()
		})
	}
}

// A sink that blocks for a moment at each entry costs the others a moment once in
// a while, and not at each entry.
func TestASinkThatBlocksAgainAndAgainLeavesItsPlaceBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := fairshare.NewPool(1, fairshare.Patience)
		l := newLog(640)
		l.close()
		slow := &memory{onWrite: func(context.Context, []byte) error { time.Sleep(time.Second); return nil }}
		c := config(l, slow)
		c.Task = pool.Task(fairshare.Sinks)
		done := start(t.Context(), New(c))
		other := pool.Task(fairshare.Sinks)
		waited, turns := 0, 0
		time.Sleep(time.Second / 2)
		for len(slow.got()) < 640 {
			time.Sleep(time.Second) // in the middle of the next write
			begin := time.Now()
			if err := other.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
			if turns++; time.Since(begin) > 0 {
				waited++
			}
			other.Leave()
		}
		if err := done(); err != nil {
			t.Error(err)
		}
		if waited > turns/50+1 {
			t.Errorf("the other one waited in %d of %d turns", waited, turns)
		}
	})
}

package fairshare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// enter enters in a goroutine of its own, and tells the channel.
func enter(t *testing.T, ctx context.Context, task *Task, entered chan<- *Task) {
	t.Helper()
	go func() {
		if task.Enter(ctx) == nil {
			entered <- task
		}
	}()
	synctest.Wait() // until it is in, or in the queue
}

func TestThereAreNeverMoreTasksAtWorkThanPlaces(t *testing.T) {
	t.Parallel()
	for _, places := range []int{1, 3} {
		p := NewPool(places, time.Hour)
		var inside, most, turns atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			task := p.Task(Class(i % classes))
			wg.Go(func() {
				for n := range 200 {
					if err := task.Enter(t.Context()); err != nil {
						t.Error(err)
					}
					now := inside.Add(1)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					inside.Add(-1)
					turns.Add(1)
					if n%3 == 0 {
						task.Leave()
					} else if err := task.Spend(t.Context(), quantum/2); err != nil {
						t.Error(err)
					}
				}
				task.Leave()
			})
		}
		wg.Wait()
		if got := most.Load(); got > int64(places) || turns.Load() != 64*200 {
			t.Errorf("%d places: %d tasks at work at the same time, %d turns", places, got, turns.Load())
		}
		if len(p.inside) != 0 || p.waiting() {
			t.Errorf("%d tasks have a place still", len(p.inside))
		}
	}
}

// turns lets tasks of these classes wait, in this order, behind one that has the
// place, each for so many turns of a quantum. It returns who had a turn when.
func turns(t *testing.T, p *Pool, holder *Task, each int, queued ...Class) (order []string) {
	t.Helper()
	var wg sync.WaitGroup
	for i, c := range queued {
		task := p.Task(c)
		wg.Go(func() {
			defer task.Leave()
			for range each {
				if err := task.Enter(t.Context()); err != nil {
					t.Error(err)
				}
				order = append(order, fmt.Sprint(i)) // guarded by the one place
				for range quantum {
					if err := task.Spend(t.Context(), 1); err != nil {
						t.Error(err)
					}
				}
			}
		})
		synctest.Wait()
	}
	holder.Leave()
	wg.Wait()
	return order
}

func TestTasksTakeTurnsInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		holder := p.Task(Feed)
		if err := holder.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := turns(t, p, holder, 3, Feed, Feed, Feed, Feed)
		want := []string{"0", "1", "2", "3", "0", "1", "2", "3", "0", "1", "2", "3"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Sixty streams get as much done together as one sink that catches up, and a sink
// that has little to do waits for one of them at most.
func TestClassesGetTheSameAmountOfWorkDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		holder := p.Task(Requests)
		if err := holder.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		var done [classes]int // in units; guarded by the one place
		ctx, cancel := context.WithCancel(t.Context())
		work := func(task *Task, units int) {
			for task.Enter(ctx) == nil {
				if done[Feed] >= 100*quantum {
					cancel()
				}
				done[task.class] += units
				_ = task.Spend(ctx, units)
				if task.class == Requests {
					task.Leave()
				}
			}
		}
		for range 60 {
			go work(p.Task(Feed), quantum)
		}
		go work(p.Task(Sinks), quantum)
		for range 4 { // or none would wait while one has a turn
			go work(p.Task(Requests), quantum/8)
		}
		synctest.Wait()
		holder.Leave()
		<-ctx.Done()
		synctest.Wait()
		for c, n := range done {
			if n < 98*quantum || n > 103*quantum {
				t.Errorf("class %d: %d quanta, want about 100", c, n/quantum)
			}
		}
	})
}

// Whoever worked alone owes nothing for it, and whoever was away has saved up
// nothing.
func TestAClassThatWasAwayGetsNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		holder := p.Task(Feed)
		for range 1000 {
			if err := holder.Spend(t.Context(), quantum); err != nil {
				t.Fatal(err)
			}
		}
		got := turns(t, p, holder, 1, Feed, Feed, Feed, Sinks, Sinks, Sinks)
		want := []string{"3", "0", "4", "1", "5", "2"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestWhoWaitsIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		holder := p.Task(Sinks)
		if err := holder.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		leaver, stayer := p.Task(Feed), p.Task(Feed)
		failed := make(chan error, 1)
		go func() { failed <- leaver.Enter(ctx) }()
		synctest.Wait()
		entered := make(chan *Task, 1)
		enter(t, t.Context(), stayer, entered)
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		holder.Leave()
		if got := <-entered; got != stayer {
			t.Error("the one that stayed did not get the place")
		}
		if err := leaver.Spend(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// A task that was given its place when it was let go gives it back.
func TestAPlaceThatCameTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	for range 2000 {
		p := NewPool(1, Patience)
		holder, task := p.Task(Sinks), p.Task(Feed)
		if err := holder.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = task.Enter(ctx); task.Leave() })
		wg.Go(cancel)
		wg.Go(holder.Leave)
		wg.Wait()
		if len(p.inside) != 0 || p.waiting() {
			t.Fatal("the place is taken")
		}
	}
}

// Whatever it has left of its share.
func TestATaskThatIsLetGoGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	for _, work := range []int{1, quantum - 1, quantum, quantum + 1} {
		p := NewPool(1, time.Hour)
		task := p.Task(Feed)
		ctx, cancel := context.WithCancel(t.Context())
		if err := task.Enter(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := task.Spend(ctx, work); work >= quantum && !errors.Is(err, context.Canceled) {
			t.Errorf("work of %d: got %v, want %v", work, err, context.Canceled)
		}
		task.Leave()
		if len(p.inside) != 0 {
			t.Errorf("work of %d: the place is taken", work)
		}
	}
}

func TestATaskThatBlocksLosesItsPlaceToThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		blocked, worker := p.Task(Sinks), p.Task(Sinks)
		if err := blocked.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if blocked.Lost() {
			t.Fatal("it lost its place though nobody waits")
		}
		begin := time.Now()
		if err := worker.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 2*Patience {
			t.Errorf("the other one waited %v", took)
		}
		if !blocked.Lost() {
			t.Error("it does not know that it lost its place")
		}
		// It works on only when it has a place again.
		entered := make(chan *Task, 1)
		enter(t, t.Context(), blocked, entered)
		if len(entered) != 0 {
			t.Fatal("two tasks have the one place")
		}
		worker.Leave()
		if got := <-entered; got != blocked || blocked.Lost() {
			t.Error("it did not get a place again")
		}
	})
}

func TestATaskThatGetsOnKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(1, Patience)
		slow, other := p.Task(Sinks), p.Task(Sinks)
		if err := slow.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		entered := make(chan *Task, 1)
		enter(t, t.Context(), other, entered)
		for range quantum/16 - 1 {
			time.Sleep(Patience - 1)
			if err := slow.Spend(t.Context(), 16); err != nil {
				t.Fatal(err)
			}
			if slow.Lost() || len(entered) != 0 {
				t.Fatal("it lost its place")
			}
		}
		slow.Leave()
		<-entered
		other.Leave()
	})
}

func TestResizeLetsMoreIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(0, Patience)
		tasks := []*Task{p.Task(Sinks), p.Task(Sinks), p.Task(Sinks)}
		entered := make(chan *Task, 3)
		for _, task := range tasks {
			enter(t, t.Context(), task, entered)
		}
		if len(entered) != 1 {
			t.Fatalf("%d have a place, want 1", len(entered))
		}
		p.Resize(3)
		synctest.Wait()
		if len(entered) != 3 {
			t.Errorf("%d have a place, want 3", len(entered))
		}
	})
}

func TestNilPoolLimitsNobody(t *testing.T) {
	t.Parallel()
	var p *Pool
	p.Resize(1)
	task := p.Task(Feed)
	if task != nil || task.Enter(t.Context()) != nil || task.Spend(t.Context(), 1<<20) != nil || task.Lost() {
		t.Error("the nil task is limited")
	}
	task.Leave()
}

func TestPlacesLeaveAProcessorToOthers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 1, 2: 1, 3: 2, 8: 7} {
		if got := Places(n); got != want {
			t.Errorf("%d processors: %d places, want %d", n, got, want)
		}
	}
}

func TestTakingTurnsDoesNotAllocate(t *testing.T) {
	p := NewPool(1, Patience)
	tasks := []*Task{p.Task(Sinks), p.Task(Feed)}
	ctx := t.Context()
	turn := func() {
		for _, task := range tasks {
			if task.Enter(ctx) != nil || task.Spend(ctx, 1) != nil {
				t.Fatal("no place")
			}
			task.Leave()
		}
	}
	turn()
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSpend is what a record costs more.
func BenchmarkSpend(b *testing.B) {
	task := NewPool(1, Patience).Task(Sinks)
	b.ReportAllocs()
	for b.Loop() {
		_ = task.Spend(b.Context(), 2)
	}
}

// BenchmarkTurn is what a reader that is woken costs more.
func BenchmarkTurn(b *testing.B) {
	task := NewPool(1, Patience).Task(Sinks)
	b.ReportAllocs()
	for b.Loop() {
		_ = task.Enter(b.Context())
		_ = task.Spend(b.Context(), 2)
		task.Leave()
	}
}

// BenchmarkGiveWay is what it costs that another one waits.
func BenchmarkGiveWay(b *testing.B) {
	p := NewPool(1, Patience)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		other := p.Task(Sinks)
		for other.Spend(ctx, quantum) == nil {
		}
	})
	task := p.Task(Sinks)
	b.ReportAllocs()
	for b.Loop() {
		_ = task.Spend(b.Context(), quantum)
	}
	task.Leave()
	cancel()
	wg.Wait()
}

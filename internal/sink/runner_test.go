package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// short formats an event as its sequence number, or as what was lost.
func short(dst []byte, ev *ipe.Event, c *format.Context) []byte {
	if ev.Kind == ipe.KindLost {
		return fmt.Appendf(dst, "lost %d %v %d-%d as %d", ev.Count, ev.Accuracy, ev.FirstSeq, ev.LastSeq, c.Seq)
	}
	if string(ev.Path) != fmt.Sprintf("/tmp/%d", c.Seq) || c.Spool != uint64(testID) {
		return fmt.Appendf(dst, "wrong event %q at %d", ev.Path, c.Seq)
	}
	return strconv.AppendUint(dst, c.Seq, 10)
}

// numbers returns what short writes for first to last.
func numbers(first, last int) []string {
	var s []string
	for i := first; i <= last; i++ {
		s = append(s, strconv.Itoa(i))
	}
	return s
}

// config is that of a runner from the start of l to s.
func config(l *log, s Sink) Config {
	return Config{Name: "test", Sink: s, Source: &source{log: l}, Start: spool.Cursor{ID: testID}, Format: short}
}

// start runs r and returns a function that waits for its end.
func start(ctx context.Context, r *Runner) func() error {
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error { return <-done }
}

func TestRunDeliversEverythingOnceInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m := newLog(2000), &memory{}
		r := New(config(l, m))
		wait := start(t.Context(), r)
		synctest.Wait()
		for range 100 {
			l.append(7)
			synctest.Wait()
		}
		if got := r.Status().State; got != OK {
			t.Errorf("got state %v, want ok", got)
		}
		l.close()
		if err := wait(); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, numbers(1, 2700)) {
			t.Errorf("got %d entries, want 1 to 2700", len(got))
		}
		st := r.Status()
		if st.State != Stopped || st.Cursor != (spool.Cursor{ID: testID, Seq: 2700}) || st.Delivered != 2700 {
			t.Errorf("got %+v", st)
		}
		if want := 2000/DefaultBatch + 1 + 100; m.flushes != want {
			t.Errorf("got %d flushes, want %d", m.flushes, want)
		}
	})
}

func TestUnmatchedAndForeignEntriesMoveTheCursorWithoutWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		allowed, err := match.Compile([]match.Selection{{Verdicts: []string{"allowed"}}})
		if err != nil {
			t.Fatal(err)
		}
		l, m := newLog(25), &memory{}
		foreign := l.entries[22].(spool.Entry)
		foreign.Data = []byte("audit(1.000:1): ")
		l.entries[22] = foreign
		l.close()
		c := config(l, m)
		c.Match = allowed
		r := New(c)
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, []string{"10", "20"}) {
			t.Errorf("got %q, want 10 and 20", got)
		}
		st := r.Status()
		if st.Cursor.Seq != 25 || st.Unmatched != 22 || st.Skipped != 1 || st.Delivered != 2 {
			t.Errorf("got %+v", st)
		}
	})
}

func TestGapIsToldAtItsPlaceWithoutIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLog(30)
		l.lose(1, 3, true)
		l.lose(11, 20, true)
		l.lose(25, 26, false)
		l.close()
		failed := false
		m := &memory{onFlush: func(context.Context) error {
			if !failed {
				failed = true
				return errFake // what was told must be told again
			}
			return nil
		}}
		r := New(config(l, m))
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		want := slices.Concat([]string{"lost 3 exact 1-3 as 0"}, numbers(4, 10), []string{"lost 10 exact 11-20 as 0"},
			numbers(21, 24), []string{"lost 0 unknown 0-0 as 0"}, numbers(27, 30))
		if got := m.got(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if st := r.Status(); st.Overwritten != 13 || st.Gaps != 3 {
			t.Errorf("got %+v", st)
		}
	})
}

func TestGapIsMatchedLikeAnyEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		denied, err := match.Compile([]match.Selection{{Verdicts: []string{"denied"}}})
		if err != nil {
			t.Fatal(err)
		}
		l, m := newLog(3), &memory{}
		l.lose(1, 2, true)
		l.close()
		c := config(l, m)
		c.Match = denied
		r := New(c)
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, []string{"3"}) {
			t.Errorf("got %q, want 3", got)
		}
		if st := r.Status(); st.Overwritten != 2 {
			t.Errorf("got %d overwritten, want 2", st.Overwritten)
		}
	})
}

// One sink hangs for ever, one fails every second write, one is slow; the
// fourth gets everything without delay. Time is that of the bubble.
func TestSinksDoNotHurtEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		l := newLog(n)
		began := time.Now()
		block := func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		writes := 0
		second := func(context.Context, []byte) error {
			if writes++; writes%2 == 0 {
				return errFake
			}
			return nil
		}
		slow := func(context.Context, []byte) error { time.Sleep(time.Millisecond); return nil }
		hung, failing, slowed, fast := &memory{onWrite: block}, &memory{onWrite: second}, &memory{onWrite: slow}, &memory{}
		var runners []*Runner
		var wg sync.WaitGroup
		var fastDone time.Duration
		for _, m := range []*memory{hung, failing, slowed, fast} {
			r := New(config(l, m))
			runners = append(runners, r)
			wg.Go(func() {
				r.Run(t.Context())
				if m == fast {
					fastDone = time.Since(began)
				}
			})
		}
		l.close()
		synctest.Wait()
		if got := fast.got(); fastDone != 0 || !slices.Equal(got, numbers(1, n)) {
			t.Errorf("the fast one has %d entries after %v, want all at once", len(got), fastDone)
		}
		time.Sleep(n * time.Millisecond)
		synctest.Wait()
		if got := slowed.got(); !slices.Equal(got, numbers(1, n)) {
			t.Errorf("the slow one has %d entries, want all", len(got))
		}
		time.Sleep(n * defaultPause)
		synctest.Wait()
		if got := failing.got(); !slices.Equal(slices.Compact(got), numbers(1, n)) {
			t.Errorf("the failing one has %d entries, want all", len(got))
		}
		if len(hung.got()) != 0 {
			t.Error("the hanging one has entries")
		}
		expired, cancel := context.WithCancel(t.Context())
		cancel()
		if err := runners[0].Stop(expired); !errors.Is(err, context.Canceled) {
			t.Errorf("stopping the hanging one: got %v, want context.Canceled", err)
		}
		wg.Wait()
	})
}

func TestRetriesWithGrowingPausesAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLog(1)
		var broken atomic.Bool
		broken.Store(true)
		m := &memory{onOpen: func(context.Context) error {
			if broken.Load() {
				return errFake
			}
			return nil
		}}
		c := config(l, m)
		var changes []Status
		c.OnChange = func(s Status) { changes = append(changes, s) }
		r := New(c)
		wait := start(t.Context(), r)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		opens := m.opened()
		for i, want := 1, defaultPause; i < len(opens); i++ {
			pause := opens[i].Sub(opens[i-1])
			if pause < want/2 || pause > want {
				t.Errorf("pause %d: got %v, want %v to %v", i, pause, want/2, want)
			}
			want = min(2*want, maxPause)
		}
		if n := len(opens); n < 15 || n > 40 {
			t.Errorf("got %d attempts in five minutes", n)
		}
		st := r.Status()
		if st.State != Retrying || !errors.Is(st.LastError, errFake) || st.Failures != uint64(len(opens)) || st.LastErrorTime.IsZero() {
			t.Errorf("got %+v", st)
		}
		broken.Store(false)
		time.Sleep(maxPause)
		synctest.Wait()
		l.close()
		if err := wait(); err != nil {
			t.Error(err)
		}
		var states []State
		for _, s := range changes {
			states = append(states, s.State)
		}
		if !slices.Equal(states, []State{Retrying, OK, Stopped}) {
			t.Errorf("got changes to %v, want retrying, ok, stopped", states)
		}
		if got := m.got(); !slices.Equal(got, numbers(1, 1)) {
			t.Errorf("got %q, want 1", got)
		}
	})
}

func TestReadErrorIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m := newLog(100), &memory{}
		l.close()
		c := config(l, m)
		c.Source.(*source).err = errFake
		r := New(c)
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, numbers(1, 100)) {
			t.Errorf("got %q, want 1 to 100", got)
		}
		if st := r.Status(); st.Failures != 1 || !errors.Is(st.LastError, errFake) {
			t.Errorf("got %+v", st)
		}
	})
}

// A Close that fails after everything was delivered is told, not retried for
// ever.
func TestCloseErrorDoesNotRepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLog(10)
		l.close()
		m := &memory{onClose: func() error { return errFake }}
		r := New(config(l, m))
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if st := r.Status(); !errors.Is(st.LastError, errFake) || st.Delivered != 10 {
			t.Errorf("got %+v", st)
		}
	})
}

// store keeps the cursor as a state directory does.
type store struct {
	mu    sync.Mutex
	c     spool.Cursor
	times []time.Time
	err   error
}

func (s *store) save(c spool.Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	if s.err != nil {
		return s.err
	}
	s.c = c
	return nil
}

func (s *store) cursor() spool.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

func TestCursorIsSavedSoonAndNotTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m, s := newLog(0), &memory{}, &store{}
		c := config(l, m)
		c.Start.Seq = 0
		c.Save = s.save
		r := New(c)
		wait := start(t.Context(), r)
		synctest.Wait()
		if got := s.cursor(); got != c.Start {
			t.Errorf("got %v saved, want the start %v", got, c.Start)
		}
		for i := range 1000 { // one second
			l.append(1)
			time.Sleep(time.Millisecond)
			if i == 500 {
				s.mu.Lock()
				s.err = errFake
				s.mu.Unlock()
			}
		}
		s.mu.Lock()
		n := len(s.times)
		s.mu.Unlock()
		if n < 10 || n > 13 {
			t.Errorf("got %d saves in a second, half of it without a disk, want about 12", n)
		}
		if st := r.Status(); !errors.Is(st.SaveError, errFake) || st.SaveErrors == 0 || st.State != OK {
			t.Errorf("got %+v, want a save error and nothing else", st)
		}
		time.Sleep(10 * saveRetry)
		s.mu.Lock()
		s.err = nil
		s.mu.Unlock()
		time.Sleep(saveRetry + saveInterval)
		if got := s.cursor().Seq; got != 1000 {
			t.Errorf("got %d saved while idle, want 1000", got)
		}
		if st := r.Status(); st.SaveError != nil {
			t.Errorf("got save error %v after it succeeded", st.SaveError)
		}
		l.append(5)
		l.close()
		if err := wait(); err != nil {
			t.Error(err)
		}
		if got := s.cursor().Seq; got != 1005 {
			t.Errorf("got %d saved at the end, want 1005", got)
		}
	})
}

func TestRunReportsThatTheLastCursorIsNotSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m, s := newLog(3), &memory{}, &store{err: errFake}
		l.close()
		c := config(l, m)
		c.Save = s.save
		if err := New(c).Run(t.Context()); !errors.Is(err, errFake) {
			t.Errorf("got %v, want the error of Save", err)
		}
	})
}

// Kills at random moments, of runners whose sinks also fail at random: what
// the saver did not save is gone, what was flushed is not.
func TestAtLeastOnceOverKills(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			const n = 2000
			l, s := newLog(n), &store{c: spool.Cursor{ID: testID}}
			var got []string
			kills := 0
			for ; s.cursor().Seq < n; kills++ {
				fate := rand.New(rand.NewPCG(seed, rnd.Uint64())) // the sink's
				m := &memory{
					onWrite: func(context.Context, []byte) error {
						time.Sleep(time.Duration(fate.IntN(1000)) * time.Microsecond)
						if fate.IntN(200) == 0 {
							return errFake
						}
						return nil
					},
					onFlush: func(context.Context) error {
						if fate.IntN(20) == 0 {
							return errFake
						}
						return nil
					},
				}
				var mu sync.Mutex
				killed := false
				c := config(l, m)
				c.Start = s.cursor()
				c.Source.(*source).at = int(c.Start.Seq)
				c.Batch = 1 + rnd.IntN(64)
				c.Save = func(c spool.Cursor) error {
					mu.Lock()
					defer mu.Unlock()
					if killed {
						return nil
					}
					return s.save(c)
				}
				ctx, cancel := context.WithCancel(t.Context())
				wait := start(ctx, New(c))
				time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
				mu.Lock()
				killed = true // nothing reaches the disk any more
				mu.Unlock()
				flushed := m.got()
				cancel()
				wait()
				got = append(got, flushed...)
			}
			next := 1
			last := 0
			for _, e := range got {
				i, err := strconv.Atoi(e)
				if err != nil || i > last+1 {
					t.Fatalf("got %q after %d", e, last)
				}
				next, last = max(next, i+1), i
			}
			if next != n+1 || kills < 2 {
				t.Errorf("got entries up to %d over %d kills, want %d", next-1, kills, n)
			}
		})
	}
}

// Clean stops at random moments: nothing is missing and nothing comes twice.
func TestCleanStopsNeverRepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		l, s := newLog(0), &store{c: spool.Cursor{ID: testID}}
		var got []string
		total := 0
		for range 50 {
			m := &memory{onWrite: func(context.Context, []byte) error { time.Sleep(time.Millisecond); return nil }}
			c := config(l, m)
			c.Start = s.cursor()
			c.Source.(*source).at = int(c.Start.Seq)
			c.Save = s.save
			r := New(c)
			wait := start(t.Context(), r)
			total += 100
			l.append(100)
			time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(100))*time.Millisecond)
			err := r.Stop(ctx)
			cancel()
			if err != nil && !errors.Is(err, ErrUndelivered) {
				t.Fatal(err)
			}
			if err == nil && s.cursor().Seq != uint64(total) {
				t.Errorf("stopped at %d of %d with %v", s.cursor().Seq, total, err)
			}
			wait()
			got = append(got, m.got()...)
		}
		m := &memory{}
		c := config(l, m)
		c.Start = s.cursor()
		c.Source.(*source).at = int(c.Start.Seq)
		l.close()
		if err := New(c).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got = append(got, m.got()...); !slices.Equal(got, numbers(1, total)) {
			t.Errorf("got %d entries, want each of %d once", len(got), total)
		}
	})
}

// A gap with nothing behind it is told once, also over a restart.
func TestGapAtTheEndIsNotToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLog(20)
		l.lose(11, 20, true)
		l.close()
		m := &memory{}
		r := New(config(l, m))
		if err := r.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got := r.Status().Cursor.Seq; got != 20 {
			t.Errorf("got cursor at %d, want 20", got)
		}
	})
}

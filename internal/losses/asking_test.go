package losses

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// helped is a watch that runs in fake time beside a helper, which can be asked
// and counts how often it was.
type helped struct {
	*KernelWatch
	asked atomic.Int64
	lost  atomic.Uint32
	err   atomic.Pointer[error]
}

// withHelper runs play in a bubble of fake time. logged says whether the kernel
// log is followed.
func withHelper(t *testing.T, logged bool, play func(h *helped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &helped{KernelWatch: newKernelWatch(New(nil))}
		h.helper = func(context.Context) (auditstate.State, error) {
			h.asked.Add(1)
			if err := h.err.Load(); err != nil {
				return auditstate.State{}, *err
			}
			return auditstate.State{Status: &auditstate.Status{Lost: h.lost.Load()}}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx, nil) }()
		synctest.Wait()
		h.mu.Lock()
		h.status.Log, h.caught = logged, true
		h.kick()
		h.mu.Unlock()
		play(h)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (h *helped) say(finding kmsgFinding) { h.heard(kmsgLine{finding: finding}) }

func TestHelperIsAskedAtTheStartAndAtTheEnd(t *testing.T) {
	var asked int64
	var h *helped
	withHelper(t, true, func(x *helped) {
		h = x
		time.Sleep(24 * time.Hour)
		asked = h.asked.Load()
		h.lost.Store(7)
	})
	if asked != 1 || h.asked.Load() != 2 {
		t.Errorf("asked %d times in a quiet day, and %d in all; want 1 and 2", asked, h.asked.Load())
	}
	if diff := cmp.Diff(exactly(7), h.reporter.losses(Kernel)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHelperThatFailedOnceIsAskedAgain fails in the only moment in which there
// is a hint: what it would have said is told half a minute later, or at the end.
func TestHelperThatFailedOnceIsAskedAgain(t *testing.T) {
	failed := error(errors.New("no time"))
	for _, wait := range []time.Duration{time.Second, failInterval + time.Second} {
		var h *helped
		withHelper(t, true, func(x *helped) {
			h = x
			time.Sleep(time.Minute)
			h.lost.Store(9)
			h.err.Store(&failed)
			h.Busy()
			time.Sleep(time.Second)
			h.err.Store(nil)
			time.Sleep(wait)
			if wait > failInterval {
				if n := h.reporter.unreportedCount(Kernel); n != 9 {
					t.Errorf("%d known before the end, want 9", n)
				}
			}
		})
		if diff := cmp.Diff(exactly(9), h.reporter.losses(Kernel)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestHelperIsAskedAtTheEndOfAShortLife ends while the first question is open.
func TestHelperIsAskedAtTheEndOfAShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newKernelWatch(New(nil))
		w.Resume(Reported{Known: true, Lost: 5}, time.Now())
		asked := 0
		w.helper = func(ctx context.Context) (auditstate.State, error) {
			if asked++; asked == 1 {
				<-ctx.Done()
				return auditstate.State{}, ctx.Err()
			}
			return auditstate.State{Status: &auditstate.Status{Lost: 7}}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Microsecond, cancel)
		if err := w.Run(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(exactly(2), w.reporter.losses(Kernel)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHelperIsAskedWhenTheLogHintsAtALossAndAtMostOnceASecond(t *testing.T) {
	withHelper(t, true, func(h *helped) {
		time.Sleep(time.Minute)
		h.lost.Store(3)
		h.say(kmsgBacklog)
		time.Sleep(2 * settleTime)
		if diff := cmp.Diff(exactly(3), h.reporter.losses(Kernel)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		before := h.asked.Load()
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			h.say(kmsgBacklog)
		}
		if n := h.asked.Load() - before; n < 9 || n > 11 {
			t.Errorf("asked %d times in ten seconds of losses", n)
		}
	})
}

func TestHelperIsAskedLessOftenWhereMuchIsReceivedAndNothingLost(t *testing.T) {
	withHelper(t, true, func(h *helped) {
		time.Sleep(time.Minute)
		before := h.asked.Load()
		for range 600 {
			time.Sleep(time.Second)
			h.Busy()
		}
		if n := h.asked.Load() - before; n < 55 || n > 70 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		h.lost.Store(5)
		for range 11 {
			h.Busy()
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff(exactly(5), h.reporter.losses(Kernel)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestHelperIsAskedBehindAFlood uses up the bucket, behind which nothing is
// printed.
func TestHelperIsAskedBehindAFlood(t *testing.T) {
	withHelper(t, true, func(h *helped) {
		time.Sleep(time.Minute)
		h.lost.Store(5)
		for n := range 10 {
			h.heard(kmsgLine{finding: kmsgRecord, serial: uint32(n)})
		}
		time.Sleep(7 * time.Second)
		if diff := cmp.Diff(exactly(5), h.reporter.losses(Kernel)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHelperIsAskedNowAndThenWhereThereIsNoLog(t *testing.T) {
	withHelper(t, false, func(h *helped) {
		time.Sleep(time.Hour)
		if n := h.asked.Load(); n < 59 || n > 62 {
			t.Errorf("asked %d times in an hour", n)
		}
	})
}

func TestHelperThatFailsIsLeftAloneForAWhile(t *testing.T) {
	failed, absent := error(errors.New("garbage")), error(fs.ErrNotExist)
	for _, tt := range []struct {
		name        string
		err         *error
		least, most int64
	}{
		{"garbage", &failed, 3, 5},
		{"absent", &absent, 100, 130},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withHelper(t, true, func(h *helped) {
				time.Sleep(time.Minute)
				h.err.Store(tt.err)
				before := h.asked.Load()
				for n := range 1200 {
					time.Sleep(100 * time.Millisecond)
					h.heard(kmsgLine{finding: kmsgLost, number: uint32(n + 1)})
				}
				if n := h.asked.Load() - before; n < tt.least || n > tt.most {
					t.Errorf("asked %d times in two minutes, want %d to %d", n, tt.least, tt.most)
				}
				time.Sleep(2 * time.Second)
				if diff := cmp.Diff(atLeast(1200), h.reporter.losses(Kernel)); diff != "" {
					t.Errorf("from the log (-want +got):\n%s", diff)
				}
				if st := h.Status(); st.Source != SourceLog || !errors.Is(st.Err, *tt.err) || st.Accuracy != ipe.AccuracyAtLeast {
					t.Errorf("status %+v", st)
				}
				h.err.Store(nil)
				h.lost.Store(1207)
				time.Sleep(failInterval)
				h.say(kmsgBacklog)
				time.Sleep(2 * time.Second)
				if diff := cmp.Diff(exactly(7), h.reporter.losses(Kernel)); diff != "" {
					t.Errorf("of the helper that is back (-want +got):\n%s", diff)
				}
				if st := h.Status(); st.Source != SourceHelper || st.Err != nil || st.Accuracy != ipe.AccuracyExact {
					t.Errorf("status %+v", st)
				}
			})
		})
	}
}

func TestChangesOfTheSourceAreSaid(t *testing.T) {
	var said []Source
	failed := error(errors.New("garbage"))
	withHelper(t, false, func(h *helped) {
		h.Changed = func(st KernelStatus) { said = append(said, st.Source) }
		time.Sleep(time.Hour)
		h.err.Store(&failed)
		time.Sleep(time.Hour)
		h.err.Store(nil)
		time.Sleep(time.Hour)
	})
	if diff := cmp.Diff([]Source{SourceNone, SourceHelper}, said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRealHelperThatHangsDoesNotHoldUpTheEnd has a socket that nobody accepts
// from.
func TestRealHelperThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newKernelWatch(New(nil))
	w.AskHelper(l.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, nil) }()
	cancel()
	start := time.Now()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > askTimeout {
		t.Errorf("ended after %v", d)
	}
}

// Until the first answer nothing is known, and that is what is said.
func TestStatusBeforeTheFirstAnswer(t *testing.T) {
	t.Parallel()
	got := newKernelWatch(New(nil)).Status()
	if got.Source != SourcePending || got.Accuracy != ipe.AccuracyUnknown || got.Err != nil || !got.Asked.IsZero() {
		t.Errorf("got %+v", got)
	}
}

// TestRealHelperAndTheKernelAgree asks through a helper and directly.
func TestRealHelperAndTheKernelAgree(t *testing.T) {
	t.Parallel()
	direct, err := host.QueryAudit()
	if err != nil {
		t.Skipf("needs CAP_AUDIT_CONTROL and a kernel with audit: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go auditstate.Serve(l, auditstate.Collect, auditstate.DefaultPace()) //nolint:errcheck // ends with the listener
	w := newKernelWatch(New(nil))
	w.AskHelper(l.Addr().String())
	w.ask(t.Context())
	if told, st := w.Reported(), w.Status(); !told.Known || told.Lost < direct.Lost || st.Source != SourceHelper {
		t.Errorf("told %+v by %+v, the kernel says %d", told, st, direct.Lost)
	}
}

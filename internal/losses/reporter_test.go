package losses

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// collect runs a Reporter in a bubble of fake time, calls play, and returns the
// events it told, with the milliseconds at which it told them.
func collect(t *testing.T, play func(l *Reporter)) (events []ipe.Event, at []int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		l := New(func(ev *ipe.Event) {
			events = append(events, *ev)
			at = append(at, time.Since(start).Milliseconds())
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		play(l)
		synctest.Wait()
		cancel()
		<-done
	})
	return events, at
}

func TestLedgerTellsTheFirstLossAtOnceAndThenOnceASecond(t *testing.T) {
	events, at := collect(t, func(l *Reporter) {
		l.Add(Socket, exactly(3))
		time.Sleep(50 * time.Millisecond)
		for range 15 {
			time.Sleep(100 * time.Millisecond)
			l.Add(Socket, exactly(1))
		}
	})
	var counts []uint64
	for _, ev := range events {
		counts = append(counts, ev.Count)
	}
	if diff := cmp.Diff([]uint64{3, 9, 6}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{0, 1000, 1550}, at); diff != "" {
		t.Errorf("told at ms (-want +got):\n%s", diff)
	}
}

func TestLedgerKeepsAccountsApart(t *testing.T) {
	events, _ := collect(t, func(l *Reporter) {
		l.Add(Socket, exactly(1))
		l.Add(Forged, exactly(2))
		l.Add(Truncated, exactly(4))
		l.Add(Kernel, Loss{Count: 8, Accuracy: ipe.AccuracyAtLeast})
		for a, want := range map[Stage]uint64{Socket: 1, Forged: 2, Truncated: 4, Kernel: 8} {
			if got, exact := l.Total(a); got != want || exact != (a != Kernel) {
				t.Errorf("Total(%v) = %d, %v", a.Name(), got, exact)
			}
		}
	})
	type told struct {
		Event, Stage, Accuracy string
		Count                  uint64
	}
	var got []told
	for _, ev := range events {
		got = append(got, told{ev.Kind.String(), string(ev.Stage), ev.Accuracy.String(), ev.Count})
	}
	want := []told{
		{"lost", "socket", "exact", 1},
		{"lost", "kernel", "at_least", 8},
		{"lost", "truncated", "exact", 4},
		{"forged", "socket", "exact", 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLedgerGivesNoNumberThatIsNotKnown(t *testing.T) {
	events, at := collect(t, func(l *Reporter) {
		l.Add(Kernel, Loss{Count: 7, Accuracy: ipe.AccuracyUnknown})
		synctest.Wait()
		for range 3 {
			time.Sleep(15 * time.Minute)
			l.Add(Kernel, Loss{Count: 7, Accuracy: ipe.AccuracyUnknown})
		}
		time.Sleep(30 * time.Minute)
		if n, exact := l.Total(Kernel); n != 0 || exact {
			t.Errorf("Total() = %d, exact %v; want 0, inexact", n, exact)
		}
	})
	if diff := cmp.Diff([]int64{0, 3_600_000}, at); diff != "" {
		t.Errorf("told at ms (-want +got):\n%s", diff)
	}
	for _, ev := range events {
		if ev.Has&ipe.HasCount != 0 || ev.Accuracy != ipe.AccuracyUnknown {
			t.Errorf("told count %d with accuracy %v", ev.Count, ev.Accuracy)
		}
	}
}

// TestWhatIsNotKnownHidesNoNumber has a loss without a number told, and another
// one pending for the rest of the hour.
func TestWhatIsNotKnownHidesNoNumber(t *testing.T) {
	events, at := collect(t, func(l *Reporter) {
		unknown := Loss{Accuracy: ipe.AccuracyUnknown}
		l.Add(Kernel, unknown)
		synctest.Wait()
		l.Add(Kernel, unknown)
		time.Sleep(time.Minute)
		l.Add(Kernel, exactly(7))
		time.Sleep(2 * time.Hour)
	})
	if diff := cmp.Diff([]int64{0, 60_000, 3_600_000}, at); diff != "" {
		t.Fatalf("told at ms (-want +got):\n%s", diff)
	}
	if ev := events[1]; ev.Count != 7 || ev.Accuracy != ipe.AccuracyExact {
		t.Errorf("told %d with accuracy %v, want 7, exact", ev.Count, ev.Accuracy)
	}
}

func TestLedgerSpansTheTimeOfWhatItAddsUp(t *testing.T) {
	events, _ := collect(t, func(l *Reporter) {
		l.Add(Socket, exactly(1))
		synctest.Wait()
		l.Add(Socket, Loss{Count: 1, Accuracy: ipe.AccuracyExact, Since: time.UnixMilli(100), Until: time.UnixMilli(200)})
		l.Add(Socket, Loss{Count: 1, Accuracy: ipe.AccuracyExact, Since: time.UnixMilli(200), Until: time.UnixMilli(300)})
	})
	if len(events) != 2 {
		t.Fatalf("told %d events, want 2", len(events))
	}
	if ev := events[1]; ev.Since != 100 || ev.Until != 300 || ev.Count != 2 {
		t.Errorf("told %d from %d to %d, want 2 from 100 to 300", ev.Count, ev.Since, ev.Until)
	}
	if ev := events[0]; ev.Has&(ipe.HasSince|ipe.HasUntil) != 0 {
		t.Errorf("told times that nobody gave: %+v", ev)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	l := New(func(*ipe.Event) {})
	loss := exactly(1)
	if n := testing.AllocsPerRun(100, func() { l.Add(Forged, loss) }); n != 0 {
		t.Errorf("Add allocates %v times", n)
	}
}

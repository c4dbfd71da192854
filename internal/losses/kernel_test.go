package losses

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// losses is a Reporter that is not running, so its accounts can be read.
func (l *Reporter) losses(a Stage) Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pending[a]
	loss := p.counted.Loss
	if loss.Accuracy == ipe.AccuracyNone {
		loss = p.unknown.Loss
	}
	*p = unreported{}
	loss.Since, loss.Until = time.Time{}, time.Time{}
	return loss
}

// asking returns a watch that asks the kernel, which answers with *status.
func asking(status *host.AuditStatus) *KernelWatch {
	w := newKernelWatch(New(nil))
	w.own = func() (host.AuditStatus, error) { return *status, nil }
	return w
}

// step is a number of the kernel, and what is lost by it.
type step struct {
	name string
	lost uint32
	want Loss
}

func exactly(n uint64) Loss { return Loss{Count: n, Accuracy: ipe.AccuracyExact} }
func atLeast(n uint64) Loss { return Loss{Count: n, Accuracy: ipe.AccuracyAtLeast} }

func TestKernelWatchTellsOnlyWhatWasLostSinceTheStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"counting", []step{
			{"the first number", 100, Loss{}},
			{"unchanged", 100, Loss{}},
			{"more", 105, exactly(5)},
		}},
		{"reset by an administrator", []step{
			{"the first number", 100, Loss{}},
			{"reset", 0, Loss{}},
			{"more after the reset", 2, exactly(2)},
			{"reset and more in between", 1, atLeast(1)},
		}},
		{"a large number that is reset", []step{
			{"the first number", 3_000_000_000, Loss{}},
			{"reset", 7, atLeast(7)},
			{"more", 8, exactly(1)},
		}},
		{"wrapped", []step{
			{"the first number", math.MaxUint32 - 2, Loss{}},
			{"over the end", 4, exactly(7)},
			{"more", 5, exactly(1)},
		}},
		{"the whole range", []step{
			{"the first number", 0, Loss{}},
			{"as many as can be counted", math.MaxUint32, exactly(math.MaxUint32)},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var status host.AuditStatus
			w := asking(&status)
			for _, step := range tt.steps {
				status.Lost = step.lost
				w.ask(t.Context())
				if diff := cmp.Diff(step.want, w.reporter.losses(Kernel)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.name, diff)
				}
			}
		})
	}
}

func TestKernelWatchResumesAtTheNumberOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		told Reported
		want Loss
	}{
		{"lost while away", Reported{Known: true, Lost: 10}, exactly(2)},
		{"nothing lost", Reported{Known: true, Lost: 12}, Loss{}},
		{"reset while away", Reported{Known: true, Lost: 500}, atLeast(12)},
		{"some of it concluded and told", Reported{Known: true, Lost: 5, Estimated: 4}, exactly(3)},
		{"too much concluded", Reported{Known: true, Lost: 5, Estimated: 9}, Loss{}},
		{"the kernel has never said a number", Reported{Known: true, Assumed: true, Estimated: 4}, Loss{}},
		{"not known", Reported{}, Loss{}},
	} {
		w := asking(&host.AuditStatus{Lost: 12})
		w.Resume(tt.told, time.Now())
		if !tt.told.Known {
			w = asking(&host.AuditStatus{Lost: 12})
		}
		w.ask(t.Context())
		if diff := cmp.Diff(tt.want, w.reporter.losses(Kernel)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestKernelWatchGivesNoNumberWhereItMeansNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		watch func(*KernelWatch)
		pid   uint32
		want  ipe.Accuracy
	}{
		{"audit=1 and no auditd", func(w *KernelWatch) { w.holdQueue = true }, 0, ipe.AccuracyUnknown},
		{"audit=1 and auditd", func(w *KernelWatch) { w.holdQueue = true }, 7, ipe.AccuracyExact},
		{"no audit=1", func(*KernelWatch) {}, 0, ipe.AccuracyExact},
		{"overflow seen in the log", func(w *KernelWatch) { w.heard(kmsgLine{finding: kmsgOverflow}) }, 0, ipe.AccuracyUnknown},
		{"overflow seen in the log, and now an auditd", func(w *KernelWatch) { w.heard(kmsgLine{finding: kmsgOverflow}) }, 7, ipe.AccuracyExact},
		{"an auditd that did not read", func(w *KernelWatch) { w.heard(kmsgLine{finding: kmsgOverflow, retry: true}) }, 7, ipe.AccuracyUnknown},
	}
	for _, tt := range tests {
		status := host.AuditStatus{PID: tt.pid, Lost: 1}
		w := asking(&status)
		tt.watch(w)
		w.ask(t.Context())
		status.Lost = 5
		w.ask(t.Context())
		if got := w.reporter.losses(Kernel).Accuracy; got != tt.want {
			t.Errorf("%s: accuracy %v, want %v", tt.name, got, tt.want)
		}
		if got := w.Status().Accuracy; got != tt.want {
			t.Errorf("%s: status says %v, want %v", tt.name, got, tt.want)
		}
	}
}

// logLine is one record of the kernel log with the kernel's number.
func logLine(lost int) string {
	return fmt.Sprintf("4,%d,2,-;audit: audit_lost=%d audit_rate_limit=0 audit_backlog_limit=64\n", lost, lost)
}

// deaf returns a watch that can ask nobody and follows the kernel log.
func deaf(t *testing.T) *KernelWatch {
	t.Helper()
	w := newKernelWatch(New(nil))
	w.status.Log = true
	return w
}

// play gives records of the kernel log to a watch.
func play(w *KernelWatch, records ...string) {
	for _, record := range records {
		if l := parseKmsg([]byte(record)); l.finding != kmsgNothing {
			w.heard(l)
		}
	}
}

func TestKernelWatchCountsAtLeastWhatTheLogSays(t *testing.T) {
	t.Parallel()
	const (
		overflow = "3,1,2,-;audit: kauditd hold queue overflow\n"
		backlog  = "4,1,2,-;audit: audit_backlog=65 > audit_backlog_limit=64\n"
	)
	fresh := func(*KernelWatch) {}
	resumed := func(w *KernelWatch) { w.Resume(Reported{Known: true, Lost: 40}, time.Now()) }
	resumedAt := func(line uint64) func(*KernelWatch) {
		return func(w *KernelWatch) { w.Resume(Reported{Known: true, Lost: 40, Line: line}, time.Now()) }
	}
	tests := []struct {
		name      string
		resume    func(*KernelWatch)
		old, live []string
		want      Loss
	}{
		{"nothing", fresh, nil, nil, Loss{}},
		{"the first loss since boot", fresh, nil, []string{logLine(3)}, atLeast(3)},
		{"old lines are where we begin", fresh, []string{logLine(3), logLine(9)}, nil, Loss{}},
		{"new lines beyond old ones", fresh, []string{logLine(9)}, []string{logLine(10), logLine(12)}, atLeast(3)},
		{"lost while no process was here", resumed, []string{logLine(30), logLine(45)}, nil, atLeast(5)},
		{"old lines that were told already", resumed, []string{logLine(30)}, []string{logLine(41)}, atLeast(1)},
		{"old lines from before a reset, told already", resumedAt(900), []string{logLine(900)}, []string{logLine(41)}, atLeast(1)},
		{"a reset while no process was here", resumedAt(7), []string{logLine(9)}, nil, atLeast(9)},
		{"a full queue and the number", fresh, nil, []string{backlog, logLine(7), backlog, logLine(8)}, atLeast(8)},
		{"a full queue, the number swallowed", resumed, nil, []string{backlog, backlog}, atLeast(1)},
		{"a full queue of before", fresh, []string{logLine(3), backlog}, nil, Loss{}},
		{"the hold queue", fresh, nil, []string{logLine(3), overflow}, Loss{Count: 3, Accuracy: ipe.AccuracyUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := deaf(t)
			tt.resume(w)
			w.ask(t.Context())
			play(w, tt.old...)
			w.caughtUp()
			play(w, tt.live...)
			w.ask(t.Context())
			if diff := cmp.Diff(tt.want, w.reporter.losses(Kernel)); diff != "" {
				t.Errorf("loss (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKernelWatchCountsNothingTwiceBehindAFullQueue(t *testing.T) {
	t.Parallel()
	w := deaf(t)
	w.ask(t.Context())
	w.caughtUp()
	w.heard(kmsgLine{finding: kmsgBacklog})
	w.ask(t.Context())
	w.heard(kmsgLine{finding: kmsgLost, number: 9})
	w.ask(t.Context())
	if got := w.reporter.losses(Kernel).Count; got != 9 {
		t.Errorf("%d told, want the 9 of the kernel", got)
	}
}

// TestAnAnswerIsWorthMoreThanTheLog has lines that are read behind an answer
// that came later than they were printed.
func TestAnAnswerIsWorthMoreThanTheLog(t *testing.T) {
	t.Parallel()
	status := host.AuditStatus{Lost: 1000}
	w := asking(&status)
	w.ask(t.Context())
	play(w, logLine(5000), logLine(10)) // from before a reset, and from behind it
	w.caughtUp()
	w.ask(t.Context())
	status.Lost = 1010
	w.ask(t.Context())
	if diff := cmp.Diff(exactly(10), w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.own = func() (host.AuditStatus, error) { return host.AuditStatus{}, errors.New("no more") }
	w.status.Log = true
	play(w, logLine(1005)) // printed before the answer
	w.ask(t.Context())
	if diff := cmp.Diff(Loss{}, w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("a line of before (-want +got):\n%s", diff)
	}
	play(w, logLine(1013))
	w.ask(t.Context())
	if diff := cmp.Diff(atLeast(3), w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("a line of now (-want +got):\n%s", diff)
	}
}

// TestConclusionsAndNumbersAreOneSum tells from the log first, and gets the
// kernel's number later: each loss is told once.
func TestConclusionsAndNumbersAreOneSum(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		concluded uint64
		number    uint32
		want      Loss
	}{
		{"less than there was", 300, 1301, exactly(1)},
		{"all there was", 300, 1300, Loss{}},
		{"more than there was", 300, 1100, Loss{}},
	} {
		status := host.AuditStatus{Lost: 1000}
		w := asking(&status)
		w.ask(t.Context())
		w.status.Log, w.caught = true, true
		own := w.own
		w.own = nil
		w.count.atLeast(int64(tt.concluded))
		w.ask(t.Context())
		if diff := cmp.Diff(atLeast(tt.concluded), w.reporter.losses(Kernel)); diff != "" {
			t.Errorf("%s: concluded (-want +got):\n%s", tt.name, diff)
		}
		// A process later.
		told := w.Reported()
		w = asking(&status)
		w.own = own
		w.Resume(told, time.Now())
		status.Lost = tt.number
		w.ask(t.Context())
		if diff := cmp.Diff(tt.want, w.reporter.losses(Kernel)); diff != "" {
			t.Errorf("%s: the number (-want +got):\n%s", tt.name, diff)
		}
		status.Lost = 1400
		w.ask(t.Context())
		if want, got := 400-max(uint64(tt.number)-1000, tt.concluded), w.reporter.losses(Kernel).Count; got != want {
			t.Errorf("%s: then %d, want %d", tt.name, got, want)
		}
	}
}

func TestConclusionsAreTakenBackByANumberBeforeTheyAreTold(t *testing.T) {
	t.Parallel()
	status := host.AuditStatus{Lost: 10}
	w := asking(&status)
	w.ask(t.Context())
	w.caught = true
	w.count.atLeast(500) // somebody else has used the bucket
	status.Lost = 13
	w.ask(t.Context())
	if diff := cmp.Diff(exactly(3), w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRealKernelLogCanBeFollowed(t *testing.T) {
	t.Parallel()
	kmsg, err := OpenKmsg()
	if err != nil {
		t.Skipf("needs the right to read /dev/kmsg: %v", err)
	}
	w := NewKernelWatch(New(nil), t.TempDir()+"/absent")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, kmsg) }()
	for {
		w.mu.Lock()
		caught := w.caught
		w.mu.Unlock()
		if caught {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the end of the kernel log was not reached")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if !w.Reported().Known {
		t.Error("the kernel's count is not known")
	}
}

// TestKernelWatchKeepsWhatWasToldOnly ends a process between a loss and the
// event about it: the next one must tell it.
func TestKernelWatchKeepsWhatWasToldOnly(t *testing.T) {
	t.Parallel()
	status := host.AuditStatus{Lost: 10}
	w := asking(&status)
	var kept uint32
	w.Begun = func() { kept = w.Reported().Lost }

	ended, end := context.WithCancel(t.Context())
	end()
	if err := w.Run(ended, nil); err != nil {
		t.Fatal(err)
	}
	if kept != 10 {
		t.Errorf("began with %d, want 10", kept)
	}
	status.Lost = 13
	w.ask(t.Context())
	if told := w.Reported(); told.Lost != 10 || !told.Known {
		t.Errorf("told %+v before any event; want 10", told)
	}
	w.reporter.losses(Kernel) // as if it was told
	if told := w.Reported(); told.Lost != 13 || !told.Known {
		t.Errorf("told %+v after the event; want 13", told)
	}
}

package ledger

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestParseKmsgBelievesOnlyTheKernel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		record string
		want   kmsgFinding
		lost   uint32
	}{
		{"4,1234,5678,-;audit: audit_lost=17 audit_rate_limit=0 audit_backlog_limit=64\n", kmsgLost, 17},
		{"4,1234,5678,-,caller=T1;audit: audit_lost=4294967295 audit_rate_limit=0 audit_backlog_limit=64\n SUBSYSTEM=x\n", kmsgLost, 4294967295},
		{"3,1234,5678,-;audit: kauditd hold queue overflow\n", kmsgHoldOverflow, 0},
		{"4,1234,5678,-;audit: audit_backlog=65 > audit_backlog_limit=64\n", kmsgBacklog, 0},
		{"3,1234,5678,-;audit: backlog limit exceeded\n", kmsgNothing, 0},                                   // behind the number: it would count twice
		{"12,1234,5678,-;audit: audit_lost=99 audit_rate_limit=0 audit_backlog_limit=64\n", kmsgNothing, 0}, // a process wrote it
		{"5,1,2,-;audit: type=1420 audit(1.0:1): comm=\"audit_lost=5\"\n", kmsgNothing, 0},
		{"4,1,2,-;audit: audit_lost=many\n", kmsgNothing, 0},
		{"4,1,2,-;audit: audit_lost=4294967296 \n", kmsgNothing, 0},
		{"audit: audit_lost=1 ", kmsgNothing, 0},
		{"", kmsgNothing, 0},
	}
	for _, tt := range tests {
		if got, lost := parseKmsg([]byte(tt.record)); got != tt.want || lost != tt.lost {
			t.Errorf("parseKmsg(%q) = %v, %d; want %v, %d", tt.record, got, lost, tt.want, tt.lost)
		}
	}
}

func FuzzParseKmsg(f *testing.F) {
	f.Add([]byte("4,1234,5678,-;audit: audit_lost=17 audit_rate_limit=0 audit_backlog_limit=64\n"))
	f.Add([]byte("3,1,2,-;audit: kauditd hold queue overflow\n"))
	f.Fuzz(func(t *testing.T, record []byte) {
		finding, lost := parseKmsg(record)
		if finding != kmsgLost && lost != 0 {
			t.Errorf("a number without a line that gives one: %d", lost)
		}
	})
}

// losses is a ledger that is not running, so its accounts can be read.
func (l *Ledger) losses(a Account) Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	loss := l.pending[a]
	l.pending[a] = Loss{}
	loss.Since, loss.Until = time.Time{}, time.Time{}
	return loss
}

func TestKernelWatchTellsOnlyWhatWasLostSinceTheStart(t *testing.T) {
	t.Parallel()
	l := New(nil)
	status := host.AuditStatus{Lost: 100}
	w := &KernelWatch{ledger: l, Query: func() (host.AuditStatus, error) { return status, nil }}
	steps := []struct {
		name string
		lost uint32
		want Loss
	}{
		{"the first number", 100, Loss{}},
		{"unchanged", 100, Loss{}},
		{"more", 105, Loss{Count: 5, Accuracy: ipe.AccuracyExact}},
		{"reset by an administrator", 0, Loss{}},
		{"more after the reset", 2, Loss{Count: 2, Accuracy: ipe.AccuracyExact}},
	}
	for _, step := range steps {
		status.Lost = step.lost
		w.ask()
		if diff := cmp.Diff(step.want, l.losses(Kernel)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestKernelWatchResumesAtTheNumberOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	l := New(nil)
	w := &KernelWatch{ledger: l, Query: func() (host.AuditStatus, error) { return host.AuditStatus{Lost: 12}, nil }}
	w.Resume(10, time.Now())
	w.ask()
	if diff := cmp.Diff(Loss{Count: 2, Accuracy: ipe.AccuracyExact}, l.losses(Kernel)); diff != "" {
		t.Errorf("lost while away (-want +got):\n%s", diff)
	}
}

func TestKernelWatchGivesNoNumberWhereTheHoldQueueCounts(t *testing.T) {
	t.Parallel()
	status := host.AuditStatus{}
	ask := func() (host.AuditStatus, error) { return status, nil }
	tests := []struct {
		name  string
		watch *KernelWatch
		pid   uint32
		want  ipe.Accuracy
	}{
		{"audit=1 and no auditd", &KernelWatch{HoldQueue: true}, 0, ipe.AccuracyUnknown},
		{"audit=1 and auditd", &KernelWatch{HoldQueue: true}, 7, ipe.AccuracyExact},
		{"no audit=1", &KernelWatch{}, 0, ipe.AccuracyExact},
		{"overflow seen in the log", &KernelWatch{overflow: true}, 0, ipe.AccuracyUnknown},
	}
	for _, tt := range tests {
		l := New(nil)
		w := tt.watch
		w.ledger, w.Query = l, ask
		status = host.AuditStatus{PID: tt.pid, Lost: 1}
		w.ask()
		status.Lost = 5
		w.ask()
		if got := l.losses(Kernel).Accuracy; got != tt.want {
			t.Errorf("%s: accuracy %v, want %v", tt.name, got, tt.want)
		}
	}
}

// logLine is one record of the kernel log with the kernel's number.
func logLine(lost int) string {
	return fmt.Sprintf("4,1,2,-;audit: audit_lost=%d audit_rate_limit=0 audit_backlog_limit=64\n", lost)
}

// heardBy plays old and new records of the kernel log to a watch without
// CAP_AUDIT_CONTROL.
func heardBy(t *testing.T, resume func(*KernelWatch), old, live []string) Loss {
	t.Helper()
	l := New(nil)
	w := &KernelWatch{ledger: l}
	resume(w)
	synctest.Test(t, func(t *testing.T) {
		play := func(records []string) {
			for _, record := range records {
				if finding, lost := parseKmsg([]byte(record)); finding != kmsgNothing {
					w.heard(finding, lost)
				}
			}
		}
		play(old)
		w.caughtUp()
		play(live)
		time.Sleep(2 * settleTime)
	})
	return l.losses(Kernel)
}

func TestKernelWatchCountsAtLeastWhatTheLogSays(t *testing.T) {
	const (
		overflow = "3,1,2,-;audit: kauditd hold queue overflow\n"
		backlog  = "4,1,2,-;audit: audit_backlog=65 > audit_backlog_limit=64\n"
	)
	fresh := func(*KernelWatch) {}
	resumed := func(w *KernelWatch) { w.Resume(40, time.Now()) }
	atLeast := func(n uint64) Loss { return Loss{Count: n, Accuracy: ipe.AccuracyAtLeast} }
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
		{"a full queue and the number", fresh, nil, []string{backlog, logLine(7), backlog, logLine(8)}, atLeast(8)},
		{"a full queue, the number swallowed", resumed, nil, []string{backlog, backlog}, atLeast(1)},
		{"a full queue of before", fresh, []string{logLine(3), backlog}, nil, Loss{}},
		{"the hold queue", fresh, nil, []string{logLine(3), overflow}, Loss{Count: 3, Accuracy: ipe.AccuracyUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, heardBy(t, tt.resume, tt.old, tt.live)); diff != "" {
				t.Errorf("loss (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKernelWatchCountsNothingTwiceBehindAFullQueue(t *testing.T) {
	l := New(nil)
	w := &KernelWatch{ledger: l}
	synctest.Test(t, func(t *testing.T) {
		w.caughtUp()
		w.heard(kmsgBacklog, 0)
		time.Sleep(2 * settleTime)
		w.heard(kmsgLost, 9)
		time.Sleep(2 * settleTime)
	})
	if got := l.losses(Kernel).Count; got != 9 {
		t.Errorf("%d told, want the 9 of the kernel", got)
	}
}

// pipe returns a non-blocking packet pipe: like /dev/kmsg, one read returns
// one record.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "kmsg"), os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestFollowKmsgTellsOldFromNewRecords(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	write := func(s string) {
		if _, err := w.WriteString(s); err != nil {
			t.Error(err)
		}
	}
	write(logLine(1))
	heard := make(chan string, 8)
	done := make(chan error, 1)
	go func() {
		done <- followKmsg(r,
			func(_ kmsgFinding, lost uint32) { heard <- fmt.Sprint(lost) },
			func() { heard <- "caught up" })
	}()
	for _, want := range []string{"1", "caught up"} {
		if got := <-heard; got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	write("6,1,2,-;something else\n")
	write(logLine(2))
	if got := <-heard; got != "2" {
		t.Fatalf("heard %q, want 2", got)
	}
	r.Close()
	if err := <-done; err == nil {
		t.Error("no error after Close")
	}
}

func TestRealKernelLogCanBeFollowed(t *testing.T) {
	t.Parallel()
	kmsg, err := OpenKmsg()
	if err != nil {
		t.Skipf("needs the right to read /dev/kmsg: %v", err)
	}
	l := New(nil)
	w := NewKernelWatch(l)
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
	if _, known := w.Told(); !known {
		t.Error("the kernel's count is not known")
	}
}

// TestKernelWatchKeepsWhatWasToldOnly ends a process between a loss and the
// event about it: the next one must tell it.
func TestKernelWatchKeepsWhatWasToldOnly(t *testing.T) {
	t.Parallel()
	status := host.AuditStatus{Lost: 10}
	ask := func() (host.AuditStatus, error) { return status, nil }
	var kept uint32
	w := &KernelWatch{ledger: New(nil), Query: ask}
	w.Begun = func() { kept, _ = w.Told() }

	ended, end := context.WithCancel(t.Context())
	end()
	if err := w.Run(ended, nil); err != nil {
		t.Fatal(err)
	}
	if kept != 10 {
		t.Errorf("began with %d, want 10", kept)
	}
	status.Lost = 13
	w.ask()
	if told, known := w.Told(); told != 10 || !known {
		t.Errorf("told %d, %v before any event; want 10", told, known)
	}
	w.ledger.losses(Kernel) // as if it was told
	if told, known := w.Told(); told != 13 || !known {
		t.Errorf("told %d, %v after the event; want 13", told, known)
	}
}

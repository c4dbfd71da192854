package losses

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// fakeKernel prints what a kernel would print, without auditd: kernel/audit.c
// and lib/ratelimit.c.
type fakeKernel struct {
	print func(record string)

	now     time.Duration // since boot
	seq     int
	begin   time.Duration // of the bucket; 0: never used
	printed int
	missed  int

	queue  []uint32 // serials of what waits
	serial uint32
	lost   uint32
	silent bool // failure=0
	shared bool // audit is enabled: a SYSCALL record with the same serial
}

func (k *fakeKernel) line(format string, args ...any) {
	k.seq++
	k.print(fmt.Sprintf("4,%d,%d,-;%s\n", k.seq, k.now.Microseconds(), fmt.Sprintf(format, args...)))
}

// ask is __printk_ratelimit.
func (k *fakeKernel) ask(function string) bool {
	if k.begin == 0 {
		k.begin = k.now
	}
	if k.now > k.begin+5*time.Second {
		if k.missed > 0 {
			k.line("%s: %d callbacks suppressed", function, k.missed)
		}
		k.begin, k.printed, k.missed = k.now, 0, 0
	}
	if k.printed < 10 {
		k.printed++
		return true
	}
	k.missed++
	return false
}

// log is audit_log_start and audit_log_end of a record that has room.
func (k *fakeKernel) log() {
	k.serial++
	k.queue = append(k.queue, k.serial)
}

// send is kauditd, which takes everything.
func (k *fakeKernel) send() {
	for _, serial := range k.queue {
		if k.ask("kauditd_printk_skb") {
			k.line("audit: type=1420 audit(1795440701.244:%d): ipe_op=EXECUTE", serial)
		}
		if k.shared && k.ask("kauditd_printk_skb") {
			k.line("audit: type=1300 audit(1795440701.244:%d): arch=c000003e", serial)
		}
	}
	k.queue = nil
}

// lose is audit_log_start of a record that has none.
func (k *fakeKernel) lose() {
	if k.ask("audit_log_start") {
		k.line("audit: audit_backlog=65 > audit_backlog_limit=64")
	}
	k.lost++
	if k.ask("audit_log_lost") {
		k.line("audit: audit_lost=%d audit_rate_limit=0 audit_backlog_limit=64", k.lost)
	}
	if !k.silent && k.ask("audit_panic") {
		k.line("audit: backlog limit exceeded")
	}
}

// crash is a program that ends by a signal (show_signal_msg).
func (k *fakeKernel) crash() {
	if k.ask("show_signal_msg") {
		k.line("crash[77]: segfault at 0 ip 0000000000401000 sp 00007ffd error 4 in crash[401000+1000]")
	}
}

// flood logs and loses in turn.
func (k *fakeKernel) flood(delivered, lost int) {
	for n := range max(delivered, lost) {
		if n < delivered {
			k.log()
		}
		if n < lost {
			k.lose()
		}
		if n%64 == 63 {
			k.send()
		}
		k.now += 100 * time.Microsecond
	}
	k.send()
}

// told is what a watch has entered.
type told struct {
	count    uint64
	unknowns int
}

// watchOf returns a watch that hears the kernel from its start, and what it
// enters after each look at it.
func watchOf(k *fakeKernel) (look func() told) {
	w := newKernelWatch(New(nil))
	w.status.Log = true
	w.status.Source = SourceLog
	k.print = func(record string) { play(w, record) }
	w.caughtUp()
	var sum told
	return func() told {
		w.mu.Lock()
		w.conclude(time.Now())
		w.mu.Unlock()
		p := &w.reporter.pending[Kernel]
		sum.count += p.counted.Count
		if p.unknown.Accuracy == ipe.AccuracyUnknown {
			sum.unknowns++
		}
		*p = unreported{}
		return sum
	}
}

func TestTheSumOfWhatWasSuppressedIsExact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		play   func(k *fakeKernel)
		serial uint32
	}{
		{"nothing lost", func(k *fakeKernel) { k.flood(5000, 0) }, 0},
		{"one lost", func(k *fakeKernel) { k.flood(5000, 1) }, 0},
		{"half lost", func(k *fakeKernel) { k.flood(1500, 1501) }, 0},
		{"nearly all lost", func(k *fakeKernel) { k.flood(70, 20000) }, 0},
		{"two floods", func(k *fakeKernel) { k.flood(1000, 2401); k.now += 6 * time.Second; k.flood(3000, 1501) }, 0},
		{"a flood of many windows", func(k *fakeKernel) { k.flood(200_000, 70_000) }, 0},
		{"losses before the first record", func(k *fakeKernel) {
			k.log()
			k.send()
			k.now += 6 * time.Second
			for range 100 {
				k.lose()
			}
			k.flood(500, 0)
		}, 0},
		{"losses alone in one window, and then records", func(k *fakeKernel) {
			k.flood(100, 0)
			k.now += 6 * time.Second
			for range 100 {
				k.lose()
			}
			k.now += 6 * time.Second
			k.flood(100, 50)
		}, 0},
		{"few lines, and then a flood", func(k *fakeKernel) {
			k.flood(4, 1)
			k.now += 6 * time.Second
			k.flood(900, 300)
		}, 0},
		{"serials over the end", func(k *fakeKernel) { k.flood(500, 400) }, 1<<32 - 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := &fakeKernel{now: time.Second}
			look := watchOf(k)
			if tt.serial != 0 {
				k.serial = tt.serial
			}
			k.flood(1, 0)
			k.now += 6 * time.Second
			tt.play(k)
			k.now += 6 * time.Second
			k.flood(1, 0) // who tells how many were suppressed
			if got := look(); got.count != uint64(k.lost) || got.unknowns != 0 {
				t.Errorf("told %d and %d times unknown, lost %d", got.count, got.unknowns, k.lost)
			}
		})
	}
}

func TestThereIsNoNumberWhereOthersUseTheBucket(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		play func(k *fakeKernel)
		want told
	}{
		{"a crash in the same five seconds", func(k *fakeKernel) { k.crash(); k.flood(100, 50) }, told{unknowns: 1}},
		{"crashes without end", func(k *fakeKernel) {
			for range 2000 {
				k.crash()
			}
			k.flood(100, 50)
		}, told{unknowns: 1}},
		{"the crash says what was suppressed", func(k *fakeKernel) { k.flood(100, 50); k.now += 6 * time.Second; k.crash() }, told{unknowns: 1}},
		{"failure=0", func(k *fakeKernel) { k.silent = true; k.flood(100, 50) }, told{unknowns: 1}},
		{"audit enabled", func(k *fakeKernel) { k.shared = true; k.flood(100, 0) }, told{unknowns: 1}},
		{"crashes, and nothing of audit", func(k *fakeKernel) {
			for range 2000 {
				k.crash()
			}
		}, told{}},
		{"crashes, and some records", func(k *fakeKernel) {
			k.flood(3, 0)
			for range 5 {
				k.crash()
			}
		}, told{}},
		{"records and few crashes: each question was one of a record", func(k *fakeKernel) {
			k.flood(11, 0)
			k.now += 6 * time.Second
			k.crash()
		}, told{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := &fakeKernel{now: time.Second}
			look := watchOf(k)
			k.flood(1, 0)
			k.now += 6 * time.Second
			tt.play(k)
			k.now += 6 * time.Second
			k.flood(1, 0)
			got := look()
			if visible := got.count; visible > uint64(k.lost) {
				t.Errorf("told %d, lost %d", visible, k.lost)
			}
			if got.unknowns != tt.want.unknowns {
				t.Errorf("%d times unknown, want %d", got.unknowns, tt.want.unknowns)
			}
		})
	}
}

// TestNeverMoreIsToldThanWasLost plays what a kernel may do, looks at any moment,
// and begins anew at any moment, as a process that was killed. Others use the
// bucket only where that shows.
func TestNeverMoreIsToldThanWasLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := &fakeKernel{now: time.Second, serial: rapid.SampledFrom([]uint32{0, 1<<32 - 50}).Draw(t, "serial")}
		look := watchOf(k)
		check := func() {
			if got := look(); got.count > uint64(k.lost) {
				t.Fatalf("told %d, lost %d", got.count, k.lost)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.IntRange(1, 40).Draw(t, "n")
			switch rapid.SampledFrom([]string{"log", "lose", "send", "flood", "time", "long time", "crash", "look", "silent"}).Draw(t, "step") {
			case "log":
				for range n {
					k.log()
				}
			case "lose":
				for range n {
					k.lose()
				}
			case "send":
				k.send()
			case "flood":
				k.flood(n*10, rapid.IntRange(0, 400).Draw(t, "lost"))
			case "time":
				k.now += time.Duration(n) * 100 * time.Millisecond
			case "long time":
				k.now += 6 * time.Second
			case "crash":
				if k.printed < 10 || k.now > k.begin+5*time.Second {
					k.crash()
				}
			case "silent":
				k.silent = !k.silent
			case "look":
				check()
			}
		}
		k.now += 6 * time.Second
		k.send()
		k.flood(1, 0)
		check()
	})
}

func TestBucketHasTheSettingsOfTheKernel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if b := newBucket(root); b.burst != 10 || b.interval != 5*time.Second {
		t.Errorf("without /proc: %+v", b)
	}
	dir := filepath.Join(root, "proc/sys/kernel")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"printk_ratelimit": "2\n", "printk_ratelimit_burst": "30\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if b := newBucket(root); b.burst != 30 || b.interval != 2*time.Second {
		t.Errorf("set otherwise: %+v", b)
	}
	for _, b := range []*bucket{{burst: 0, interval: time.Second}, {burst: 1 << 30, interval: time.Second}, {burst: 10}} {
		for n := range 30 {
			b.addLine(&kmsgLine{finding: kmsgSuppressed, number: 100, audit: true, seq: uint64(n)}, 0)
			l := &kmsgLine{finding: kmsgRecord, serial: uint32(n)}
			if w, ok := b.end(l); ok {
				t.Errorf("a window %+v of a bucket that limits nothing", w)
			}
			b.addLine(l, 0)
		}
	}
}

// TestTheLogOfARealKernelIsUnderstood has what Linux 6.12.117 printed on two
// processors, with the bodies cut: a flood in which AUDIT_GET counted 6,430, and a
// shorter one of 871. In the first one some questions were not counted, because
// somebody else was just asking (raw_spin_trylock_irqsave in ___ratelimit).
func TestTheLogOfARealKernelIsUnderstood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/kmsg-6.12.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		started uint64 // behind this line
		want    Loss
	}{
		{415, atLeast(6408 + 871)},
		{439, atLeast(871)},
		{451, Loss{}},
	} {
		w := deaf(t)
		w.ask(t.Context())
		for line := range strings.Lines(string(text)) {
			l := parseKmsg([]byte(line))
			if l.finding == kmsgNothing {
				t.Fatalf("not understood: %s", line)
			}
			w.heard(l)
			if l.seq == tt.started {
				w.caughtUp()
			}
		}
		w.ask(t.Context())
		if diff := cmp.Diff(tt.want, w.reporter.losses(Kernel)); diff != "" {
			t.Errorf("started behind line %d (-want +got):\n%s", tt.started, diff)
		}
	}
}

// TestTheLastNumberBeforeTheStartIsOld begins behind a flood of which the log
// says only the first number: what was lost in it is not ours.
func TestTheLastNumberBeforeTheStartIsOld(t *testing.T) {
	t.Parallel()
	var records []string
	k := &fakeKernel{now: time.Second, print: func(r string) { records = append(records, r) }}
	k.flood(1000, 500)
	k.now += 6 * time.Second
	k.flood(1, 0)
	w := deaf(t)
	w.ask(t.Context())
	play(w, records...)
	w.caughtUp()
	k.now += 6 * time.Second
	records = nil
	k.flood(1000, 30)
	k.now += 6 * time.Second
	k.flood(1, 0)
	play(w, records...)
	w.ask(t.Context())
	if diff := cmp.Diff(atLeast(30), w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestALogWithoutANumberDoesNotSayThatNothingWasLost begins behind a flood whose
// numbers were not printed, or are gone from the log.
func TestALogWithoutANumberDoesNotSayThatNothingWasLost(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(w *KernelWatch, k *fakeKernel){
		"suppressed": func(_ *KernelWatch, k *fakeKernel) {
			k.flood(20, 0)
			k.flood(100, 500)
			k.now += 6 * time.Second
			k.flood(1, 0)
		},
		"suppressed until now": func(_ *KernelWatch, k *fakeKernel) { k.flood(20, 0); k.flood(100, 500) },
		"overwritten":          func(w *KernelWatch, k *fakeKernel) { k.lost = 500; w.heard(kmsgLine{finding: kmsgOldest}) },
	} {
		k := &fakeKernel{now: time.Second}
		w := deaf(t)
		k.print = func(r string) { w.heard(parseKmsg([]byte(r))) }
		w.ask(t.Context())
		play(w, k)
		w.caughtUp()
		k.now += 6 * time.Second
		k.flood(3, 2)
		w.ask(t.Context())
		if loss := w.reporter.losses(Kernel); loss.Count > 2 {
			t.Errorf("%s: told %d, and 2 were lost since the start", name, loss.Count)
		}
	}
}

// TestWindowsWithoutANumberAddUp has floods that use up the bucket before the
// first record is lost.
func TestWindowsWithoutANumberAddUp(t *testing.T) {
	t.Parallel()
	k := &fakeKernel{now: time.Second}
	look := watchOf(k)
	for range 3 {
		k.flood(20, 0)
		k.flood(100, 40)
		k.now += 6 * time.Second
	}
	k.flood(1, 0)
	if got := look(); got.count != uint64(k.lost) || got.unknowns != 0 {
		t.Errorf("told %d and %d times unknown, lost %d", got.count, got.unknowns, k.lost)
	}
}

// TestOldWindowsAreNotTold begins in the middle of a flood: what was lost before
// is not ours, and how much of the window is ours nobody knows.
func TestOldWindowsAreNotTold(t *testing.T) {
	t.Parallel()
	var records []string
	k := &fakeKernel{now: time.Second, print: func(r string) { records = append(records, r) }}
	k.flood(1000, 500)
	k.now += 6 * time.Second
	k.flood(100, 0)
	w := deaf(t)
	w.ask(t.Context())
	play(w, records...)
	w.caughtUp()
	records = nil
	k.flood(1000, 70)
	k.now += 6 * time.Second
	k.flood(1, 0)
	play(w, records...)
	w.ask(t.Context())
	if diff := cmp.Diff(Loss{Accuracy: ipe.AccuracyUnknown}, w.reporter.losses(Kernel)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWindowsAreToldOnceOverRestarts kills a process behind each window and
// starts the next one, which reads the whole log again.
func TestWindowsAreToldOnceOverRestarts(t *testing.T) {
	t.Parallel()
	var records []string
	k := &fakeKernel{now: time.Second, print: func(r string) { records = append(records, r) }}
	k.flood(1, 0)
	var kept Reported
	var sum uint64
	for n := range 5 {
		w := deaf(t)
		if n > 0 {
			w.Resume(kept, time.Now())
		}
		w.ask(t.Context())
		play(w, records...)
		w.caughtUp()
		w.ask(t.Context())
		from := len(records)
		k.now += 6 * time.Second
		k.flood(900, 100*(n+1))
		k.now += 6 * time.Second
		k.flood(1, 0)
		if n%2 == 0 { // this one lives to see it
			play(w, records[from:]...)
			w.ask(t.Context())
		}
		sum += w.reporter.losses(Kernel).Count
		kept = w.Reported()
	}
	w := deaf(t)
	w.Resume(kept, time.Now())
	w.ask(t.Context())
	play(w, records...)
	w.caughtUp()
	w.ask(t.Context())
	sum += w.reporter.losses(Kernel).Count
	if sum != uint64(k.lost) {
		t.Errorf("told %d in all, lost %d", sum, k.lost)
	}
}

package procinfo

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper returns a process that sleeps until the test ends.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// running returns an Asker that runs, and the channel of its texts.
func running(t *testing.T, named bool) (*Asker, chan string) {
	t.Helper()
	a := NewAsker("/proc")
	a.Named = func() bool { return named }
	texts := make(chan string, 1000)
	a.Append = func(text []byte) { texts <- string(text) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return a, texts
}

func receive(t *testing.T, texts chan string) string {
	t.Helper()
	select {
	case s := <-texts:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was told")
		return ""
	}
}

// caller returns what a text says.
func caller(pid uint64, text string) *ipe.Event {
	ev := &ipe.Event{Kind: ipe.KindAccess, PID: pid, Has: ipe.HasPID}
	var j Joiner
	j.Join(ev, []byte(text))
	return ev
}

func ownCgroup(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	return string(cgroupOf(b))
}

func key(serial uint64) ipe.Key { return ipe.Key{Time: time.Now().UnixMilli(), Serial: serial} }

func TestAskSaysWhereAProcessRuns(t *testing.T) {
	t.Parallel()
	a, texts := running(t, false)
	pid := uint64(sleeper(t).Process.Pid)
	k := key(7)
	a.Ask(k, pid)
	a.Begin()
	text := receive(t, texts)
	if got, ok := ipe.KeyOf([]byte(text)); !ok || got != k {
		t.Errorf("%q has stamp and serial %v, want %v", text, got, k)
	}
	ev := caller(pid, text)
	if string(ev.Cgroup) != ownCgroup(t) || ev.Context != ipe.ContextProc || ev.Has&ipe.HasUID == 0 || int(ev.UID) != os.Getuid() || int(ev.EUID) != os.Geteuid() || int(ev.PPID) != os.Getpid() {
		t.Errorf("%s: got %s of %d, context %v", text, ev.Cgroup, ev.UID, ev.Context)
	}
	if other := caller(pid+1, text); other.CallerKnown() {
		t.Errorf("%s was taken for that of another process", text)
	}
	for a.Pending(k) {
		time.Sleep(time.Millisecond)
	}
}

func TestAskKnowsANumberThatWasGivenAgain(t *testing.T) {
	t.Parallel()
	a, texts := running(t, false)
	pid := uint64(sleeper(t).Process.Pid)
	before := ipe.Key{Time: time.Now().UnixMilli() - 5000, Serial: 8} // the process began behind it
	a.Ask(before, pid)
	a.Begin()
	if text := receive(t, texts); caller(pid, text).CallerKnown() {
		t.Errorf("%s is about another process", text)
	}
	old := ipe.Key{Time: time.Now().UnixMilli() - 2*oldest, Serial: 9}
	a.Ask(old, uint64(os.Getpid()))
	a.Begin()
	if text := receive(t, texts); caller(uint64(os.Getpid()), text).CallerKnown() {
		t.Errorf("%s is about a record that is too old", text)
	}
}

func TestAskLooksAtTheParentOfWhatHasGone(t *testing.T) {
	t.Parallel()
	a, texts := running(t, true)
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Skipf("needs true: %v", err)
	}
	gone := uint64(cmd.Process.Pid)
	k := key(10)
	a.Ask(k, gone)
	a.Begin()
	for a.Pending(k) {
		time.Sleep(time.Millisecond)
	}
	a.Parent(k, uint64(os.Getpid()))
	a.Begin()
	ev := caller(gone, receive(t, texts))
	if ev.Context != ipe.ContextParent || string(ev.Cgroup) != ownCgroup(t) || ev.Has&(ipe.HasUID|ipe.HasPPID) != 0 {
		t.Errorf("got %s, context %v, has %b", ev.Cgroup, ev.Context, ev.Has)
	}

	// A parent that began behind the record is another process.
	k = ipe.Key{Time: time.Now().UnixMilli() - 5000, Serial: 11}
	a.Ask(k, gone)
	a.Begin()
	a.Parent(k, uint64(sleeper(t).Process.Pid))
	a.Begin()
	if text := receive(t, texts); caller(gone, text).CallerKnown() {
		t.Errorf("%s is about another parent", text)
	}
}

// TestAskIsBounded asks for more than is looked at, with nobody to look.
func TestAskIsBounded(t *testing.T) {
	t.Parallel()
	a := NewAsker("/proc")
	for n := range uint64(1000) {
		a.Ask(ipe.Key{Serial: n + 1}, 1)
	}
	if _, ok := a.next(); ok || !a.Pending(ipe.Key{Serial: 1000}) {
		t.Error("something is looked at before its record is there")
	}
	a.Begin()
	if j, _ := a.next(); j.key.Serial != 1000 {
		t.Errorf("serial %d is looked at first, want the newest", j.key.Serial)
	}
	if _, _, dropped := a.Counts(); dropped != 1000-maxWaiting || a.Pending(ipe.Key{Serial: 1}) || !a.Pending(ipe.Key{Serial: 999}) {
		t.Errorf("%d were given up, want %d", dropped, 1000-maxWaiting)
	}
	now := time.Unix(1000, 0)
	looks := 0
	for range 100_000 {
		if a.pace(now) == 0 {
			looks++
		} else {
			now = now.Add(10 * time.Millisecond)
		}
	}
	if passed := now.Sub(time.Unix(1000, 0)).Seconds(); float64(looks) > burst+perSecond*passed+1 {
		t.Errorf("%d looks in %.1f s", looks, passed)
	}
}

func TestAskDoesNotAllocate(t *testing.T) {
	a := NewAsker("/proc")
	a.Append = func([]byte) {}
	k := key(1)
	pid := uint64(os.Getpid())
	n := testing.AllocsPerRun(100, func() {
		k.Serial++
		a.Ask(k, pid)
		a.Begin()
		j, _ := a.next()
		a.look(j)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestProcessNamesMayHoldAnything(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	odd := t.TempDir() + "/a) R 1 (b"
	b, err := os.ReadFile(sh)
	if err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(odd, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(odd, "300")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r := reader{proc: "/proc"}
	dir, err := r.process(uint64(cmd.Process.Pid), time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.NewFile(uintptr(dir), "").Close() }()
	started, ok := r.started(dir)
	if age := time.Now().UnixMilli() - started; !ok || age < -slack || age > 60_000 {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat")
		t.Errorf("started %d ms ago: %s", age, strings.TrimSpace(string(stat)))
	}
}

func BenchmarkLook(b *testing.B) {
	a := NewAsker("/proc")
	a.Append = func([]byte) {}
	k := key(1)
	b.ReportAllocs()
	for b.Loop() {
		a.look(job{key: k, pid: uint64(os.Getpid())})
	}
}

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// flood is a group whose records a daemon hears. Each one is a denial of its
// own; one of forOne is for the sink that runs a command each time.
type flood struct {
	t      *testing.T
	group  *audittest.Group
	socket *os.File
	sent   []string
}

const forOne = 20

func newFlood(t *testing.T) *flood {
	t.Helper()
	group := audittest.StandIn(t)
	return &flood{t: t, group: group, socket: join(t, group)}
}

func (f *flood) send(n int) {
	f.t.Helper()
	for range n {
		n := len(f.sent) + 1
		folder := "flood"
		if n%forOne == 0 {
			folder = "tmp"
		}
		record := fmt.Sprintf(`audit(1795440105.125:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="e2e" path="/%s/%d" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`, n, n, folder, n)
		f.sent = append(f.sent, record)
		check(f.t, f.group.Multicast(ipe.TypeAccess, record))
	}
}

// expect is what receivers should have of what was sent.
func (f *flood) expect(farm *farm, program string) expectation {
	f.t.Helper()
	var text strings.Builder
	for _, record := range f.sent {
		fmt.Fprintf(&text, "type=1420 msg=%s\n", record)
	}
	check(f.t, os.WriteFile(farm.path("audit.log"), []byte(text.String()), 0o600))
	want := expect(f.t, program, farm.path("audit.log"))
	if len(want[formJSON]) != len(f.sent) {
		f.t.Fatalf("%d of %d records decoded", len(want[formJSON]), len(f.sent))
	}
	return want
}

// awaitTaken waits until a daemon has taken all that was sent.
func (f *flood) awaitTaken() {
	f.t.Helper()
	own, err := syscall.Dup(int(f.socket.Fd()))
	check(f.t, err)
	conn, err := netlinkaudit.FileConn(os.NewFile(uintptr(own), "audit"), &netlinkaudit.Config{Protocol: audittest.Protocol, NetNS: f.group.NetNS()})
	check(f.t, err)
	defer conn.Close()
	eventually(f.t, "the daemon takes what is queued", func() bool {
		queued, err := conn.Queued()
		return err == nil && queued == 0
	})
	if drops, err := conn.Drops(); err != nil || drops > 0 {
		f.t.Fatalf("%d records did not fit into the socket, %v", drops, err)
	}
}

// awaitDelivered waits until sinks have delivered all that the daemon has taken;
// without names, all sinks. What their receivers make of it may take longer.
func (f *farm) awaitDelivered(names ...string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("everything is delivered to the sinks %v", names), func() bool {
		return !slices.ContainsFunc(f.status().Sinks, func(s api.Sink) bool {
			return s.LagEvents > 0 && (names == nil || slices.Contains(names, s.Name))
		})
	})
}

func TestEveryReceiverHasAFloodOnceInOrder(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	program := built(t)
	flood := newFlood(t)
	daemon := f.live(flood.socket)
	feed := newFeed(f)
	flood.send(6000)
	flood.awaitTaken()
	f.awaitDelivered()
	want := flood.expect(f, program)
	f.wait(feed.place(), want.at(feed.place()))
	for _, p := range places() {
		f.wait(p, want.at(p))
	}
	f.checkSettings()
	f.end(daemon)
	for _, p := range append(places(), feed.place()) {
		f.verify(p, want.at(p), exactlyOnce)
	}
}

// checkSettings looks at what the configuration asks for beside the events.
func (f *farm) checkSettings() {
	f.t.Helper()
	daemon, err := user.LookupGroup("daemon")
	check(f.t, err)
	for name, group := range map[string]string{"api.sock": daemon.Gid, "json": "4711"} {
		info, err := os.Stat(f.path(name))
		check(f.t, err)
		if mode, gid := info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Gid; mode != 0o600 || fmt.Sprint(gid) != group {
			f.t.Errorf("%s has mode %v and group %d, want %s", name, mode, gid, group)
		}
	}
	if !strings.Contains(string(f.read("metrics.prom")), "\nipe_auditd_") {
		f.t.Error("there are no metrics")
	}
	if aside, err := filepath.Glob(f.path("raw.*.gz")); err != nil || len(aside) == 0 {
		f.t.Errorf("nothing was rotated and compressed (%v)", err)
	}
	st := f.status()
	if st.Socket.Asked != 64<<20 || st.Spool.Limit != 64<<20 || st.Spool.Dir != f.path("state") {
		f.t.Errorf("socket %+v, spool %+v", st.Socket, st.Spool)
	}
}

// TestEveryReceiverHasAFloodAtLeastOnceIfTheDaemonIsKilled kills it in the
// middle again and again. What was between the socket and the spool at such a
// moment may be gone, one batch at most; what one receiver has, all have.
func TestEveryReceiverHasAFloodAtLeastOnceIfTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	program := built(t)
	flood := newFlood(t)
	feed := newFeed(f)
	const kills, batch = 4, 64
	for f.kills < kills {
		daemon := f.live(flood.socket)
		for until := time.Now().Add(time.Duration(100+rand.IntN(200)) * time.Millisecond); time.Now().Before(until); time.Sleep(time.Millisecond) {
			flood.send(10)
		}
		f.kills++
		f.ends++
		daemon.kill()
	}
	last := f.live(flood.socket)
	flood.awaitTaken()
	flood.send(forOne) // the end of each receiver's wait
	flood.awaitTaken()
	f.awaitDelivered()

	sent := flood.expect(f, program)
	json := places()[1]
	f.wait(json, sent[formJSON][len(flood.sent)-1:])
	spooled := make(map[string]bool)
	for _, text := range texts(json.read(f)) {
		spooled[text] = true
	}
	var want expectation
	for i, text := range sent[formJSON] {
		if spooled[text] {
			for form := range want {
				want[form] = append(want[form], sent[form][i])
			}
		}
	}
	missing := len(flood.sent) - len(want[formJSON])
	t.Logf("%d sent, %d missing", len(flood.sent), missing)
	if missing > kills*batch {
		t.Errorf("%d events are missing after %d kills", missing, kills)
	}
	all := append(places(), feed.place())
	for _, p := range all {
		f.wait(p, want.at(p))
	}
	f.end(last)
	for _, p := range all {
		f.verify(p, want.at(p), atLeastOnce)
	}
}

// TestTroubleOfReceiversStaysWithThem makes every receiver hang that can, and
// fills a disk: the others have everything meanwhile. Then it ends and starts
// them in the middle of a flood: in the end each one has everything.
func TestTroubleOfReceiversStaysWithThem(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	program := built(t)
	flood := newFlood(t)
	daemon := f.live(flood.socket)
	feed := newFeed(f)
	hung := hungFeed(f)
	all := append(places(), feed.place())
	flood.send(forOne)
	want := flood.expect(f, program)
	for _, p := range all {
		f.wait(p, want.at(p))
	}

	well := []string{"console", "json", "text", "raw", "feed"}
	f.journal.Freeze(t)
	f.siem.process.signal(syscall.SIGSTOP)
	f.local.process.signal(syscall.SIGSTOP)
	check(t, syscall.Kill(f.streamPID(), syscall.SIGSTOP))
	check(t, os.WriteFile(f.path("hold"), nil, 0o600))
	f.within(exec.Command("sh", "-c", `cat /dev/zero >"$0" 2>/dev/null || true`, f.path("disk/ballast")))
	flood.send(2000)
	flood.awaitTaken()
	f.awaitDelivered(well...)
	want = flood.expect(f, program)
	for _, p := range all {
		if slices.Contains(well, p.name) {
			f.wait(p, want.at(p))
			f.verify(p, want.at(p), exactlyOnce)
		}
	}
	for _, s := range f.status().Sinks {
		switch {
		case slices.Contains(well, s.Name):
			if s.State != "ok" || s.Retries > 0 || s.LastError != "" {
				t.Errorf("%s is well, but the status says %+v", s.Name, s)
			}
		case s.Name == "siem": // the kernel takes it for the stopped process
		case s.LagEvents == 0:
			t.Errorf("%s hangs, but it has everything, so this test shows nothing", s.Name)
		}
	}
	hung()
	f.within(exec.Command("rm", f.path("disk/ballast")))
	check(t, os.Remove(f.path("hold")))
	f.siem.process.signal(syscall.SIGCONT)
	f.local.process.signal(syscall.SIGCONT)
	check(t, syscall.Kill(f.streamPID(), syscall.SIGCONT))
	f.journal.Thaw(t)
	f.awaitDelivered()
	for _, p := range all {
		f.wait(p, want.at(p))
	}

	// The stream is killed while it has nothing: what it has read and not written
	// is gone with it.
	f.awaitDelivered("stream")
	check(t, syscall.Kill(f.streamPID(), syscall.SIGKILL))
	for i := range 3 {
		flood.send(300)
		switch i {
		case 0:
			f.siem.restart()
		case 1:
			f.journal.Stop(t)
			f.journal.Restart(t)
		case 2:
			feed.reconnect()
		}
		flood.send(300)
	}
	flood.awaitTaken()
	f.awaitDelivered()
	want = flood.expect(f, program)
	for _, p := range all {
		f.wait(p, want.at(p))
	}
	f.end(daemon)
	for _, p := range all {
		o := exactlyOnce
		if p.name == "siem" {
			o = atLeastOnce // what its predecessor may not have read comes again
		}
		f.verify(p, want.at(p), o)
	}
}

package daemon

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// helperSocket is where a daemon in a process of its own finds the helper, if
// there is one, in its folder.
const helperSocket = "helper.sock"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// helper answers with the number of lost records that a test sets. It ends with
// the test.
func helper(t *testing.T, path string) *atomic.Uint32 {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var lost atomic.Uint32
	collect := func() auditstate.State {
		return auditstate.State{Version: auditstate.Version, Status: &auditstate.Status{PID: 1, Lost: lost.Load()}}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		auditstate.Serve(l, collect, auditstate.Pace{Idle: time.Hour, Life: time.Hour, Write: time.Second}) //nolint:errcheck // ends with the listener
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return &lost
}

// flood sends as much as could have filled the kernel's queue.
func flood(t *testing.T, group *audittest.Group) {
	t.Helper()
	for n := range 2 * burst {
		send(t, group, ipe.TypeAccess, denial(n))
	}
}

// TestLossesInTheKernelAreToldOnceOverRestartsAndKills asks a helper: while the
// daemon runs, of what was lost while none did, and a last time at the end.
func TestLossesInTheKernelAreToldOnceOverRestartsAndKills(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	lost := helper(t, filepath.Join(dir, helperSocket))
	told := func() (n uint64) {
		seen := map[uint64]bool{} // after a kill a sink may get an event twice
		for _, ev := range of(events(t, path), ipe.KindLost) {
			if ev.Stage == "kernel" && !seen[ev.Seq] {
				seen[ev.Seq] = true
				n += ev.Count
				if ev.Accuracy != "exact" {
					t.Errorf("accuracy %q, want exact", ev.Accuracy)
				}
			}
		}
		return n
	}
	kept := func() uint32 { // what the next process will know
		st, err := losses.LoadState(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Kernel.Lost
	}

	lost.Store(10) // before there was any daemon
	first := child(t, dir, socket)
	eventually(t, "the first number is kept", func() bool { return kept() == 10 })
	lost.Store(15)
	flood(t, group)
	eventually(t, "a loss is told while the daemon runs", func() bool { return told() == 5 && kept() == 15 })
	first.Process.Kill()
	first.Wait()

	lost.Store(18)
	second := child(t, dir, socket)
	eventually(t, "what was lost meanwhile is told at the start", func() bool { return told() == 8 && kept() == 18 })
	second.Process.Kill()
	second.Wait()

	third := child(t, dir, socket)
	lost.Store(20)
	third.Process.Signal(syscall.SIGTERM)
	if err := third.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := told(); n != 10 {
		t.Errorf("%d told in all, want 10", n)
	}
}

// TestAHelperThatHangsHoldsUpNothing has a socket that nobody accepts from.
func TestAHelperThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, helperSocket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options(dir, "a")
	o.Protocol, o.NetNS, o.AuditState = audittest.Protocol, group.NetNS(), l.Addr().String()
	d := start(t, o)
	flood(t, group)
	eventually(t, "the records arrive", func() bool {
		return len(of(events(t, filepath.Join(dir, "a.json")), ipe.KindAccess)) == 2*burst
	})
	d.end()
	for _, ev := range of(events(t, filepath.Join(dir, "a.json")), ipe.KindLost) {
		t.Errorf("told %+v, and nobody knows anything", ev)
	}
}

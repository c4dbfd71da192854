package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// childEnv makes the test binary a daemon. Its value is the folder to work in;
// the audit socket is descriptor 3, and a byte goes to descriptor 4 when it
// listens.
const childEnv = "IPE_AUDITD_TEST_DIR"

func runChild() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := options(os.Getenv(childEnv), "a", "b")
	o.Config.Spool.Sync = 10 * time.Millisecond
	o.Protocol = audittest.Protocol
	o.Inherited.Audit = os.NewFile(3, "audit")
	if helper := filepath.Join(os.Getenv(childEnv), helperSocket); exists(helper) {
		o.AuditState = helper
	}
	ready := os.NewFile(4, "ready")
	o.Notify = func(state string) {
		if state[:7] == "READY=1" {
			ready.Write([]byte("!"))
		}
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.ErrorLevel))
	if err != nil {
		return 1
	}
	o.Log = log
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child starts a daemon in a process of its own and waits until it listens.
func child(t *testing.T, dir string, socket *os.File) *exec.Cmd {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.ExtraFiles = []*os.File{socket, w}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the daemon does not listen: %v", err)
	}
	return cmd
}

// TestKilledAtRandomNothingThatWasSpooledIsLost kills a daemon again and again
// in the middle of a flood. What was in the spool must reach every sink, in
// order and whole, possibly more than once. What was between the socket and the
// spool at that moment may be gone: at most one batch for each kill.
func TestKilledAtRandomNothingThatWasSpooledIsLost(t *testing.T) {
	t.Parallel()
	kills := 50
	if testing.Short() {
		kills = 5
	}
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	sent := 0
	for range kills {
		cmd := child(t, dir, socket)
		life := time.Now().Add(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		for time.Now().Before(life) {
			sent++
			if err := group.Multicast(ipe.TypeAccess, denial(sent)); err != nil {
				t.Fatal(err)
			}
			if sent%50 == 0 {
				time.Sleep(time.Millisecond) // so that the buffer is not what loses
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	cmd := child(t, dir, socket)
	f := again(t, socket)
	defer f.Close()
	queue, err := netlinkaudit.FileConn(f, &netlinkaudit.Config{Protocol: audittest.Protocol, NetNS: group.NetNS()})
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	eventually(t, "the last daemon has taken what was queued", func() bool {
		queued, err := queue.Queued()
		return err == nil && queued == 0
	})
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the last daemon: %v", err)
	}

	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name+".json")
		if text, err := os.ReadFile(path); err != nil || text[len(text)-1] != '\n' {
			t.Fatalf("%s: the last line is torn (%v)", name, err)
		}
		all := events(t, path)
		slices.SortStableFunc(all, func(a, b event) int { return int(a.Seq) - int(b.Seq) })
		all = slices.CompactFunc(all, func(a, b event) bool { return a.Seq == b.Seq })
		lost := uint64(0)
		for i, ev := range all {
			if ev.Spool != all[0].Spool {
				t.Fatalf("%s: the spool changed its id from %s to %s", name, all[0].Spool, ev.Spool)
			}
			if ev.Seq != uint64(i+1) {
				t.Fatalf("%s: no event %d", name, i+1)
			}
			if ev.Event == "lost" {
				lost += ev.Count
			}
		}
		access := of(all, ipe.KindAccess)
		if !slices.IsSortedFunc(access, func(a, b event) int { return a.PID - b.PID }) {
			t.Errorf("%s: the denials are not in the order in which they were sent", name)
		}
		missing := sent - len(access) - int(lost)
		t.Logf("%s: %d sent, %d delivered, %d dropped by the socket, %d between socket and spool in %d kills", name, sent, len(access), lost, missing, kills)
		if missing < 0 || missing > 64*kills {
			t.Errorf("%s: %d denials are missing", name, missing)
		}
	}
}

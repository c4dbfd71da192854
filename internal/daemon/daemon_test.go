package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // a state directory that others may write to is refused
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild())
	}
	goleak.VerifyTestMain(m)
}

// denial is a record of IPE whose pid says which it is.
func denial(n int) string {
	return fmt.Sprintf(`audit(1795440105.125:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="labtool" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`, n, n)
}

// event is what the tests look at in a line of JSON.
type event struct {
	Spool    string
	Seq      uint64
	Event    string
	Stage    string
	Accuracy string
	PID      int
	Count    uint64
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

// events reads a file of JSON lines. Each one must be whole, but for the last
// one, which the daemon may be writing.
func events(t *testing.T, path string) []event {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var all []event
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var ev event
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			t.Fatalf("torn line %q: %v", lines.Text(), err)
		}
		all = append(all, ev)
	}
	return all
}

// of returns the events of a kind.
func of(all []event, kind ipe.Kind) []event {
	var some []event
	for _, ev := range all {
		if ev.Event == kind.String() {
			some = append(some, ev)
		}
	}
	return some
}

// fileSink is a sink to a file in dir.
func fileSink(dir, name string) config.Sink {
	return config.Sink{
		Name: name, Type: file.Type, From: config.FromEnd,
		Settings: &file.Config{Format: "json", Path: filepath.Join(dir, name+".json"), Mode: 0o640},
	}
}

// options returns what a daemon in a test needs: sinks to files in dir, and the
// spool in its folder "state".
func options(dir string, sinks ...string) Options {
	cfg := config.Defaults()
	cfg.Spool.Dir = filepath.Join(dir, "state")
	cfg.Source.ReceiveBuffer = 8 * units.MiB
	for _, name := range sinks {
		cfg.Sinks = append(cfg.Sinks, fileSink(dir, name))
	}
	return Options{Version: "test", Config: cfg, Log: zap.NewNop()}
}

// running is a daemon in this process.
type running struct {
	t    *testing.T
	stop func() error
}

// start runs a daemon and returns when it listens.
func start(t *testing.T, o Options) *running {
	t.Helper()
	ready := make(chan struct{})
	var once sync.Once
	o.Notify = func(state string) {
		if strings.HasPrefix(state, "READY=1") {
			once.Do(func() { close(ready) })
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("the daemon did not start: %v", err)
	}
	var result error
	var ended sync.Once
	r := &running{t: t, stop: func() error {
		ended.Do(func() { cancel(); result = <-done })
		return result
	}}
	t.Cleanup(func() { r.stop() })
	return r
}

// end stops the daemon, which must succeed.
func (r *running) end() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatalf("the daemon failed: %v", err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// send multicasts records of the type to the group.
func send(t *testing.T, group *audittest.Group, typ uint16, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := group.Multicast(typ, text); err != nil {
			t.Fatal(err)
		}
	}
}

// join returns a socket that has joined the group, as a service manager would
// pass it.
func join(t *testing.T, group *audittest.Group) *os.File {
	t.Helper()
	netns := group.NetNS()
	conn, err := netlink.Dial(unix.NETLINK_USERSOCK, &netlink.Config{NetNS: netns})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.JoinGroup(unix.AUDIT_NLGRP_READLOG); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || dupErr != nil {
		t.Fatal(err, dupErr)
	}
	f := os.NewFile(uintptr(fd), "audit")
	t.Cleanup(func() { f.Close() })
	return f
}

// again returns another descriptor of the same socket, for one more start.
func again(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "audit")
}

func TestRecordsReachEverySink(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a", "b")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	d := start(t, o)
	const n = 1000
	for i := range n {
		send(t, group, ipe.TypeAccess, denial(i+1))
	}
	send(t, group, 1300, "audit(1.000:1): arch=c000003e syscall=59")
	send(t, group, ipe.TypeMACStatus, "audit(1.000:2): ", "audit(1.000:3): enforcing=1 old_enforcing=0 lsm=selinux res=1")
	send(t, group, ipe.TypeLandlockAccess, "audit(1.000:4): domain=1 blockers=fs.execute")
	send(t, group, ipe.TypeAccess, `audit(1.000:5): ipe_op=EXECUTE rule="torn`)
	d.end()

	for _, name := range []string{"a", "b"} {
		all := events(t, filepath.Join(dir, name+".json"))
		for i, ev := range all {
			if ev.Seq != uint64(i+1) || ev.Spool != all[0].Spool {
				t.Fatalf("%s: event %d is %s:%d", name, i+1, ev.Spool, ev.Seq)
			}
		}
		access := of(all, ipe.KindAccess)
		if len(access) != n {
			t.Fatalf("%s: %d denials, want %d", name, len(access), n)
		}
		for i, ev := range access {
			if ev.PID != i+1 {
				t.Fatalf("%s: denial %d came in place of %d", name, ev.PID, i+1)
			}
		}
		for kind, want := range map[ipe.Kind]int{ipe.KindStarted: 1, ipe.KindStopped: 1, ipe.KindUnparsed: 1, ipe.KindLost: 0} {
			if got := len(of(all, kind)); got != want {
				t.Errorf("%s: %d events %v, want %d", name, got, kind, want)
			}
		}
		if len(all) != n+3 {
			t.Errorf("%s: %d events in all, want %d", name, len(all), n+3)
		}
	}
}

func TestARestartGoesOnWhereEverySinkWas(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	run := func(total int, records ...int) {
		o := options(dir, "a")
		o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
		o.Inherited.Audit = again(t, socket)
		d := start(t, o)
		for _, n := range records {
			send(t, group, ipe.TypeAccess, denial(n))
		}
		eventually(t, "the records are delivered", func() bool {
			return len(of(events(t, path), ipe.KindAccess)) == total
		})
		d.end()
	}
	send(t, group, ipe.TypeAccess, denial(1)) // before the first start: it waits in the socket
	send(t, group, 1300, "audit(1.000:1): arch=c000003e")
	run(3, 2, 3)
	send(t, group, ipe.TypeAccess, denial(4)) // while no daemon runs
	run(5, 5)
	run(5)

	all := events(t, path)
	var pids []int
	for i, ev := range all {
		if ev.Seq != uint64(i+1) || ev.Spool != all[0].Spool {
			t.Fatalf("event %d is %s:%d, in spool %s", i+1, ev.Spool, ev.Seq, all[0].Spool)
		}
		if ev.Event == "access" {
			pids = append(pids, ev.PID)
		}
	}
	if got, want := fmt.Sprint(pids), "[1 2 3 4 5]"; got != want {
		t.Errorf("denials %v, want %v", got, want)
	}
}

func TestASecondDaemonOnTheSameStateIsRefused(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	d := start(t, o)
	err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "another ipe-auditd") {
		t.Errorf("the second one says %v", err)
	}
	d.end()
}

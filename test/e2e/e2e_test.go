// Package e2e_test runs one daemon with every kind of sink at once, each with
// the real receiver behind it, and compares what the receivers have.
//
// Captures go through the built program and --input. What only a daemon that
// listens can show, floods, kill -9 and the feed, needs a kernel that can be
// made to speak, and the program believes nobody but the kernel. So there the
// test binary is the daemon: the same Run with the same configuration file, that
// believes audittest.StandIn too.
//
// journald and the syslog daemons live with the daemon in the namespaces of
// journaltest. No process outlives the test: each one is killed when the thread
// ends that has made the namespaces.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
)

// Each of these makes the test binary something else.
const (
	// A daemon with this configuration file. The audit socket is descriptor 3,
	// and a byte goes to descriptor 4 when it listens.
	daemonEnv = "IPE_AUDITD_E2E_CONFIG"

	// What makes the namespaces ready: the loopback device, and a small disk
	// at this path.
	prepareEnv = "IPE_AUDITD_E2E_DISK"
)

func TestMain(m *testing.M) {
	var run func(string) error
	arg := ""
	if arg = os.Getenv(daemonEnv); arg != "" {
		run = runDaemon
	} else if arg = os.Getenv(prepareEnv); arg != "" {
		run = prepare
	}
	if run == nil {
		os.Exit(m.Run())
	}
	if err := run(arg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runDaemon(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, _, err := config.Load(file)
	if err != nil {
		return err
	}
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return err
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(level), zap.AddStacktrace(zap.DPanicLevel))
	if err != nil {
		return err
	}
	ready := os.NewFile(4, "ready")
	return daemon.Run(ctx, daemon.Options{
		Version: "e2e", Config: cfg, Console: daemon.Console{Out: os.Stdout}, Log: log,
		Inherited: daemon.Inherited{Audit: os.NewFile(3, "audit")},
		Protocol:  audittest.Protocol,
		Notify: func(state string) {
			if state[:7] == "READY=1" {
				_, _ = ready.WriteString("!")
			}
		},
	})
}

// prepare runs in the namespaces.
func prepare(disk string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return os.NewSyscallError("ioctl SIOCSIFFLAGS", err)
	}
	return os.NewSyscallError("mount", unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"))
}

// process is one that the test ends, at the latest when it is over.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when err is there
	err  error
}

// watch takes over a command that was started.
func watch(t *testing.T, cmd *exec.Cmd) *process {
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.cmd.Path, err)
	}
}

// patience is for what takes a moment, on a busy machine.
const patience = 60 * time.Second

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// built returns the path of the program, built from this source.
func built(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ipe-auditd")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/ipe-auditd").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// join returns a socket that has joined the group, as a service manager would
// pass it, with room for a flood.
func join(t *testing.T, group *audittest.Group) *os.File {
	t.Helper()
	netns := group.NetNS()
	conn, err := netlink.Dial(unix.NETLINK_USERSOCK, &netlink.Config{NetNS: netns})
	check(t, err)
	defer conn.Close()
	check(t, conn.JoinGroup(unix.AUDIT_NLGRP_READLOG))
	raw, err := conn.SyscallConn()
	check(t, err)
	var fd int
	var failed error
	check(t, raw.Control(func(s uintptr) {
		if failed = unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); failed == nil {
			fd, failed = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0)
		}
	}))
	check(t, failed)
	f := os.NewFile(uintptr(fd), "audit")
	t.Cleanup(func() { f.Close() })
	return f
}

// tail returns the end of a text, for a message.
func tail(b []byte) []byte {
	return b[max(0, len(b)-4096):]
}

// lines splits a text into its whole lines, without the newlines.
func lines(b []byte) []string {
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	var all []string
	for line := range bytes.Lines(b) {
		all = append(all, string(line[:len(line)-1]))
	}
	return all
}

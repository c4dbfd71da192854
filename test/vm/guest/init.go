//go:build linux && amd64

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// initialise makes the guest usable and serves the host until it hangs up.
func initialise() error {
	for _, m := range []struct{ source, target, fs, data string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"dev", "/dev", "devtmpfs", ""},
		{"securityfs", "/sys/kernel/security", "securityfs", ""},
		{"tmpfs", "/tmp", "tmpfs", ""},
		{"tmpfs", "/run", "tmpfs", ""},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.fs, 0, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.Setenv("PATH", "/bin"); err != nil {
		return err
	}
	return attend()
}

// attend serves the host until it hangs up.
func attend() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	return serve(port)
}

// openPort finds the serial port by its name.
func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(text)) == wire.Port {
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("no virtio serial port %q among %d", wire.Port, len(names))
}

// powerOff ends the guest and, with it, QEMU.
func powerOff() {
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "guest init: power off:", err)
	os.Exit(1) // the kernel panics, and panic=-1 ends QEMU too
}

// server runs programs for the host.
type server struct {
	mu      sync.Mutex // guards out and running
	out     *json.Encoder
	running map[uint64]*os.Process
}

func serve(port io.ReadWriter) error {
	s := &server{out: json.NewEncoder(port), running: make(map[uint64]*os.Process)}
	s.reply(wire.Reply{}) // the guest is up
	for dec := json.NewDecoder(port); ; {
		var c wire.Call
		if err := dec.Decode(&c); err != nil {
			return fmt.Errorf("read from the host: %w", err)
		}
		if c.Signal != 0 {
			s.signal(&c)
			continue
		}
		s.start(&c)
	}
}

func (s *server) reply(r wire.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "guest init: write to the host:", err)
	}
}

func (s *server) signal(c *wire.Call) {
	s.mu.Lock()
	p := s.running[c.ID]
	s.mu.Unlock()
	if p != nil {
		_ = p.Signal(syscall.Signal(c.Signal)) // it may just have ended
	}
}

// start runs the program of the call. Its end is told by another goroutine.
func (s *server) start(c *wire.Call) {
	cmd := exec.Cmd{Path: string(c.Argv[0]), Env: c.Env, Dir: "/", Stdin: strings.NewReader(string(c.Stdin))}
	for _, a := range c.Argv {
		cmd.Args = append(cmd.Args, string(a))
	}
	cmd.Stdout = stream(func(b []byte) { s.reply(wire.Reply{ID: c.ID, Stdout: b}) })
	cmd.Stderr = stream(func(b []byte) { s.reply(wire.Reply{ID: c.ID, Stderr: b}) })
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.Cloneflags, Chroot: c.Chroot, AmbientCaps: c.Ambient}
	if c.UID != 0 || c.GID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.GID}
	}
	if err := cmd.Start(); err != nil {
		s.reply(wire.Reply{ID: c.ID, Error: err.Error()})
		return
	}
	s.mu.Lock()
	s.running[c.ID] = cmd.Process
	s.mu.Unlock()
	s.reply(wire.Reply{ID: c.ID, PID: cmd.Process.Pid})
	go func() {
		err := cmd.Wait()
		s.mu.Lock()
		delete(s.running, c.ID)
		s.mu.Unlock()
		if cmd.ProcessState == nil {
			s.reply(wire.Reply{ID: c.ID, Error: err.Error()})
			return
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		exit := status.ExitStatus()
		if status.Signaled() {
			exit = 128 + int(status.Signal())
		}
		s.reply(wire.Reply{ID: c.ID, Exit: &exit})
	}()
}

// stream is a writer that passes on what is written.
type stream func([]byte)

func (f stream) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

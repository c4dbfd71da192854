package exec

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The test binary is also the command: TestMain runs a helper instead of the
// tests if the arguments say so. The environment cannot say it, because the
// command gets none.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		status := 0
		if err := helpers[os.Args[2]](os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
		syscall.Exit(status) // os.Exit takes a second with the race detector
	}
	goleak.VerifyTestMain(m)
}

var helpers = map[string]func(args []string) error{
	"record": record,
	"report": report,
	"daemon": daemon,
}

func helper(t testing.TB, args ...string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{exe, "helper"}, args...)
}

// record appends what it reads to dir/out. Before it reads it obeys dir/broken
// and dir/hang.
func record(args []string) error {
	dir := args[0]
	out, err := os.OpenFile(dir+"/out", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	var line []byte
	for {
		for exists(dir + "/hang") {
			time.Sleep(time.Millisecond)
		}
		if exists(dir + "/broken") {
			return fmt.Errorf("broken")
		}
		n, err := os.Stdin.Read(buf)
		line = append(line, buf[:n]...)
		if end := bytes.LastIndexByte(line, '\n') + 1; end > 0 {
			if _, err := out.Write(line[:end]); err != nil {
				return err
			}
			line = append(line[:0], line[end:]...)
		}
		if err == io.EOF {
			_, err := out.Write(line) // a torn line, if there is one
			return err
		}
		if err != nil {
			return err
		}
	}
}

// report writes to the file args[0] what it was given.
func report(args []string) error {
	var b strings.Builder
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "dir %s\n", dir)
	sid, _ := unix.Getsid(0)
	fmt.Fprintf(&b, "leads its session %t\n", sid == os.Getpid())
	fmt.Fprintf(&b, "leads its group %t\n", syscall.Getpgrp() == os.Getpid())
	for fd := range 1024 {
		// What the Go runtime opened for itself is close-on-exec; what we were
		// given is not.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintf(&b, "fd %d\n", fd)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapAmb:") {
			fmt.Fprintf(&b, "%s", line)
		}
	}
	for _, v := range os.Environ() {
		fmt.Fprintf(&b, "env %q\n", v)
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "stdin %q\n", stdin)
	return os.WriteFile(args[0], []byte(b.String()), 0o600)
}

// daemon runs a sink of mode ModeEach, whose command is args, until it is killed.
func daemon(args []string) error {
	s, err := New(&Config{Command: args, Mode: ModeEach})
	if err != nil {
		return err
	}
	if err := s.Open(context.Background()); err != nil {
		return err
	}
	return s.Write(context.Background(), line("{}\n"))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func line(s string) *sink.Entry {
	return &sink.Entry{Event: &ipe.Event{Kind: ipe.KindAccess}, Bytes: []byte(s)}
}

// script writes a shell script and returns the command that runs it.
func script(t testing.TB, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("set -eu\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"/bin/sh", path}
}

func open(t testing.TB, o Config) *Sink {
	t.Helper()
	s, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t testing.TB, s *Sink, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := s.Write(context.Background(), line(l)); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t testing.TB, s *Sink) {
	t.Helper()
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, s *Sink) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// content returns what is in a file, nothing if there is none.
func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// eventually waits for what other processes do, which tells nobody.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// gone reports whether the process whose id is in a file has ended.
func gone(t testing.TB, path string) bool {
	t.Helper()
	pid := strings.TrimSpace(content(t, path))
	if pid == "" {
		return false
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") // an orphan that nobody reaps here
}

// counted returns the counters that are not 0, by name and value of the label.
func counted(s *Sink) map[string]uint64 {
	counts := make(map[string]uint64)
	for _, c := range s.Counters() {
		if c.Count > 0 {
			counts[strings.TrimSpace(c.Name+" "+c.Value)] = c.Count
		}
	}
	return counts
}

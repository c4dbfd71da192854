package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceManagerIsTold runs the program as a service, with a socket of this
// test as the service manager.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	conf := filepath.Join(dir, "ipe-auditd.yaml")
	if err := os.WriteFile(conf, []byte("spool: {dir: \""+dir+"/state\"}\nsinks: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ipe-auditd", "--config", conf)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+dir+"/notify", "WATCHDOG_USEC=100000")
	p := startProgram(t, cmd)
	ended := make(chan error, 1)
	go func() {
		text, err := io.ReadAll(p.stderr)
		if err == nil {
			err = errors.New(string(text))
		}
		ended <- err
		manager.Close()
	}()
	hear := func(begin string, holds ...string) {
		t.Helper()
		for buf := make([]byte, 4096); ; {
			n, err := manager.Read(buf)
			if err != nil {
				said := <-ended
				if status := cmd.Wait(); strings.Contains(status.Error(), "exit status 69") || strings.Contains(status.Error(), "exit status 77") {
					t.Skipf("needs CAP_AUDIT_READ in the initial namespaces: %v", said)
				}
				t.Fatalf("the daemon ended before it said %s: %v", begin, said)
			}
			text := string(buf[:n])
			if !strings.HasPrefix(text, begin) {
				continue
			}
			for _, part := range holds {
				if !strings.Contains(text, part) {
					t.Errorf("told %q, want %q in it", text, part)
				}
			}
			return
		}
	}
	hear("EXTEND_TIMEOUT_USEC=")
	hear("READY=1", "\nSTATUS=Listening: ")
	hear("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hear("RELOADING=1", "\nMONOTONIC_USEC=", "\nSTATUS=Reloading")
	hear("READY=1", "\nSTATUS=Listening: ")
	hear("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
}

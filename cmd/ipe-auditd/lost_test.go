package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
)

// activated has systemd's own tool listen on a socket, which starts the helper
// with the first connection. before is what the helper is started by.
func activated(t *testing.T, before ...string) (socket string, cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("needs systemd-socket-activate (package systemd)")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ipe-auditd") // by its name it is the program (TestMain)
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	socket, said = filepath.Join(dir, "s"), new(bytes.Buffer)
	cmd = exec.Command(tool, append(append([]string{"--listen", socket}, before...), program, "lost")...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it may have ended
	return socket, cmd, said
}

// ask asks as soon as somebody listens.
func ask(t *testing.T, socket string) (auditstate.State, error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := auditstate.Ask(t.Context(), socket)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(end) {
			return st, err
		}
	}
}

func TestHelperIsStartedByItsSocketAndAsksTheKernel(t *testing.T) {
	t.Parallel()
	direct, err := host.QueryAudit()
	if err != nil {
		t.Skipf("needs CAP_AUDIT_CONTROL and a kernel with audit: %v", err)
	}
	for name, before := range map[string][]string{
		"as it is": nil,
		// As in the unit: one capability, and a network of its own.
		"with one capability": {"unshare", "--net", "setpriv", "--no-new-privs", "--bounding-set=-all,+audit_control", "--inh-caps=-all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if before != nil {
				if os.Geteuid() != 0 {
					t.Skip("needs root, to give rights away")
				}
				for _, tool := range []string{"unshare", "setpriv"} {
					if _, err := exec.LookPath(tool); err != nil {
						t.Skipf("needs %s (package util-linux)", tool)
					}
				}
			}
			socket, cmd, said := activated(t, before...)
			for range 2 {
				st, err := ask(t, socket)
				if err != nil {
					cmd.Process.Kill()
					cmd.Wait()
					t.Fatalf("%v; it said: %s", err, said)
				}
				if st.Status.BacklogLimit != direct.BacklogLimit || st.RulesError != "" {
					t.Errorf("answer %+v, %q; AUDIT_GET says %+v", st.Status, st.RulesError, direct)
				}
			}
		})
	}
}

func TestHelperWithoutTheCapabilitySaysSo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setpriv"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv, to give a capability away")
	}
	socket, _, _ := activated(t, "setpriv", "--bounding-set=-audit_control", "--inh-caps=-audit_control")
	if _, err := ask(t, socket); err == nil || !strings.Contains(err.Error(), "the kernel refuses it") {
		t.Errorf("got %v, want that the kernel refuses it", err)
	}
}

func TestHelperIsNotStartedByHand(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"lost"}, nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "ipe-auditd-lost.socket") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	out.Reset()
	if run([]string{"help"}, nil, &out, &errs); strings.Contains(out.String(), "  lost ") {
		t.Error("help lists it")
	}
}

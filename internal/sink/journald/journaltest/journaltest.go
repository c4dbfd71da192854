package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where systemd keeps its programs, and journald its things.
const (
	journaldProgram = "/lib/systemd/systemd-journald"
	machineID       = "/etc/machine-id"
	socketPath      = "/run/systemd/journal/socket"
	catalogDB       = "/var/lib/systemd/catalog/database"
)

// conf keeps journald away from everything of the host: the empty Audit= leaves
// the kernel's audit settings alone.
const conf = `[Journal]
Storage=persistent
Compress=no
SyncIntervalSec=1s
RateLimitIntervalSec=0
RateLimitBurst=0
ReadKMsg=no
Audit=
ForwardToSyslog=no
ForwardToKMsg=no
ForwardToConsole=no
ForwardToWall=no
`

// Journal is one journald with its journal. All its methods are for the test's
// goroutine. The daemon is stopped and everything removed when the test ends.
type Journal struct {
	dir        string // holds run/, log/ and what else is bound
	standalone bool
	ns         *namespace
	socket     *os.File  // the native socket, nil if standalone
	cmd        *exec.Cmd // nil while journald does not run
}

// Option changes how journald is run.
type Option func(*options)

type options struct {
	standalone bool
	catalogs   []string
	conf       string
}

// Standalone leaves the native socket to journald: it creates it when it
// starts, and what is queued when it ends is gone.
func Standalone() Option { return func(o *options) { o.standalone = true } }

// WithCatalog compiles the catalog file at path into the catalog that
// journalctl -x sees, in place of the host's.
func WithCatalog(path string) Option {
	return func(o *options) { o.catalogs = append(o.catalogs, path) }
}

// WithConfig adds lines to the [Journal] section of the configuration.
func WithConfig(lines string) Option { return func(o *options) { o.conf += lines + "\n" } }

// Start runs journald until the test ends, and returns when it listens. It
// skips the test where that is not possible.
func Start(t testing.TB, opts ...Option) *Journal {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: journald runs in a mount namespace of the test")
	}
	for _, name := range []string{journaldProgram, machineID, catalogDB} {
		if _, err := os.Stat(name); err != nil {
			t.Skipf("needs an installed systemd: %v", err)
		}
	}
	journalctl, err := exec.LookPath("journalctl")
	if err != nil {
		t.Skipf("needs an installed systemd: %v", err)
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}

	// Not t.TempDir: with the name of the test in it, the path of the socket
	// could become longer than the 107 bytes that fit an address.
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files := map[string]string{
		"run/systemd/journald.conf.d/test.conf": conf + o.conf,
		"run/systemd/journal/flushed":           "", // use /var/log from the start
		"machine-id":                            "0123456789abcdef0123456789abcdef\n",
		"log/journal/.keep":                     "",
		"root/var/lib/systemd/catalog/database": "",
	}
	for _, path := range o.catalogs {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Join("root/usr/lib/systemd/catalog", filepath.Base(path))] = string(text)
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(name), 0o755),
			os.WriteFile(name, []byte(text), 0o644),
		); err != nil {
			t.Fatal(err)
		}
	}
	if o.catalogs != nil {
		out, err := exec.Command(journalctl, "--update-catalog", "--root="+dir+"/root").CombinedOutput()
		if err != nil {
			t.Fatalf("compile catalog: %v\n%s", err, out)
		}
	}

	j := &Journal{dir: dir, standalone: o.standalone}
	j.ns, err = newNamespace([]mount{
		{dir + "/run", "/run"},
		{dir + "/log", "/var/log"},
		{dir + "/machine-id", machineID},
		{dir + "/root" + catalogDB, catalogDB},
	})
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("needs the right to make namespaces (CAP_SYS_ADMIN): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.ns.close)
	if !o.standalone {
		j.ns.do(func() { j.socket, err = listen() })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.socket.Close() })
	}
	t.Cleanup(func() {
		j.Kill(t)
		if said := j.said(); t.Failed() && said != "" {
			t.Logf("journald said:\n%s", said)
		}
	})
	j.Restart(t)
	return j
}

// listen opens the native socket as systemd does for journald: it is known by
// the address it was bound to, so this happens inside the namespace.
func listen() (*os.File, error) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socketPath})
	if err != nil {
		return nil, err
	}
	defer c.Close() // File duplicates; journald unlinks nothing
	if err := os.Chmod(socketPath, 0o666); err != nil {
		return nil, err
	}
	return c.File()
}

// Socket is the path of the native socket as the test sees it. Inside the
// namespace it is the usual one.
func (j *Journal) Socket() string { return j.dir + socketPath }

// Dir is the folder with the journal, for journalctl --directory.
func (j *Journal) Dir() string { return j.dir + "/log/journal" }

// Run starts cmd inside the namespace: it finds journald at the usual paths, and
// it hears no audit records. It is killed if the test process dies.
func (j *Journal) Run(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	j.ns.do(func() { err = cmd.Start() })
	return err
}

// Restart starts journald again after Stop or Kill, and returns when it is
// ready.
func (j *Journal) Restart(t testing.TB) {
	t.Helper()
	if j.cmd != nil {
		t.Fatal("journald runs already")
	}
	path := filepath.Join(j.dir, "run/notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	defer notify.Close()

	j.cmd = exec.Command(journaldProgram)
	j.cmd.Env = []string{"NOTIFY_SOCKET=/run/notify"}
	if j.socket != nil {
		// The shell's process becomes journald, so that its id is right.
		j.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, journaldProgram)
		j.cmd.Env = []string{"NOTIFY_SOCKET=/run/notify", "LISTEN_FDS=1"}
		j.cmd.ExtraFiles = []*os.File{j.socket}
	}
	// A file, because a buffer would need a goroutine, which tests may count.
	stderr, err := os.OpenFile(j.dir+"/stderr", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	j.cmd.Stderr = stderr
	if err := j.Run(j.cmd); err != nil {
		j.cmd = nil
		t.Fatal(err)
	}
	if err := awaitReady(notify); err != nil {
		j.Kill(t)
		t.Fatalf("journald does not become ready: %v\n%s", err, j.said())
	}
}

// said returns what journald wrote to its standard error.
func (j *Journal) said() string {
	b, _ := os.ReadFile(j.dir + "/stderr")
	return string(b)
}

// awaitReady returns when sd_notify(3) said so.
func awaitReady(notify *net.UnixConn) error {
	notify.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSuffix(line, "\n") == "READY=1" {
				return nil
			}
		}
	}
}

// Stop ends journald in order: it writes what is queued. It does nothing if
// journald does not run.
func (j *Journal) Stop(t testing.TB) { j.end(t, syscall.SIGTERM) }

// Kill ends journald at once. It does nothing if journald does not run.
func (j *Journal) Kill(t testing.TB) { j.end(t, syscall.SIGKILL) }

// Freeze makes journald stop reading until Thaw, Stop or Kill.
func (j *Journal) Freeze(t testing.TB) { j.signal(t, syscall.SIGSTOP) }

// Thaw ends what Freeze began.
func (j *Journal) Thaw(t testing.TB) { j.signal(t, syscall.SIGCONT) }

func (j *Journal) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := j.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal journald: %v", err)
	}
}

func (j *Journal) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if j.cmd == nil {
		return
	}
	j.signal(t, sig)
	if sig != syscall.SIGKILL {
		j.signal(t, syscall.SIGCONT)
	}
	j.cmd.Wait()
	j.cmd = nil
}

// Sync returns when journald has written everything that was queued.
func (j *Journal) Sync(t testing.TB) {
	t.Helper()
	cmd := exec.Command("journalctl", "--sync")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := j.Run(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("journalctl --sync: %v\n%s", err, &out)
	}
}

// Journalctl runs journalctl on the journal, inside the namespace, and returns
// what it prints.
func (j *Journal) Journalctl(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("journalctl", append([]string{"--directory=/var/log/journal", "--quiet", "--no-pager"}, args...)...)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "TZ=UTC", "SYSTEMD_COLORS=0"}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := j.Run(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	// journalctl exits 1 if nothing matched.
	if err != nil && stderr.Len() > 0 {
		t.Fatal(fmt.Errorf("journalctl %q: %w\n%s", args, err, &stderr))
	}
	return out.Bytes()
}

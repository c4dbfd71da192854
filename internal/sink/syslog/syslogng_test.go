package syslog

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// syslogNGRoot names a folder into which Debian's packages of syslog-ng were
// unpacked: they cannot be installed beside those of rsyslog.
const syslogNGRoot = "SYSLOG_NG_ROOT"

// syslogNG is a real syslog-ng with its own configuration, that hears on a loopback
// address. It writes a line for each message: host, program, structured data, text.
type syslogNG struct {
	t    testing.TB
	port int
	out  string
	said string
}

// newSyslogNG starts it with a source that has %d where its port belongs.
func newSyslogNG(t testing.TB, source string) *syslogNG {
	t.Helper()
	root := os.Getenv(syslogNGRoot)
	program := root + "/usr/sbin/syslog-ng"
	if _, err := os.Stat(program); err != nil {
		t.Skipf("needs syslog-ng, installed or unpacked in $%s: %v", syslogNGRoot, err)
	}
	dir := t.TempDir()
	n := &syslogNG{t: t, port: freePort(t, TCP), out: filepath.Join(dir, "out"), said: filepath.Join(dir, "said")}
	version, err := n.command(root, program, "--version").Output()
	check(t, err)
	_, after, _ := strings.Cut(string(version), "(")
	version3, _, _ := strings.Cut(after, ")")
	numbers := strings.SplitN(version3, ".", 3)
	conf := filepath.Join(dir, "conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `@version: %s.%s
options { keep-hostname(yes); stats-freq(0); flush-lines(1); };
source s { %s };
destination d { file("%s" template("$HOST\t$PROGRAM\t$SDATA\t$MSG\n")); };
log { source(s); destination(d); };
`, numbers[0], numbers[1], fmt.Sprintf(source, n.port), n.out), 0o600))
	in := func(name string) string { return filepath.Join(dir, name) }
	modules := root + "/usr/lib/syslog-ng/" + numbers[0] + "." + numbers[1]
	cmd := n.command(root, program, "-F", "-e", "--no-caps", "-f", conf, "--module-path="+modules,
		"-R", in("persist"), "-p", in("pid"), "-c", in("ctl"))
	said, err := os.Create(n.said)
	check(t, err)
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(t, cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		await(t, "the end of syslog-ng", done)
	})
	n.poll("to start", func() bool {
		select {
		case <-done:
			b, _ := os.ReadFile(n.said)
			t.Fatalf("syslog-ng ended: %s", b)
		default:
		}
		b, _ := os.ReadFile(n.said)
		return strings.Contains(string(b), "starting up")
	})
	return n
}

func (n *syslogNG) command(root string, argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	if root != "" {
		libraries, _ := filepath.Glob(root + "/usr/lib/*-linux-gnu*")
		more, _ := filepath.Glob(root + "/lib/*-linux-gnu*")
		libraries = append(append(libraries, more...), root+"/usr/lib/syslog-ng")
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
	return cmd
}

func (n *syslogNG) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *syslogNG) poll(what string, there func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(n.said)
			n.t.Fatalf("waited %v for syslog-ng %s; it said: %s", patience, what, said)
		}
	}
}

// lines returns what it has written once there are n lines.
func (n *syslogNG) lines(count int) []string {
	n.t.Helper()
	var b []byte
	n.poll(fmt.Sprintf("to write %d lines", count), func() bool {
		b, _ = os.ReadFile(n.out)
		return strings.Count(string(b), "\n") >= count
	})
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

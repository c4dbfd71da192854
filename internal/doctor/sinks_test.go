package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
)

// oneByOne returns what trying a sink found.
func oneByOne(t *testing.T, f *facts, s config.Sink) Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return f.try(ctx, &s)
}

func TestSinksAreTriedWithoutAnEvent(t *testing.T) {
	t.Parallel()
	f := well(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("there"))
	write(t, in("ca"))
	if err := os.Symlink("there", in("link")); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"good": 0o755, "plain": 0o644, "open": 0o777} {
		write(t, in(name))
		chmod(t, in(name), mode)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()

	fileAt := func(path string) config.Sink {
		return config.Sink{Type: file.Type, Settings: &file.Config{Path: path}}
	}
	group := fileAt(in("new"))
	group.Settings.(*file.Config).Group = "no-such-group"
	command := func(path string) config.Sink {
		return config.Sink{Type: exec.Type, Settings: &exec.Config{Command: []string{path}}}
	}
	syslogAt := func(network, target string) config.Sink {
		return config.Sink{Type: syslog.Type, Settings: &syslog.Config{Address: network + "://" + target, Network: network, Target: target}}
	}
	long := syslogAt("tcp", listener.Addr().String())
	long.Settings.(*syslog.Config).MaxMessage = 16384
	noCA, badCA := syslogAt("tls", listener.Addr().String()), syslogAt("tls", listener.Addr().String())
	noCA.Settings.(*syslog.Config).CA, badCA.Settings.(*syslog.Config).CA = in("gone"), in("ca")
	for _, tt := range []struct {
		name   string
		sink   config.Sink
		status Status
		text   string
	}{
		{"console", config.Sink{Type: console.Type, Settings: console.NewConfig()}, OK, "standard output"},
		{"a new file", fileAt(in("new")), OK, "may write to"},
		{"a file", fileAt(in("there")), OK, "may write to"},
		{"no folder", fileAt(in("gone/x")), Failure, "is not there"},
		{"a link", fileAt(in("link")), Failure, "is not a regular file"},
		{"a file as a folder", fileAt(in("there/x")), Failure, "may not write"},
		{"no group", group, Failure, "no group no-such-group"},
		{"no journald", config.Sink{Type: journald.Type, Settings: journald.NewConfig()}, Failure, "journald cannot be reached"},
		{"syslog", syslogAt("tcp", listener.Addr().String()), OK, "accepts connections"},
		{"long messages", long, Warning, "may become a log line of its own"},
		{"no syslog", syslogAt("tcp", nobody.Addr().String()), Failure, "connection refused"},
		{"no /dev/log", syslogAt("unix", in("gone")), Failure, "no such file"},
		{"udp", syslogAt("udp", "127.0.0.1:514"), OK, "nobody can tell"},
		{"no authority", noCA, Failure, "may not read a certificate"},
		{"a bad authority", badCA, Failure, "no certificate in"},
		{"a command", command(in("good")), OK, "may execute"},
		{"no command", command(in("gone")), Failure, "no such file"},
		{"a folder as a command", command(dir), Failure, "is not a regular file"},
		{"not executable", command(in("plain")), Failure, "may not execute"},
		{"open to others", command(in("open")), Warning, "others may change"},
	} {
		got := oneByOne(t, f, tt.sink)
		if got.Status != tt.status || !strings.Contains(got.Text, tt.text) || (got.Status == OK) != (got.Advice == "") {
			t.Errorf("%s: got %+v, want %s that says %q", tt.name, got, tt.status, tt.text)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 6 {
		t.Errorf("trying left something behind: %v", left)
	}
	if os.Geteuid() != 0 {
		f.account.value.uid++
		for _, s := range []config.Sink{fileAt(in("new")), command(in("good")), noCA} {
			if got := oneByOne(t, f, s); !got.unknown {
				t.Errorf("another user, without root: got %+v", got)
			}
		}
	}
	f.account.err = errNo
	if got := oneByOne(t, f, fileAt(in("new"))); !got.unknown {
		t.Errorf("an unknown user: got %+v", got)
	}
}

func TestAJournaldThatListensIsReached(t *testing.T) {
	t.Parallel()
	f := well(t)
	path := filepath.Join(f.root, journald.DefaultPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := oneByOne(t, f, config.Sink{Type: journald.Type, Settings: journald.NewConfig()}); got.Status != OK {
		t.Errorf("got %+v", got)
	}
	if err := listener.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := listener.ReadFrom(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes were sent to it", n)
	}
}

func TestAFileThatTheServiceMayNotWriteIsAFailure(t *testing.T) {
	t.Parallel()
	f := well(t)
	if os.Geteuid() == 0 {
		f.account.value = account{uid: 65534, gid: 65534} // nobody may not write it, root may
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "events.json")
	write(t, path)
	chmod(t, path, 0o444)
	chmod(t, dir, 0o777)
	chmod(t, filepath.Dir(dir), 0o711)
	got := oneByOne(t, f, config.Sink{Type: file.Type, Settings: &file.Config{Path: path}})
	if got.Status != Failure || !strings.Contains(got.Text, "may not write to the file") {
		t.Errorf("got %+v", got)
	}
}

func TestAFileOnAFullDiskIsAFailure(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, which may write to a folder of /proc: a file system without any room")
	}
	got := oneByOne(t, well(t), config.Sink{Type: file.Type, Settings: &file.Config{Path: "/proc/events.json"}})
	if got.Status != Failure || !strings.Contains(got.Text, "is full") {
		t.Errorf("got %+v", got)
	}
}

func TestWhichSinksAreLookedAt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*facts)
		want   string
	}{
		{"configured", func(*facts) {}, "local"},
		{"the default of the service", func(f *facts) { alone(f); f.Config.Sinks = nil }, "journald"},
		{"the default that the daemon took", func(f *facts) { f.Config.Sinks = nil; f.Daemon.Sinks[0].Name = "console" }, "console"},
		{"none", func(f *facts) { f.Config.Sinks = []config.Sink{} }, ""},
		{"a broken configuration", func(f *facts) { f.Config = nil }, ""},
	} {
		f := well(t)
		tt.change(f)
		var names []string
		for _, s := range f.wantedSinks() {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

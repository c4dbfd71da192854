package exec

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    Config
		want string
	}{
		{"no command", Config{}, "no command"},
		{"relative path", Config{Command: []string{"page"}}, `"page" is not an absolute path`},
		{"unknown mode", Config{Command: []string{"/bin/true"}, Mode: "7"}, `unknown mode "7"`},
		{"negative timeout", Config{Command: []string{"/bin/true"}, Timeout: -1}, "negative timeout"},
		{"negative rate", Config{Command: []string{"/bin/true"}, MaxPerMinute: -1}, "negative number of runs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(&tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// What the command gets is all written down here: nothing is inherited.
func TestCommandGetsACleanRoom(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	t.Setenv("IPE_FORGED", "1")
	leak, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)

	ev := &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Path: []byte("/a\nb\xff\x00c")}
	bytes := AppendEntry(nil, ev, &format.Context{Identity: format.Identity{Spool: 0xab, Seq: 7}})
	json := format.AppendJSON(nil, ev, &format.Context{Identity: format.Identity{Spool: 0xab, Seq: 7}})
	const room = "dir /\nleads its session true\nleads its group true\nfd 0\nfd 1\nfd 2\nCapAmb:\t0000000000000000\n" +
		`env "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"` + "\n"
	for _, tt := range []struct {
		mode  string
		entry []byte
		want  string
	}{
		{ModeStream, json, room},
		{ModeEach, bytes, room +
			`env "IPE_SPOOL=00000000000000ab"` + "\n" +
			`env "IPE_SEQ=7"` + "\n" +
			`env "IPE_EVENT=access"` + "\n" +
			`env "IPE_VERDICT=denied"` + "\n" +
			`env "IPE_PATH=/a\nb\xff` + "\uFFFD" + `c"` + "\n" +
			`env "IPE_COALESCED=0"` + "\n"},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "report")
			s := open(t, Config{Command: helper(t, "report", out), Mode: tt.mode})
			if err := s.Write(context.Background(), &sink.Entry{Event: ev, Bytes: tt.entry}); err != nil {
				t.Fatal(err)
			}
			flush(t, s)
			if err := s.Close(); err != nil { // the end of the stream's input
				t.Fatal(err)
			}
			want := tt.want + "stdin " + quote(json) + "\n"
			if diff := cmp.Diff(want, content(t, out)); diff != "" {
				t.Errorf("what the command got (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommandLosesAmbientCapabilities(t *testing.T) {
	runtime.LockOSThread() // not unlocked: the thread's capabilities are changed
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
	if data[0].Permitted&(1<<unix.CAP_KILL) == 0 {
		t.Skip("needs CAP_KILL, to hand it on")
	}
	data[0].Inheritable |= 1 << unix.CAP_KILL
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		t.Skipf("needs the right to change its capabilities: %v", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_KILL, 0, 0); err != nil {
		t.Skipf("needs ambient capabilities: %v", err)
	}
	out := filepath.Join(t.TempDir(), "report")
	// A process of its own, all of whose threads have the capability.
	cmd := exec.Command(helper(t)[0], append([]string{"helper", "daemon"}, helper(t, "report", out)...)...)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, out); !strings.Contains(got, "CapAmb:\t0000000000000000\n") {
		t.Errorf("the command got:\n%s", got)
	}
}

func TestCommandDiesWithTheDaemon(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(helper(t)[0], append([]string{"helper", "daemon"}, script(t, "echo $$ >"+pid+"; exec sleep 1000")...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command starts", func() bool { return strings.HasSuffix(content(t, pid), "\n") })
	if gone(t, pid) {
		t.Fatal("the command ended before the daemon")
	}
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "the command dies", func() bool { return gone(t, pid) })
}

// What the command leaves behind in its group is killed when it ends, also
// when it ends well.
func TestNothingIsLeftOfTheGroup(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{ModeStream, ModeEach} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			pid := filepath.Join(t.TempDir(), "pid")
			s := open(t, Config{Command: script(t, "sleep 1000 & echo $! >"+pid+"\nread x || :"), Mode: mode})
			write(t, s, "{}\n")
			eventually(t, "the child starts", func() bool { return strings.HasSuffix(content(t, pid), "\n") })
			s.Close()
			eventually(t, "the child dies", func() bool { return gone(t, pid) })
		})
	}
}

func TestStderrIsLogged(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{ModeStream, ModeEach} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var got []string
			s := open(t, Config{
				Command: script(t, `read x; echo "$x: no route" >&2; printf 'last' >&2; echo out`),
				Mode:    mode,
			})
			s.Close()
			s.stderr = newLineLog(func(l string) { got = append(got, l) })
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			write(t, s, "page\n")
			s.Close() // after it, nothing is logged
			if diff := cmp.Diff([]string{"page: no route", "last"}, got); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingCommandIsAnError(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	s, err := New(&Config{Command: []string{missing}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stream: Open: %v, want not exist", err)
	}
	s = open(t, Config{Command: []string{missing}, Mode: ModeEach})
	if err := s.Write(context.Background(), line("{}\n")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("each: Write: %v, want not exist", err)
	}
	if st := counted(s); st["runs"] != 1 || st["command_failures"] != 1 {
		t.Errorf("got %+v, want one run, failed", st)
	}
}

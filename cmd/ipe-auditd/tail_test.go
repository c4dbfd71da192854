package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// feedServer is what tail and status see of a daemon.
type feedServer struct {
	t      *testing.T
	spool  *spool.Spool
	path   string
	status api.Status
	server *api.Server
	served chan error
}

// newFeed serves a spool in memory at a socket. It ends with the test.
func newFeed(t *testing.T) *feedServer {
	t.Helper()
	sp, err := spool.Open(spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "feed") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	f := &feedServer{t: t, spool: sp, path: filepath.Join(dir, "api.sock")}
	t.Cleanup(func() {
		sp.Close()
		f.stop()
		os.RemoveAll(dir)
	})
	f.start()
	return f
}

func (f *feedServer) start() {
	f.t.Helper()
	var err error
	f.server, err = api.Listen(api.Options{
		Path: f.path, Mode: 0o600, Spool: f.spool, ErrorLog: log.New(io.Discard, "", 0),
		Status: func() api.Status { st := f.status; st.Spool = api.Measure(f.spool); return st },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve() }()
	f.served = served
}

func (f *feedServer) stop() {
	if f.server == nil {
		return
	}
	if err := f.server.Close(); err != nil {
		f.t.Error(err)
	}
	if err := <-f.served; err != nil {
		f.t.Error(err)
	}
	f.server = nil
}

// deny puts denials of /tmp/FIRST to /tmp/LAST into the spool.
func (f *feedServer) deny(first, last int) {
	for n := first; n <= last; n++ {
		f.spool.Append([]spool.Record{{Type: ipe.TypeAccess, Time: time.Now().UnixNano(), Data: fmt.Appendf(nil,
			`audit(1795440937.705:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="sh" path="/tmp/%d" dev="vda" ino=7 rule="DEFAULT op=EXECUTE action=DENY"`, n, n, n)}})
	}
}

// command runs a command line in this process.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// pathsIn returns the paths below /tmp in each line.
func pathsIn(lines string) []string {
	got := []string{}
	for line := range strings.Lines(lines) {
		_, path, _ := strings.Cut(line, "/tmp/")
		end := strings.IndexAny(path, " \"\n")
		got = append(got, path[:max(end, 0)])
	}
	return got
}

func TestTailBeginsAndSelects(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.deny(1, 15)
	f.spool.Append([]spool.Record{{Type: ipe.TypeMACStatus, Time: time.Now().UnixNano(), Data: []byte("audit(1795440937.705:9): enforcing=1 old_enforcing=0 lsm=ipe res=1")}})
	tests := []struct {
		args []string
		want []string // numbers of denials, empty for others
	}{
		{nil, append(numbers(1, 15), "")},
		{[]string{"-n", "2"}, []string{"15", ""}},
		{[]string{"-n", "0"}, []string{}},
		{[]string{"--json", "-n", "3"}, []string{"14", "15", ""}},
		{[]string{"--since", "10m", "--verdict", "denied"}, numbers(1, 15)},
		{[]string{"--since", "0s"}, []string{}},
		{[]string{"--path", "/tmp/1,/tmp/3", "--path", "/tmp/5"}, []string{"1", "3", "5"}},
		{[]string{"--event", "enforcement"}, []string{""}},
		{[]string{"--op", "EXECUTE", "--hook", "BPRM_CHECK", "-n1"}, []string{"15"}},
	}
	for _, tt := range tests {
		code, stdout, stderr := command(append([]string{"tail", "--no-follow", "--socket", f.path}, tt.args...)...)
		if code != 0 || stderr != "" {
			t.Errorf("%q: exit code %d, %s", tt.args, code, stderr)
		}
		if diff := cmp.Diff(tt.want, pathsIn(stdout)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
}

func numbers(first, last int) []string {
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, strconv.Itoa(n))
	}
	return list
}

func TestTailPrintsTextAsEverybody(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	text := []byte(`audit(1795440937.705:9): enforcing=1 old_enforcing=0 lsm=ipe res=1`)
	f.spool.Append([]spool.Record{{Type: ipe.TypeMACStatus, Data: text}})
	var ev ipe.Event
	new(ipe.Decoder).Decode(&ev, ipe.TypeMACStatus, text)
	id := f.spool.Stats().ID
	for _, tt := range []struct {
		flag string
		c    format.Context
	}{
		{"--full", format.Context{IDs: true, Identity: format.Identity{Spool: uint64(id), Seq: 1}}},
		{"--no-ids", format.Context{}},
		{"--utc", format.Context{IDs: true, Identity: format.Identity{Spool: uint64(id), Seq: 1}, Zone: time.UTC}},
	} {
		want := string(format.AppendText(nil, &ev, &tt.c))
		if _, got, _ := command("tail", "--no-follow", tt.flag, "--socket", f.path); got != want {
			t.Errorf("%s: got %q, want %q", tt.flag, got, want)
		}
	}
}

// TestFromALineToItsExplanation takes the id of a line of tail.
func TestFromALineToItsExplanation(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.deny(1, 3)
	_, lines, _ := command("tail", "--no-follow", "-n", "2", "--socket", f.path)
	first, _, _ := strings.Cut(lines, "\n")
	id := first[strings.LastIndexByte(first, ' ')+1:]
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{id}, []string{"2"}},
		{[]string{id[:4] + id[16:]}, []string{"2"}},
		{[]string{"1"}, []string{"1"}},
		{[]string{"last"}, []string{"3"}},
		{[]string{"--path", "/tmp/[12]", "-n", "2"}, []string{"1", "2"}},
	} {
		code, out, stderr := command(append([]string{"explain", "--socket", f.path, "--verdict", "denied"}, tt.args...)...)
		var got []string
		for line := range strings.Lines(out) {
			if path, ok := strings.CutPrefix(line, "sh (pid "); ok {
				_, path, _ = strings.Cut(path, "/tmp/")
				got = append(got, strings.TrimSuffix(path, ".\n"))
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || code != 0 || stderr != "" {
			t.Errorf("%q: %d, %s (-want +got):\n%s", tt.args, code, stderr, diff)
		}
	}
}

func TestTailSaysPlainlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	gone := f.path + ".gone"
	dead := filepath.Join(filepath.Dir(f.path), "dead")
	dying, err := api.Listen(api.Options{Path: dead, Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dead, dead+"2"); err != nil {
		t.Fatal(err)
	}
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tail", "--socket", gone}, 1, "no daemon answers at " + gone + ": start it"},
		{[]string{"tail", "--socket", dead + "2"}, 1, "no daemon answers at "},
		{[]string{"tail", "--socket", f.path + "/x"}, 1, "not a directory"},
		{[]string{"status", "--socket", gone}, 1, "no daemon answers at " + gone + ": start it"},
		{[]string{"tail", "--event", "acess", "--socket", gone}, 2, `--event "acess": unknown; did you mean "access"?; see ipe-auditd tail --help`},
		{[]string{"tail", "--since", "soon", "--socket", gone}, 2, `--since "soon" is not a time`},
		{[]string{"tail", "-n", "-1", "--socket", gone}, 2, `--lines "-1": want a number from 0`},
		{[]string{"tail", "extra"}, 2, "is no stream"},
	}
	for _, tt := range tests {
		code, stdout, stderr := command(tt.args...)
		if code != tt.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: exit code %d, %q, %q; want %d, %q", tt.args, code, stdout, stderr, tt.code, tt.want)
		}
	}
}

func TestNoPermissionNamesTheGroup(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	if got := noAnswer(f.path, syscall.EACCES).Error(); !strings.Contains(got, "it answers to root") || strings.Contains(got, "group") {
		t.Errorf("got %q", got)
	}
	if err := os.Chmod(f.path, 0o660); err != nil {
		t.Fatal(err)
	}
	if got := noAnswer(f.path, syscall.EACCES).Error(); !strings.Contains(got, " and to members of group ") {
		t.Errorf("got %q", got)
	}
}

// process is a program that follows the feed.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *bufio.Reader
}

func startTail(t *testing.T, args ...string) *process {
	t.Helper()
	return startProgram(t, exec.Command("ipe-auditd", append([]string{"tail"}, args...)...))
}

// startProgram starts cmd as the leader of a process group, which ends with the
// test.
func startProgram(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd, bufio.NewReader(stdout), bufio.NewReader(stderr)}
	t.Cleanup(p.kill)
	return p
}

// kill ends the whole process group.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait()
}

// awaitClient waits until the feed was opened that many times.
func (f *feedServer) awaitClient(times uint64) {
	for f.server.Status().Feed.Opened < times {
		time.Sleep(time.Millisecond)
	}
}

// expect reads a line for each of want and compares the paths.
func (p *process) expect(want []string) {
	p.t.Helper()
	var lines strings.Builder
	for range want {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%v after %q", err, lines.String())
		}
		lines.WriteString(line)
	}
	if diff := cmp.Diff(want, pathsIn(lines.String())); diff != "" {
		p.t.Errorf("(-want +got):\n%s", diff)
	}
}

func (p *process) says(want string) {
	p.t.Helper()
	line, err := p.stderr.ReadString('\n')
	if err != nil || !strings.Contains(line, want) {
		p.t.Errorf("got %q, %v, want %q", line, err, want)
	}
}

func TestTailGoesOnWhereItWasWhenTheDaemonRestarts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--json"}, {"--since", "1h"}} {
		f := newFeed(t)
		f.deny(1, 12)
		p := startTail(t, append(args, "--socket", f.path)...)
		first := 3 // the last 10
		if len(args) == 2 {
			first = 1
		}
		p.expect(numbers(first, 12))
		for round := range 3 {
			f.deny(100*round+100, 100*round+109)
			p.expect(numbers(100*round+100, 100*round+109))
			f.stop()
			p.says("waiting for it to come back")
			f.deny(100*round+110, 100*round+130)
			f.start()
			p.expect(numbers(100*round+110, 100*round+130))
			p.says("going on after " + f.spool.Stats().ID.String() + ":")
		}
		if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(p.stdout); len(rest) > 0 || err != nil {
			t.Errorf("more: %q, %v", rest, err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("interrupted, it ends with %v", err)
		}
	}
}

// A tail to which nothing was worth printing still knows where it was.
func TestTailThatPrintedNothingMissesNothing(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.deny(1, 5)
	p := startTail(t, "-n", "0", "--path", "/tmp/7", "--socket", f.path)
	f.awaitClient(1)
	f.stop()
	p.says("waiting")
	f.deny(6, 8)
	f.start()
	p.expect(numbers(7, 7))
}

func TestInterruptedWhileItWaitsTailEndsWell(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	p := startTail(t, "--socket", f.path)
	f.awaitClient(1)
	f.stop()
	p.says("waiting")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestFitCutsToTheWidth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line  string
		width int
		want  string
	}{
		{"short", 80, "short"},
		{"exactly", 7, "exactly"},
		{"exactly8", 7, "exactl…"},
		{"as it is", 0, "as it is"},
		{"\x1b[1;31mDENIED\x1b[0m", 6, "\x1b[1;31mDENIED\x1b[0m"},
		{"\x1b[1;31mDENIED\x1b[0m x", 6, "\x1b[1;31mDENIE…\x1b[0m"},
		{"\x1b[1;31mDENIED\x1b[0m xyz", 8, "\x1b[1;31mDENIED\x1b[0m …\x1b[0m"},
		{"日本", 4, "日本"},
		{"日本x", 4, "日…"},
		{"日", 1, "…"},
	}
	for _, tt := range tests {
		if got := string(text.Fit([]byte(tt.line+"\n"), tt.width)); got != tt.want+"\n" {
			t.Errorf("%q in %d columns: got %q, want %q", tt.line, tt.width, got, tt.want)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add("12:00 \x1b[1mDENIED\x1b[0m /tmp/日本", 12)
	f.Fuzz(func(t *testing.T, line string, width int) {
		line = strings.ReplaceAll(strings.ToValidUTF8(line, "?"), "\n", "")
		got := string(text.Fit([]byte(line+"\n"), width))
		if !utf8.ValidString(got) || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%q in %d columns: got %q", line, width, got)
		}
		if width > 0 && !strings.ContainsRune(line, '\x1b') {
			columns := 0
			short, marked := strings.CutSuffix(got, "…\n")
			if marked {
				columns = 1
			}
			for _, r := range strings.TrimSuffix(short, "\n") {
				columns += text.Columns(string(r))
			}
			if columns > width {
				t.Errorf("%q in %d columns takes %d", line, width, columns)
			}
		}
	})
}

func TestTailGoesOnAtTheCursorFile(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	file := filepath.Join(t.TempDir(), "place")
	run := func(want []string, args ...string) {
		t.Helper()
		code, stdout, stderr := command(append([]string{"tail", "--json", "--no-follow", "--socket", f.path, "--cursor-file", file}, args...)...)
		got := pathsIn(stdout)
		if code != 0 || stderr != "" || !slices.Equal(got, want) {
			t.Errorf("%q: exit code %d, %q, %v; want %v", args, code, stderr, got, want)
		}
	}
	f.deny(1, 3)
	run(nil) // a first run leaves the past alone
	f.deny(4, 5)
	run(numbers(4, 5))
	run(nil)
	f.deny(6, 8)
	run(numbers(6, 6), "--path", "/tmp/6") // and looks at the rest
	run(nil)
	f.deny(9, 9)
	run(numbers(9, 9), "-n", "7", "--since", "1d") // which are for a first run
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	run(numbers(8, 9), "-n", "2")
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := command("tail", "--no-follow", "--socket", f.path, "--cursor-file", file); code != 1 || stdout != "" || !strings.Contains(stderr, "holds no place in the feed") {
		t.Errorf("nonsense: exit code %d, %q, %q", code, stdout, stderr)
	}
}

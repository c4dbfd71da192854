package engines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// program is the program itself, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ipe-auditd-engines")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "ipe-auditd")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/ipe-auditd")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// built is where the program is, to be removed at the end.
var built string

// run runs the program, and returns what it prints and how it exits.
func run(t testing.TB, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := program()
	check(t, err)
	cmd := exec.CommandContext(limited(t), path, arguments...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

// fleet returns events of hosts in the order in which a stream would get them: each
// host has a start, accesses and a switch of enforcement.
func fleet(f format.Func, hosts, accesses int) (list []*sink.Entry) {
	for i := range accesses + 2 {
		for h := range hosts {
			ev := &ipe.Event{Kind: ipe.KindAccess, Dialect: ipe.DialectMainline, Type: 1420, Has: ipe.HasStamp | ipe.HasPID | ipe.HasIno,
				Time: longAgo.UnixMilli() + int64(1000*i), Serial: uint64(i + 1), PID: uint64(1000 + i), Ino: uint64(100 + i%7),
				Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny, Enforcing: ipe.True, RuleKind: ipe.RuleOpDefault,
				Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Comm: []byte("sh"), Dev: []byte("vda2"),
				Path: fmt.Appendf(nil, "/usr/bin/tool-%d", i%7), Rule: []byte("DEFAULT op=EXECUTE action=DENY")}
			if h%3 == 0 {
				ev.Verdict, ev.Enforcing = ipe.VerdictWouldDeny, ipe.False
			}
			switch i {
			case 0:
				*ev = ipe.Event{Kind: ipe.KindStarted, Has: ipe.HasStamp, Time: ev.Time, Version: []byte("1.0.0"), Enforcing: ev.Enforcing, IPEStatus: []byte("active"),
					Policy: ipe.Policy{Name: []byte("lab"), Version: fmt.Appendf(nil, "1.0.%d", h%2), Digest: []byte("sha256:6146")}}
			case 1:
				*ev = ipe.Event{Kind: ipe.KindEnforcement, Dialect: ipe.DialectMainline, Type: 1404, Has: ipe.HasStamp, Time: ev.Time, Serial: 2, Enforcing: ev.Enforcing, Res: ipe.True}
			}
			at := spool.Cursor{ID: spool.ID(h + 1), Seq: uint64(i + 1)}
			c := format.Context{Identity: format.Identity{Spool: uint64(at.ID), Seq: at.Seq, Host: fmt.Appendf(nil, "web%d.example.com", h),
				BootID: fmt.Appendf(nil, "0b4a2f9e-6c1d-4c57-9e35-%012d", h)}}
			list = append(list, &sink.Entry{Event: ev, Cursor: at, Bytes: f(nil, ev, &c)})
		}
	}
	return list
}

// The commands say of a stream what they say of a file with the same events.
func TestQueriesReadAStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	out, _ := newSink(t, url(s), func(o *natsOptions) { o.Batch = 1000 })
	check(t, deliver(t, out, fleet(form(t, format.AppendJSON), 20, 50)...))
	var lines []byte
	for _, e := range fleet(format.AppendJSON, 20, 50) {
		lines = append(lines, e.Bytes...)
	}
	file := filepath.Join(t.TempDir(), "events.json")
	check(t, os.WriteFile(file, lines, 0o600))
	stream := url(s) + "/IPE"
	since := longAgo.Add(20 * time.Second).UTC().Format(time.RFC3339)
	for _, arguments := range [][]string{
		{"report", "--json"},
		{"report", "--json", "--since", since},
		{"report", "--json", "--host", "web1?.example.com"},
		{"readiness", "--json"},
		{"suggest"},
		{"explain", "--json", "--host", "web3.example.com", "last"},
	} {
		gotOut, gotErr, gotCode := run(t, append(arguments, stream)...)
		wantOut, wantErr, wantCode := run(t, append(arguments, file)...)
		if len(wantOut) < 50 || !json.Valid([]byte(wantOut)) && arguments[0] != "explain" && arguments[0] != "suggest" {
			t.Errorf("%v of the file: %d, %.300s %s", arguments, wantCode, wantOut, wantErr)
		}
		name := "stream IPE at " + url(s)
		replace := strings.NewReplacer(name, file).Replace
		if diff := cmp.Diff(wantOut, replace(gotOut)); diff != "" || gotCode != wantCode {
			t.Errorf("%v: exit %d, want %d; -file +stream:\n%s\n%s", arguments, gotCode, wantCode, diff, gotErr)
		}
	}
}

// What cannot be read of a stream is said, and no answer is given as if it were whole.
func TestQueriesSayWhatTheyCannotReadOfAStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	stream := url(s) + "/IPE"
	if out, complaint, code := run(t, "readiness", stream); code != 2 {
		t.Errorf("an empty stream: exit %d, %s %s", code, out, complaint)
	}
	binary, _ := newSink(t, url(s), func(o *natsOptions) { o.JSON = false })
	check(t, deliver(t, binary, denial(form(t, format.OTLP{}.Func()), "a", 1, longAgo, 0)))
	out, _ := newSink(t, url(s), nil)
	check(t, deliver(t, out, denial(form(t, format.AppendJSON), "a", 2, longAgo, 0)))
	if out, complaint, code := run(t, "report", stream); code != 1 || !strings.Contains(complaint, "messages that are no JSON") || !strings.Contains(out, "tool-2") {
		t.Errorf("a message of another form: exit %d, %s %s", code, out, complaint)
	}
	if out, complaint, code := run(t, "readiness", "--json", stream); code == 0 || !strings.Contains(out, "messages that are no JSON") {
		t.Errorf("a message of another form: exit %d, %s %s", code, out, complaint)
	}
	for arguments, want := range map[string]string{
		url(s):                         "names no stream",
		url(s) + "/NONE":               "stream not found",
		url(s) + "/a.b":                "not the name of a stream",
		url(s) + "/IPE?x=y":            "unknown parameter",
		"nats://127.0.0.1:1/IPE":       "refused",
		"nats://u:secret@127.0.0.1:1/": "names no stream",
	} {
		_, complaint, code := run(t, "report", arguments)
		if code != 1 || !strings.Contains(complaint, want) || strings.Contains(complaint, "secret") || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, want %q in one line", arguments, code, complaint, want)
		}
	}
}

// A stream out of which the oldest messages fall is read to its end.
func TestQueriesReadAStreamThatHasLostItsBeginning(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 })
	out, _ := newSink(t, url(s), nil)
	f := form(t, format.AppendJSON)
	for i := range 30 {
		check(t, deliver(t, out, denial(f, "a", i+1, longAgo, 0)))
	}
	got, complaint, code := run(t, "report", "--json", url(s)+"/IPE")
	var r struct {
		Hosts []struct{ Events, Denied int }
	}
	check(t, json.Unmarshal([]byte(got), &r))
	if code != 0 || len(r.Hosts) != 1 || r.Hosts[0].Events != 10 || r.Hosts[0].Denied != 10 {
		t.Errorf("exit %d, %+v %s", code, r, complaint)
	}
}

func TestTailOfAStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	out, _ := newSink(t, url(s), func(o *natsOptions) { o.Batch = 1000 })
	check(t, deliver(t, out, fleet(form(t, format.AppendJSON), 3, 10)...))
	stream := url(s) + "/IPE"
	for _, tt := range []struct {
		arguments []string
		lines     int
		contains  string
	}{
		{[]string{"--no-follow"}, 36, "web0.example.com 2026-"},
		{[]string{"--no-follow", "-n", "5"}, 5, "web2.example.com"},
		{[]string{"--no-follow", "--host", "web1*"}, 12, "web1.example.com"},
		{[]string{"--no-follow", "--verdict", "would_deny", "-n", "3"}, 3, "web0.example.com"},
		{[]string{"--no-follow", "--json", "--event", "started"}, 3, `"event":"started"`},
		{[]string{"--no-follow", "--since", "1h"}, 36, "STARTED"},
		{[]string{"--until", "2026-11-01"}, 0, ""},
	} {
		got, complaint, code := run(t, append(append([]string{"tail"}, tt.arguments...), stream)...)
		if code != 0 || strings.Count(got, "\n") != tt.lines || !strings.Contains(got, tt.contains) {
			t.Errorf("%v: exit %d, want %d lines with %q:\n%s%s", tt.arguments, code, tt.lines, tt.contains, got, complaint)
		}
	}
	for _, arguments := range [][]string{{"tail", "--host", "a"}, {"tail", "file"}, {"tail", "--host", "[", stream}, {"tail", stream, stream}} {
		if _, complaint, code := run(t, arguments...); code != 2 || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%v: exit %d, %q", arguments, code, complaint)
		}
	}
}

// A tail that follows goes on where it was when the server has been away.
func TestTailFollowsAStreamOverTheDeathOfTheServer(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	js := streams(t, p.url())
	makeStream(t, js, nil)
	f := form(t, format.AppendJSON)
	out, _ := newSink(t, p.url(), nil)
	check(t, deliver(t, out, denial(f, "a", 1, longAgo, 0), denial(f, "a", 2, longAgo, 0)))

	path, err := program()
	check(t, err)
	cmd := exec.Command(path, "tail", "--json", "-n", "1", p.url()+"/IPE")
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(stdout)
	next := func(want int) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), fmt.Sprintf(`"seq":%d,`, want)) {
			t.Fatalf("got %q, want seq %d", lines.Text(), want)
		}
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	next(2)
	check(t, deliver(t, out, denial(f, "a", 3, longAgo, 0)))
	next(3)
	p.kill()
	p.start()
	for deliver(t, out, denial(f, "a", 4, longAgo, 0)) != nil {
		check(t, out.Close())
	}
	next(4)
	check(t, cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

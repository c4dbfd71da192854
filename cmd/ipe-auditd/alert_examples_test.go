package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// example returns an example of configs/examples as a command for f, with programs
// of the folder bin before others.
func (f *feedServer) example(t *testing.T, dir, bin, name string, args ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs("../../configs/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, args...)
	cmd.Env = append(os.Environ(), "IPE_AUDITD_SOCKET="+f.path, "STATE_DIRECTORY="+dir, "PATH="+bin+":"+os.Getenv("PATH"))
	return cmd
}

// program writes a shell script of that name and returns its folder.
func program(t *testing.T, name, body string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDesktopExampleNotifies(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.deny(1, 3) // the past
	opened := f.server.Status().Feed.Opened
	cmd := f.example(t, t.TempDir(), program(t, "notify-send", `for last; do :; done; printf '%s\n' "$last"`), "desktop.sh")
	p := startProgram(t, cmd)
	f.awaitClient(opened + 1)
	denied := spool.Record{Type: ipe.TypeAccess, Data: []byte(
		`audit(1795440937.705:9): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=7 comm="sh" path="/tmp/<b>&" dev="vda" ino=7 rule="DEFAULT op=EXECUTE action=DENY"`)}
	f.spool.Append([]spool.Record{denied, denied, denied})
	line, err := p.stdout.ReadString('\n')
	if err != nil || !strings.Contains(line, "DENIED") || !strings.Contains(line, "/tmp/&lt;b&gt;&amp;") || strings.Contains(line, "<b>") {
		t.Errorf("got %q, %v", line, err)
	}
	f.stop() // which ends the minute
	if line, err = p.stdout.ReadString('\n'); err != nil || !strings.Contains(line, "2") || !strings.Contains(line, "/tmp/&lt;b&gt;&amp;") {
		t.Errorf("of the two others: got %q, %v", line, err)
	}
}

func TestMailDigestExampleMailsWhatIsNew(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "mails")
	run := func(bin string) error {
		cmd := f.example(t, dir, bin, "mail-digest.sh")
		cmd.Env = append(cmd.Env, "MAILTO=admin", "OUT="+out)
		return cmd.Run()
	}
	mails := func(want ...string) {
		t.Helper()
		got, err := os.ReadFile(out)
		if err != nil && want != nil {
			t.Error(err)
		}
		if n := bytes.Count(got, []byte("TO admin: IPE on ")); n != len(want) {
			t.Errorf("%d mails, want %d: %s", n, len(want), got)
		}
		for _, w := range want {
			if !bytes.Contains(got, []byte(w)) {
				t.Errorf("%q is missing: %s", w, got)
			}
		}
	}
	good := program(t, "mail", `{ echo "TO $3: $2"; cat; } >>"$OUT"`)
	f.deny(1, 3)
	for range 2 { // the past, and nothing
		if err := run(good); err != nil {
			t.Fatal(err)
		}
		mails()
	}
	f.deny(4, 300)
	if err := run(program(t, "mail", "exit 1")); err == nil {
		t.Error("a mail that was not sent is no success")
	}
	for range 2 {
		if err := run(good); err != nil {
			t.Fatal(err)
		}
		mails(": 297 events")
	}
	mails("... and 97 more")
}

func TestWebhookExamplePosts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	f := newFeed(t)
	f.deny(1, 3) // the past
	bodies := make(chan string, 10)
	var refused atomic.Bool
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if refused.CompareAndSwap(false, true) { // the first one is posted again
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		bodies <- string(body)
	}))
	defer hook.Close()
	opened := f.server.Status().Feed.Opened
	p := startProgram(t, f.example(t, t.TempDir(), "/nonexistent", "webhook.py", hook.URL))
	defer p.kill()
	f.awaitClient(opened + 1)
	f.deny(4, 5)
	for n := 4; n <= 5; n++ {
		if body := <-bodies; !strings.Contains(body, fmt.Sprintf(`"path":"/tmp/%d"`, n)) {
			t.Errorf("got %q, want that of /tmp/%d", body, n)
		}
	}
}

func TestPrometheusExampleServesTheMetrics(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	program := filepath.Join(t.TempDir(), "prometheus")
	if out, err := exec.Command("go", "build", "-o", program, "../../configs/examples/prometheus.go").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "IPE_AUDITD_SOCKET="+f.path)
	p := startProgram(t, cmd)
	defer p.kill()
	line, err := p.stdout.ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("got %q, %v", line, err)
	}
	get := func(page string) (int, string) {
		answer, err := http.Get("http://" + address + page)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(bufio.NewReader(answer.Body))
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if code, body := get("/metrics"); code != 200 || !strings.Contains(body, "\nipe_auditd_healthy ") {
		t.Errorf("got %d, %q", code, body)
	}
	if code, _ := get("/events"); code != 404 {
		t.Errorf("/events: got %d, want 404", code)
	}
	f.stop()
	if code, _ := get("/metrics"); code != 502 {
		t.Errorf("without the daemon: got %d, want 502", code)
	}
}

package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
)

// victoriaLogsVersion is the one that the questions were asked of.
const victoriaLogsVersion = "v1.52.2"

// startVictoriaLogs starts one, and returns its URL.
func startVictoriaLogs(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("victoria-logs")
	if err != nil {
		t.Skipf("needs victoria-logs: go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@%s", victoriaLogsVersion)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+address, "-loggerLevel=ERROR")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if r, err := http.Get("http://" + address + "/health"); err == nil {
			r.Body.Close()
			return "http://" + address
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not start: %s", log.String())
		}
	}
}

// post posts, and returns the answer.
func post(t *testing.T, to, contentType string, body []byte) string {
	t.Helper()
	r, err := http.Post(to, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode/100 != 2 {
		t.Fatalf("%s: %s %v\n%s", to, r.Status, err, text)
	}
	return string(text)
}

func TestVictoriaLogsAnswers(t *testing.T) {
	t.Parallel()
	at := startVictoriaLogs(t)
	s := newSample()
	post(t, at+"/insert/opentelemetry/v1/logs", "application/x-protobuf", s.appendAll(nil, format.OTLP{Version: "test"}.Func()))
	post(t, at+"/internal/force_flush", "", nil)

	// What the fields of an answer are, in the order of the other engine's columns.
	columns := map[string][]string{
		"new_denials": {"ipe.op", "ipe.hook", "file.path", "security_rule.name", "hosts", "events"},
		"policies":    {"ipe.policy.name", "ipe.policy.version", "hosts"},
		"permissive":  {"host.name"},
		"silent":      {"host.name"},
		"would_deny":  {"ipe.op", "ipe.hook", "file.path", "security_rule.name", "hosts", "events"},
		"losses":      {"host.name", "lost", "times"},
		"holes":       {"host.name", "missing"},
	}
	s.answers(t, questions(t, "victorialogs.logsql", "#"), func(t *testing.T, name, question string) []string {
		question = strings.ReplaceAll(question, "{since}", s.since.Format("2006-01-02T15:04:05.000Z07:00"))
		form := url.Values{"query": {question}, "start": {s.begin.Add(-time.Minute).Format(time.RFC3339)}}
		out := post(t, at+"/select/logsql/query", "application/x-www-form-urlencoded", []byte(form.Encode()))
		var lines []string
		for line := range strings.Lines(out) {
			var row map[string]string
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			var f []string
			for _, c := range columns[name] {
				f = append(f, fmt.Sprint(row[c]))
			}
			lines = append(lines, strings.Join(f, "|"))
		}
		if name == "silent" {
			slices.Sort(lines)
		}
		return lines
	})
}

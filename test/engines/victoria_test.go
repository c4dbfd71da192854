package engines

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
)

const victoriaVersion = "v1.52.2"

// victoriaProgram builds VictoriaLogs once, and keeps it in the user's cache.
var victoriaProgram = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "ipe-auditd-engines", "victoria-logs-"+victoriaVersion)
	path := filepath.Join(dir, "victoria-logs")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@"+victoriaVersion)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out[max(0, len(out)-300):])
	}
	return path, nil
})

// victoria is a VictoriaLogs.
type victoria struct {
	t    testing.TB
	port int
	dir  string
	cmd  *exec.Cmd
}

func newVictoria(t testing.TB) *victoria {
	t.Helper()
	if _, err := victoriaProgram(); err != nil {
		t.Skipf("needs VictoriaLogs, which cannot be built here: %v", err)
	}
	v := &victoria{t: t, port: freePort(t), dir: t.TempDir()}
	v.start()
	return v
}

func (v *victoria) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", v.port, path) }

func (v *victoria) endpoint() string { return v.url("/insert/opentelemetry/v1/logs") }

func (v *victoria) start() {
	v.t.Helper()
	path, _ := victoriaProgram()
	v.cmd = exec.Command(path, fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", v.port), "-storageDataPath="+v.dir,
		"-retentionPeriod=100y", "-futureRetention=100y", "-loggerLevel=ERROR")
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	v.cmd.Stderr = os.Stderr
	check(v.t, v.cmd.Start())
	cmd := v.cmd
	v.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for ctx := limited(v.t); ; time.Sleep(10 * time.Millisecond) {
		if r, err := http.Get(v.url("/health")); err == nil {
			r.Body.Close()
			return
		}
		if ctx.Err() != nil {
			v.t.Fatal("VictoriaLogs does not come up")
		}
	}
}

// stop ends it in the proper way: what it acknowledged is on its disk then.
func (v *victoria) stop() {
	v.t.Helper()
	check(v.t, v.cmd.Process.Signal(syscall.SIGINT))
	_ = v.cmd.Wait()
}

// ask returns the rows of an answer in LogsQL.
func (v *victoria) ask(query string) (rows []map[string]string) {
	v.t.Helper()
	r, err := http.PostForm(v.url("/select/logsql/query"), neturl.Values{"query": {query}})
	check(v.t, err)
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(r.Body)
		v.t.Fatalf("%s: %d %s", query, r.StatusCode, text)
	}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row map[string]string
		check(v.t, json.Unmarshal(lines.Bytes(), &row))
		rows = append(rows, row)
	}
	return rows
}

// count returns how many records there are, and how many events and hosts.
func (v *victoria) count() string {
	for _, row := range v.ask("* | stats count() n, count_uniq(log.record.uid) uids, count_uniq(host.name) hosts") {
		return row["n"] + " " + row["uids"] + " " + row["hosts"]
	}
	return "no answer"
}

// await waits until a count is that: what was acknowledged is not searched at once.
func (v *victoria) await(want string) {
	v.t.Helper()
	got := ""
	for ctx := limited(v.t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if got = v.count(); got == want {
			return
		}
	}
	v.t.Errorf("records, events and hosts: %s, want %s", got, want)
}

func newOTLP(t testing.TB, endpoint string) (*otlp.Sink, *told) {
	t.Helper()
	said := new(told)
	s, err := otlp.New(otlp.Options{Endpoint: endpoint, Gzip: true, Batch: 200, Timeout: patience, Refused: said.add})
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s, said
}

func TestVictoriaLogsHasWhatWasSent(t *testing.T) {
	t.Parallel()
	v := newVictoria(t)
	c := otlp.NewConfig().(*otlp.Config)
	c.Endpoint = v.endpoint()
	if found := c.Probe(limited(t), &sink.Host{Root: "/"}); found.Status != probe.OK {
		t.Errorf("the probe says %+v", found)
	}
	c.Endpoint = v.url("/v1/logs")
	if found := c.Probe(limited(t), &sink.Host{Root: "/"}); found.Status == probe.OK {
		t.Errorf("of a wrong path the probe says %+v", found)
	}
	entries := fleet(format.OTLP{Version: "1.0.0", HostID: "6f1b", Kernel: "6.12"}.Func(), 30, 100)
	out, said := newOTLP(t, v.endpoint())
	ctx := limited(t)
	check(t, out.Open(ctx))
	for _, e := range entries {
		check(t, out.Write(ctx, e))
	}
	check(t, out.Flush(ctx))
	v.await(fmt.Sprintf("%d %d 30", len(entries), len(entries)))
	if len(said.refused) > 0 {
		t.Errorf("told %+v", said.refused)
	}
	rows := v.ask(`log.record.uid:="0000000000000002:3"`)
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	for key, want := range map[string]string{
		"host.name": "web1.example.com", "service.name": "ipe-auditd", "service.version": "1.0.0", "host.id": "6f1b", "os.version": "6.12",
		"ipe.verdict": "denied", "ipe.op": "EXECUTE", "file.path": "/usr/bin/tool-2", "file.inode": "102", "process.pid": "1002",
		"ipe.enforcing": "true", "ipe.seq": "3", "ipe.spool": "0000000000000002", "security_rule.name": "DEFAULT op=EXECUTE action=DENY",
		"_time": longAgo.Add(2 * time.Second).UTC().Format("2006-01-02T15:04:05.999Z07:00"),
	} {
		if got := rows[0][key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if !strings.HasPrefix(rows[0]["_msg"], "DENIED EXECUTE BPRM_CHECK /usr/bin/tool-2 ") {
		t.Errorf("the body is %q", rows[0]["_msg"])
	}
}

// The store is stopped while events come, and returns: none is missing, and those that
// are there twice have one uid.
func TestVictoriaLogsIsStoppedWhileEventsCome(t *testing.T) {
	t.Parallel()
	v := newVictoria(t)
	out, said := newOTLP(t, v.endpoint())
	entries := fleet(format.OTLP{Version: "1.0.0"}.Func(), 10, 1000)
	ctx := limited(t)
	var wg sync.WaitGroup
	failures := 0
	for done := 0; done < len(entries); {
		n := min(200, len(entries)-done)
		err := out.Open(ctx)
		for i := 0; err == nil && i < n; i++ {
			err = out.Write(ctx, entries[done+i])
		}
		if err == nil {
			err = out.Flush(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				t.Fatalf("after %d: %v", done, err)
			}
			failures++
			out.Close()
			time.Sleep(20 * time.Millisecond) // the runner's pause
			continue
		}
		if done += n; done == 4000 {
			wg.Go(func() { v.stop(); v.start() })
		}
	}
	wg.Wait()
	if failures == 0 {
		t.Error("the sink has not noticed anything")
	}
	want := fmt.Sprintf("%d 10", len(entries))
	got := ""
	for ctx := limited(t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if _, got, _ = strings.Cut(v.count(), " "); got == want {
			break
		}
	}
	if got != want || len(said.refused) > 0 {
		t.Errorf("events and hosts: %s, want %s; told %+v", got, want, said.refused)
	}
}

package fleet

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

var update = flag.Bool("update", false, "rewrite testdata")

// collector is one that runs, and the store behind it.
type collector struct {
	url    string
	status atomic.Int32 // that the store answers with
	bodies chan []byte  // that the store has taken
}

// startCollector starts one with the files, and a store of ours in place of theirs.
func startCollector(t *testing.T, files ...string) *collector {
	t.Helper()
	program := os.Getenv("COLLECTOR")
	if program == "" {
		t.Skip("needs a collector in $COLLECTOR: see test/collector/main.go")
	}
	c := &collector{bodies: make(chan []byte, 100)}
	c.status.Store(http.StatusOK)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			zipped, err := gzip.NewReader(body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = zipped
		}
		text, err := io.ReadAll(body)
		if status := int(c.status.Load()); status != http.StatusOK || err != nil {
			w.WriteHeader(max(status, http.StatusBadRequest))
			return
		}
		c.bodies <- text
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(store.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c.url = "http://" + address + "/v1/logs"
	here := filepath.Join(t.TempDir(), "here.yaml")
	text := fmt.Sprintf("receivers: {otlp: {protocols: {http: {endpoint: %s}}}}\nexporters: {otlphttp: {logs_endpoint: %s/, encoding: json}}\n", address, store.URL)
	if err := os.WriteFile(here, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, file := range append(files, here) {
		args = append(args, "--config="+file)
	}
	cmd := exec.Command(program, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return c
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the collector does not start: %s", log.String())
		}
	}
}

// send posts a request, and returns the status of the answer.
func (c *collector) send(t *testing.T, request []byte) int {
	t.Helper()
	r, err := http.Post(c.url, "application/x-protobuf", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}

// TestCollectorAcknowledgesWhatItsStoreHas is about the file without a queue.
func TestCollectorAcknowledgesWhatItsStoreHas(t *testing.T) {
	t.Parallel()
	c := startCollector(t, "collector.yaml")
	s := &sample{events: different()}
	request := s.appendAll(nil, format.OTLP{Version: "1"}.Func())
	c.status.Store(http.StatusServiceUnavailable)
	if got := c.send(t, request); got/100 == 2 {
		t.Errorf("the store refuses, and the collector answers %d", got)
	}
	if len(c.bodies) > 0 {
		t.Error("the store has what it refused")
	}
	c.status.Store(http.StatusOK)
	if got := c.send(t, request); got/100 != 2 {
		t.Errorf("the collector answers %d", got)
	}
	if len(c.bodies) != 1 {
		t.Errorf("acknowledged, and the store has %d requests", len(c.bodies))
	}
}

// different are events of the kinds that mappings treat in their own way.
func different() (events []sampled) {
	access := func(v ipe.Verdict, op, hook, path string) ipe.Event {
		return ipe.Event{
			Kind: ipe.KindAccess, Dialect: ipe.DialectMainline, Type: ipe.TypeAccess, Verdict: v, Action: ipe.ActionDeny, RuleKind: ipe.RuleGlobalDefault,
			Op: []byte(op), Hook: []byte(hook), Path: []byte(path), Dev: []byte("dm-0"), Ino: 7, PID: 42, Has: ipe.HasIno | ipe.HasPID,
			Rule: []byte("DEFAULT action=DENY"), Comm: []byte("sh"), Enforcing: ipe.BoolOf(v == ipe.VerdictDenied), ActivePolicy: policy("1.0.0"), Serial: 9,
		}
	}
	for i, ev := range []ipe.Event{
		access(ipe.VerdictDenied, "EXECUTE", "BPRM_CHECK", "/opt/x"),
		access(ipe.VerdictWouldDeny, "EXECUTE", "MMAP", "/opt/x.so"),
		access(ipe.VerdictAllowed, "KMODULE", "KERNEL_READ", "/lib/x.ko"),
		access(ipe.VerdictUnknown, "FIRMWARE", "KERNEL_READ", "/lib/x.bin"),
		{Kind: ipe.KindEnforcement, Type: ipe.TypeConfigChange, Enforcing: ipe.False, OldEnforcing: ipe.True, Res: ipe.True, UID: 0, AUID: 1000, SES: 3, Has: ipe.HasUID | ipe.HasAUID | ipe.HasSES},
		{Kind: ipe.KindPolicyLoad, Res: ipe.False, Errno: -74, Has: ipe.HasErrno, Policy: policy("2.0.0")},
		{Kind: ipe.KindLost, Has: ipe.HasCount, Count: 5, Accuracy: ipe.AccuracyAtLeast, Stage: []byte(ipe.StageKernel)},
		{Kind: ipe.KindHeartbeat, Has: ipe.HasTotals, Policy: policy("2.0.0"), Enforcing: ipe.True, IPEStatus: []byte("active"), Version: []byte("1"), Kernel: []byte("6.12")},
	} {
		ev.Has |= ipe.HasStamp
		ev.Time = time.Date(2026, 12, 1, 0, 0, i, 0, time.UTC).UnixMilli()
		events = append(events, sampled{ev, format.Identity{Spool: 0xabc, Seq: uint64(i + 1), Host: []byte("web1"), BootID: []byte("b")}})
	}
	return events
}

// logs is what the collector's exporter posts.
type logs struct {
	ResourceLogs []struct {
		ScopeLogs []struct {
			LogRecords []struct {
				EventName  string
				Attributes []attribute
			}
		}
	}
}

type attribute struct {
	Key   string
	Value map[string]any
}

// plain returns the value.
func (a *attribute) plain() any {
	for kind, v := range a.Value {
		switch kind {
		case "arrayValue":
			var list []any
			values, _ := v.(map[string]any)["values"].([]any)
			for _, item := range values {
				for _, v := range item.(map[string]any) {
					list = append(list, v)
				}
			}
			return list
		case "intValue":
			return json.Number(fmt.Sprint(v))
		default:
			return v
		}
	}
	return nil
}

// TestCollectorMapsToOtherSchemas compares what comes out with files that were read
// beside the descriptions of the schemas.
func TestCollectorMapsToOtherSchemas(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"ecs", "ocsf"} {
		t.Run(schema, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t, "collector.yaml", schema+".yaml")
			s := &sample{events: different()}
			if got := c.send(t, s.appendAll(nil, format.OTLP{Version: "1", HostID: "id", Kernel: "6.12"}.Func())); got/100 != 2 {
				t.Fatalf("the collector answers %d", got)
			}
			var all logs
			if err := json.Unmarshal(<-c.bodies, &all); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, r := range all.ResourceLogs {
				for _, sc := range r.ScopeLogs {
					for _, rec := range sc.LogRecords {
						fields := make(map[string]any)
						for _, a := range rec.Attributes {
							fields[a.Key] = a.plain()
						}
						text, err := json.MarshalIndent(fields, "", "  ")
						if err != nil {
							t.Fatal(err)
						}
						fmt.Fprintf(&out, "%s %s\n", rec.EventName, text)
					}
				}
			}
			golden := filepath.Join("testdata", schema+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

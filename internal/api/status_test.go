package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

var update = flag.Bool("update", false, "rewrite testdata")

func TestStatusJudgesHealth(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tests := []struct {
		name   string
		status Status
		want   []string
	}{
		{"nothing wrong", Status{}, []string{}},
		{"a loss of long ago", Status{Lost: []Loss{{Stage: "socket", Count: 5, Last: now.Add(-time.Hour)}}}, []string{}},
		{"a loss", Status{Lost: []Loss{{Stage: "socket", Count: 5, Last: now.Add(-time.Minute)}}},
			[]string{"records were lost at stage socket in the last 10m0s"}},
		{"memory is meant", Status{Spool: Spool{Form: FormMemory}}, []string{}},
		{"disk failed", Status{Spool: Spool{Form: FormMemory, Dir: "/x", LastError: "no space left on device"}},
			[]string{"the spool is in memory because its disk failed: no space left on device"}},
		{"disk failed once", Status{Spool: Spool{Form: FormDisk, Dir: "/x", LastError: "no space left on device"}}, []string{}},
		{"sinks", Status{Sinks: []Sink{
			{Name: "d", State: "ok", LagEvents: 3, LagSeconds: 59},
			{Name: "c", State: "ok", LagEvents: 3, LagSeconds: 60.2},
			{Name: "b", State: "stopped"},
			{Name: "a", State: "retrying", LastError: "connection refused"},
			{Name: "e", State: "starting"},
		}}, []string{`sink "a" fails: connection refused`, `sink "b" has stopped`, `sink "c" is 3 events and 60 s behind`}},
		{"audit as it is by default", Status{Audit: &Audit{Kernel: &AuditKernel{}}}, []string{}},
		{"something taken away", Status{Audit: &Audit{Degraded: []Degraded{{What: "rate_limit", New: "5", Effect: "some are missing"}}}},
			[]string{"audit: rate_limit is 5: some are missing"}},
		{"a reason of the daemon", Status{Reasons: []string{"x"}}, []string{"x"}},
	}
	for _, tt := range tests {
		tt.status.Complete(now)
		if diff := cmp.Diff(tt.want, tt.status.Reasons); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if tt.status.Healthy != (len(tt.want) == 0) {
			t.Errorf("%s: healthy is %v", tt.name, tt.status.Healthy)
		}
	}
}

func TestStatusHasEveryCounterFromTheStart(t *testing.T) {
	t.Parallel()
	st := Status{Skipped: map[string]uint64{"malformed": 2, "empty": 1}}
	st.Complete(time.Now())
	want := map[string]uint64{"malformed": 2, "empty": 1, "foreign": 0, "landlock": 0, "other_lsm": 0, "lsm_context": 0}
	if diff := cmp.Diff(want, st.Skipped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := json.Marshal(&st)
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestStatusComesThroughTheSocket(t *testing.T) {
	t.Parallel()
	degraded := false
	w := start(t, func(o *Options, _ *timeouts) {
		inner := o.Status
		o.Status = func() Status {
			st := inner()
			if degraded {
				st.Reasons = []string{"first", "second"}
			}
			return st
		}
	})
	w.spool.Append(denials(1, 3))
	_, st, err := NewClient(w.path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Version != "1.2.3" || !st.Healthy || st.Spool.Last != 3 || st.Spool.Form != FormMemory || st.Feed.MaxClients != 64 {
		t.Errorf("got %+v", st)
	}
	if code, text := w.page("GET", "/healthz"); code != 200 || text != "healthy\n" {
		t.Errorf("got %d %q", code, text)
	}
	degraded = true
	if code, text := w.page("GET", "/healthz"); code != 503 || text != "first\nsecond\n" {
		t.Errorf("got %d %q", code, text)
	}
	if code, text := w.page("GET", "/metrics"); code != 200 || !strings.Contains(text, "\nipe_auditd_healthy 0\nipe_auditd") && !strings.Contains(text, "\nipe_auditd_healthy 0\n#") {
		t.Errorf("got %d %q", code, text)
	}
}

func TestLagIsThatOfTheFirstEntryNotDelivered(t *testing.T) {
	t.Parallel()
	w := start(t)
	now := time.Now()
	recs := denials(1, 4)
	for i := range recs {
		recs[i].Time = now.Add(time.Duration(i-10) * time.Second).UnixNano()
	}
	end := w.spool.Append(recs)
	for _, tt := range []struct {
		cursor spool.Cursor
		events uint64
		age    time.Duration
	}{
		{spool.Cursor{}, 4, 10 * time.Second},
		{spool.Cursor{ID: end.ID}, 4, 10 * time.Second},
		{spool.Cursor{ID: end.ID, Seq: 1}, 3, 9 * time.Second},
		{end, 0, 0},
	} {
		if events, age := Lag(w.spool, tt.cursor, now); events != tt.events || age != tt.age {
			t.Errorf("behind %v: got %d, %v, want %d, %v", tt.cursor, events, age, tt.events, tt.age)
		}
	}
	w.spool.Append(denials(5, 20_000))
	if events, age := Lag(w.spool, end, now.Add(time.Minute)); events != 20_000 || age == 0 {
		t.Errorf("overwritten: got %d, %v", events, age)
	}
	if got := Measure(w.spool); got.Oldest.IsZero() || got.GivenUp == 0 || got.Entries == 0 {
		t.Errorf("got %+v", got)
	}
}

// full is a Status in which everything is something.
func full() *Status {
	at := time.UnixMilli(1795440937705).UTC()
	st := &Status{
		Version: `1.2.3 "odd"`, Since: at, Received: 10, Forged: 2,
		Socket:  &Socket{Buffer: 128 << 20},
		Skipped: map[string]uint64{"empty": 3},
		Lost:    []Loss{{Stage: "socket", Count: 4, Accuracy: "exact"}, {Stage: "kernel", Count: 5, Accuracy: "at_least"}},
		Spool:   Spool{Form: FormDisk, Entries: 6, Oldest: at, Disk: 7, Memory: 8, Limit: 9, Appended: 10, Cut: 11, GivenUp: 12, Syncs: 13, Failures: 14},
		Sinks: []Sink{
			{Name: "siem", Type: "syslog", State: "retrying", LagEvents: 15, LagSeconds: 1.5, Delivered: 16, Retries: 17},
			{Name: "local", Type: "file", State: "ok", Unmatched: 18, Coalesced: 23, EarlyFlushes: 24, Overwritten: 19, Gaps: 20, SaveErrors: 21, Skipped: 22},
		},
		Feed: Feed{Clients: 1, Opened: 23, Refused: 24, Sent: 25, Lost: 26},

		InForce:        InForce{Policy: "active", Name: "prod\n\"\xff", Version: "1.2.3", Digest: "sha256:ab", Enforcing: new(false)},
		Accesses:       map[string]map[string]uint64{"denied": {"EXECUTE": 27}, "allowed": {"other": 28}},
		AccessesMissed: 29, LastDenial: at,
	}
	st.Complete(at)
	return st
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "metrics.txt")
	got := string(AppendMetrics(nil, full()))
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
	// The grammar of https://prometheus.io/docs/instrumenting/exposition_formats/
	sample := regexp.MustCompile(`^(ipe_auditd_[a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? [0-9.]+$`)
	family, kind, seen := "", "", map[string]bool{}
	for line := range strings.Lines(string(AppendMetrics(nil, &Status{Version: "a\"b\\c\nd\xff", Since: time.Now()}))) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(name, " ")
			if seen[family] {
				t.Errorf("%s comes twice", family)
			}
			seen[family] = true
			continue
		}
		if text, ok := strings.CutPrefix(line, "# TYPE "+family+" "); ok {
			kind = text
			if (kind == "counter") != strings.HasSuffix(family, "_total") {
				t.Errorf("%s is a %s", family, kind)
			}
			continue
		}
		if m := sample.FindStringSubmatch(line); m == nil || m[1] != family {
			t.Errorf("no sample of %s: %q", family, line)
		}
	}
}

// What sinks count of their own comes once for each name, whoever has it.
func TestMetricsHaveTheCountersOfSinks(t *testing.T) {
	t.Parallel()
	st := Status{Sinks: []Sink{
		{Name: "a", Type: "exec", Counters: []Counter{
			{Name: "runs", Help: "Runs.", Count: 3},
			{Name: "exits", Help: "Ends.", Label: "status", Value: "0", Count: 2},
			{Name: "exits", Help: "Ends.", Label: "status", Value: "signal", Count: 1},
		}},
		{Name: "b", Type: "exec", Counters: []Counter{{Name: "runs", Help: "Runs.", Count: 4}}},
		{Name: "c", Type: "file"},
	}}
	got := string(AppendMetrics(nil, &st))
	_, got, _ = strings.Cut(got, "# HELP ipe_auditd_sink_runs_total")
	got, _, _ = strings.Cut(got, "# HELP ipe_auditd_feed_")
	want := ` Runs.
# TYPE ipe_auditd_sink_runs_total counter
ipe_auditd_sink_runs_total{sink="a",type="exec"} 3
ipe_auditd_sink_runs_total{sink="b",type="exec"} 4
# HELP ipe_auditd_sink_exits_total Ends.
# TYPE ipe_auditd_sink_exits_total counter
ipe_auditd_sink_exits_total{sink="a",type="exec",status="0"} 2
ipe_auditd_sink_exits_total{sink="a",type="exec",status="signal"} 1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := json.Marshal(&st.Sinks[0].Counters)
	if want := `[{"name":"runs","count":3},{"name":"exits","label":"status","value":"0","count":2},{"name":"exits","label":"status","value":"signal","count":1}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

func TestTextfileIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ipe-auditd.prom")
	for range 2 {
		if err := WriteTextfile(path, full()); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != string(AppendMetrics(nil, full())) {
		t.Errorf("got %q, %v", text, err)
	}
	if got := mode(t, path); got != 0o644 {
		t.Errorf("mode %04o", got)
	}
	if err := WriteTextfile(filepath.Join(dir, "none", "x"), full()); err == nil {
		t.Error("no error")
	}
	below := filepath.Join(path, "x")
	if err := WriteTextfile(below, full()); err == nil {
		t.Error("no error below a file")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestClientSaysWhatTheDaemonSaid(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := NewClient(w.path).Events(t.Context(), map[string][]string{"x": {"1"}})
	if refused := new(RefusedError); !errors.As(err, &refused) || refused.Code != 400 || !strings.Contains(refused.Text, `unknown parameter "x"`) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := NewClient(w.path).Status(ctx); err == nil {
		t.Error("no error")
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"", "after=0123456789abcdef:5&follow=true", "since=10m&last=3", "since=2026-11-23T13:35:38+01:00",
		"events=lost,access&not.paths=/a\\,b/**", "verdicts=denied&ops=EXECUTE&hooks=MMAP", "format=text&raw=1&cursor=1", "%zz", ";", "a=\n"} {
		f.Add(s)
	}
	now := time.UnixMilli(1795440937705)
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, now)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q: the error is not one plain line: %q", raw, err)
			}
			return
		}
		if q.format == nil || q.last < -1 || q.last > maxLast || q.after != nil && (q.last >= 0 || !q.since.IsZero()) {
			t.Errorf("%q: got %+v", raw, q)
		}
		q.match.Match(&ipe.Event{Kind: ipe.KindAccess, Path: []byte("/tmp/x")})
		for _, list := range []string{raw, "/a,/b"} {
			if got := strings.Join(splitList(list), ","); got != list {
				t.Errorf("%q was split so that it is %q", list, got)
			}
		}
	})
}

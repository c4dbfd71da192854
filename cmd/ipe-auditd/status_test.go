package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

func TestStatusIsAHealthCheck(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.status = api.Status{Version: "1.2.3", Since: time.Now(), PID: 7}
	code, stdout, stderr := command("status", "--socket", f.path)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "ipe-auditd  1.2.3, healthy, pid 7, since ") {
		t.Errorf("healthy: %d, %q, %q", code, stdout, stderr)
	}

	f.status.Sinks = []api.Sink{{Name: "siem", State: "retrying", LastError: "connection\x1b refused"}}
	code, stdout, stderr = command("status", "--socket", f.path)
	if want := "ipe-auditd: degraded: sink \"siem\" fails: connection\\x1b refused\n"; code != 1 || stderr != want || !strings.Contains(stdout, "degraded") {
		t.Errorf("degraded: %d, %q, %q", code, stdout, stderr)
	}

	code, stdout, stderr = command("status", "--json", "--socket", f.path)
	var st api.Status
	if err := json.Unmarshal([]byte(stdout), &st); err != nil || code != 1 || st.Healthy || st.Sinks[0].Name != "siem" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("degraded as JSON: %d, %q, %q, %v", code, stdout, stderr, err)
	}
}

func TestStatusIsForAPerson(t *testing.T) {
	t.Parallel()
	now := time.Now()
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	st := &api.Status{
		Version: "1.2.3", PID: 7, Since: before(50 * time.Hour), Healthy: false, Kernel: "6.12.9", Received: 1234,
		Reasons:      []string{`sink "siem" fails: connection refused`},
		Socket:       &api.Socket{Inherited: true, Buffer: 208 << 10, Asked: 128 << 20, Types: []uint16{1404, 1420}},
		Skipped:      map[string]uint64{"empty": 3, "landlock": 2, "foreign": 0},
		Lost:         []api.Loss{{Stage: "socket", Accuracy: "exact"}, {Stage: "kernel", Accuracy: "at_least", Count: 5}, {Stage: "truncated", Accuracy: "exact", Count: 1}},
		KernelLosses: &api.KernelLosses{Source: "kernel_log", Accuracy: "at_least", Asked: before(90 * time.Second), Error: "no answer\x1b"},
		Spool:        api.Spool{ID: "0123456789abcdef", Form: api.FormDisk, Dir: "/var/lib/ipe-auditd", Disk: 1536 << 10, Limit: 256 << 20, Entries: 99, Oldest: before(90 * time.Minute), GivenUp: 4},
		Sinks: []api.Sink{
			{Name: "local", Type: "file", State: "ok", Since: before(49 * time.Hour), Delivered: 99},
			{Name: "siem", Type: "syslog", State: "retrying", Since: before(65 * time.Second), LagEvents: 9, LagSeconds: 64.8, Delivered: 90, Overwritten: 1, Retries: 8, LastError: "connection refused", LastErrorTime: before(2 * time.Second),
				Counters: []api.Counter{{Name: "shortened", Count: 3}, {Name: "refused"}}},
			{Name: "page", Type: "exec", State: "ok", Since: before(49 * time.Hour), Delivered: 5,
				Counters: []api.Counter{{Name: "own_events", Count: 2}, {Name: "exits", Label: "status", Value: "1", Count: 4}}},
		},
		Feed: api.Feed{Clients: 2, MaxClients: 64},

		InForce:    api.InForce{Policy: "active", Name: "prod\x1b", Version: "1.2.0", Enforcing: new(true)},
		Accesses:   map[string]map[string]uint64{"denied": {"EXECUTE": 3, "KMODULE": 1}, "would_deny": {}, "allowed": {"other": 2}, "unknown": {"EXECUTE": 5}},
		LastDenial: before(3 * time.Minute), AccessesMissed: 6,
	}
	want := "ipe-auditd  1.2.3, degraded, pid 7, since " + text.Time(st.Since.UnixMilli(), nil) + ` (2d2h)
            sink "siem" fails: connection refused
kernel      Linux 6.12.9
socket      inherited, receive buffer 208KiB (asked for 128MiB, which the kernel did not grant), filter for types 1404 1420
in force    policy prod\x1b 1.2.0, enforcing
accesses    4 denied, 0 would be denied, 2 allowed, 5 in a mode that is not known; the last denial 3m ago; 6 events overwritten before they were counted
received    1234 messages; skipped 2 landlock, 3 empty
lost        at least 5 at stage kernel, 1 at stage truncated; forged 0
            stage kernel: at_least, by the kernel log, asked 1m30s ago; no answer\x1b
spool       0123456789abcdef on disk in /var/lib/ipe-auditd, 1.5MiB of 256MiB, 99 events, the oldest 1h30m old, 4 given up for newer ones
feed        2 of 64 clients; 0 refused, 0 events overwritten before a client got them

SINK   TYPE    STATE          LAG      DELIVERED  MISSED  RETRIES  LAST ERROR
local  file    ok 2d1h        -        99         0       0        -
siem   syslog  retrying 1m5s  9, 1m4s  90         1       8        2s ago: connection refused
page   exec    ok 2d1h        -        5          0       0        -

SINK  COUNTERS
siem  shortened 3
page  own events 2, exits (status 1) 4
`
	var got bytes.Buffer
	if err := printStatus(&got, st, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

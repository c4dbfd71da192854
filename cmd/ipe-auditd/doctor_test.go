package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/doctor"
)

func TestReportIsForAPerson(t *testing.T) {
	t.Parallel()
	r := &doctor.Report{Status: doctor.Failure, Findings: []doctor.Finding{
		{Check: "audit", Status: doctor.OK, Text: "is there"},
		{Check: "listeners", Status: doctor.Warning, Text: "evil\x1b[2J\nok  fake", Advice: "look"},
		{Check: "sink", Name: "siem", Status: doctor.Failure, Text: "is not", Advice: "do\rthis"},
	}}
	const plain = `ok       audit      is there
warning  listeners  evil\x1b[2J\nok  fake; to do: look
failure  sink siem  is not; to do: do\rthis
`
	const coloured = "\x1b[32mok     \x1b[0m  audit      is there\n"
	var out bytes.Buffer
	if err := printReport(&out, r, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	if err := printReport(&out, r, true); err != nil || !strings.HasPrefix(out.String(), coloured) || strings.Count(out.String(), "\x1b") != 6 {
		t.Errorf("in colour: %v, %q", err, out.String())
	}
}

func TestExitCodesOfDoctor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		statuses []doctor.Status
		code     int
		says     string
	}{
		{[]doctor.Status{doctor.Warning, doctor.OK}, 1, "doctor: 0 failures, 1 warning"},
		{[]doctor.Status{doctor.Failure, doctor.Warning, doctor.Warning}, 2, "doctor: 1 failure, 2 warnings"},
	} {
		f := findings{Status: tt.statuses[0]}
		for _, s := range tt.statuses {
			f.Findings = append(f.Findings, doctor.Finding{Status: s})
		}
		if code := exitCode(f); code != tt.code || f.Error() != tt.says {
			t.Errorf("%v: exit code %d, %q; want %d, %q", tt.statuses, code, f, tt.code, tt.says)
		}
	}
}

func TestDoctorAsksTheDaemon(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.status = api.Status{
		Version: daemonVersion(), Since: time.Now(), PID: os.Getpid(), Forged: 3,
		Socket: &api.Socket{Inherited: true, Buffer: 1 << 20, Asked: 128 << 20},
		Sinks:  []api.Sink{{Name: "siem", State: "retrying", LastError: "connection\x1b refused"}},
	}
	file := filepath.Join(t.TempDir(), "ipe-auditd.yaml")
	if err := os.WriteFile(file, []byte("sinks: [{name: siem, type: console}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command("doctor", "--json", "--config", file, "--socket", f.path)
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 2 || strings.Count(stderr, "\n") != 1 {
		t.Fatalf("%d, %v, %q, %q", code, err, stdout, stderr)
	}
	for _, want := range []doctor.Finding{
		{Check: "daemon", Status: doctor.Warning, Text: `sink "siem" fails`},
		{Check: "receive_buffer", Status: doctor.Warning, Text: "1MiB"},
		{Check: "sink", Name: "siem", Status: doctor.Failure, Text: "connection\x1b refused"},
		{Check: "losses", Status: doctor.Warning, Text: "3 messages"},
	} {
		found := false
		for _, f := range r.Findings {
			found = found || f.Check == want.Check && f.Name == want.Name && f.Status == want.Status && strings.Contains(f.Text, want.Text)
		}
		if !found {
			t.Errorf("no finding like %+v in %s", want, stdout)
		}
	}
}

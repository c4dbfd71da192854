// Package prometheus has alert rules for Prometheus, and tests that promtool runs.
package prometheus

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
)

const (
	rules = "ipe-auditd.rules.yml"
	tests = "ipe-auditd_test.yml"
)

// promtool runs it, and skips the test where there is none.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool (Debian: prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// metrics returns those of a daemon that has something to say in each.
func metrics() []byte {
	now := time.Now()
	st := api.Status{
		Version: "1", Since: now, Socket: &api.Socket{Buffer: 1},
		Lost:       []api.Loss{{Stage: "kernel", Accuracy: "exact"}},
		InForce:    api.InForce{Policy: "active", Name: "p", Version: "1.0.0", Digest: "sha256:a", Enforcing: new(true)},
		LastDenial: now,
		Audit:      &api.Audit{Kernel: &api.AuditKernel{}, Changes: map[string]uint64{"listener": 1}},
		Spool:      api.Spool{Form: api.FormDisk, Oldest: now},
		Sinks:      []api.Sink{{Name: "s", Type: "exec", State: "ok", Counters: []api.Counter{{Name: "runs", Help: "Runs."}}}},
	}
	st.Complete(now)
	return api.AppendMetrics(nil, &st)
}

func TestMetricsAreCleanForPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, metrics(), "check", "metrics")
}

func TestRulesAreCleanForPromtool(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", rules)
}

func TestRulesDoWhatTheirTestsSay(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "test", "rules", tests)
}

// TestRulesUseMetricsThatExist needs no promtool, which does not know what the
// daemon writes.
func TestRulesUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`ipe_auditd_[a-z_]+`)
	there := make(map[string]bool)
	for _, m := range name.FindAllString(string(metrics()), -1) {
		there[m] = true
	}
	if len(there) < 20 {
		t.Fatalf("only %d metrics", len(there))
	}
	for _, file := range []string{rules, tests} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := name.FindAllString(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s uses no metric", file)
		}
		for _, m := range found {
			if !there[m] {
				t.Errorf("%s uses %s, which there is not", file, m)
			}
		}
	}
}

// TestEveryAlertIsTested compares the names of alerts.
func TestEveryAlertIsTested(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	tested, err := os.ReadFile(tests)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(text, -1) {
		fires := regexp.MustCompile(`alertname: ` + string(m[1]) + `\n\s+exp_alerts:\n`)
		silent := regexp.MustCompile(`alertname: ` + string(m[1]) + `, exp_alerts: \[\]`)
		if !fires.Match(tested) || !silent.Match(tested) {
			t.Errorf("%s does not show %s both fire and stay silent", tests, m[1])
		}
	}
}

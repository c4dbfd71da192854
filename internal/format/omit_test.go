package format

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestOmissionLeavesNothing takes each key away from an event that has all, and
// looks for it in every form.
func TestOmissionLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, key := range Omittable() {
		o, err := NewOmission([]string{key})
		if err != nil {
			t.Fatal(err)
		}
		ev := byService()
		o.Apply(ev)
		c := &Context{Raw: true}
		line := string(AppendJSON(nil, ev, c))
		if strings.Contains(line, `"`+key+`":`) {
			t.Errorf("%s is in %s", key, line)
		}
		if slices.ContainsFunc(AppendEnv(nil, ev, c), func(s string) bool { return strings.HasPrefix(s, "IPE_"+strings.ToUpper(key)+"=") }) {
			t.Errorf("%s is among the variables", key)
		}
		if bytes.Contains(AppendJournal(nil, ev, c), []byte("\nIPE_"+strings.ToUpper(key)+"=")) {
			t.Errorf("%s is in the journal", key)
		}
		if o.HasRecord() == strings.Contains(line, `"raw":`) {
			t.Errorf("without %s: %s", key, line)
		}
	}
	for _, key := range []string{"seq", "spool", "event", "verdict", "time", "rule", "host", "nonsense"} {
		if _, err := NewOmission([]string{key}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	o, err := NewOmission(Omittable())
	if err != nil {
		t.Fatal(err)
	}
	ev := unparsed()
	o.Apply(ev)
	if line := string(AppendJSON(nil, ev, new(Context))); strings.Contains(line, "rubbish") || !strings.Contains(line, `"event":"unparsed"`) {
		t.Errorf("an unparsed record is %s", line)
	}
	ev = byService()
	o.Apply(ev)
	text := string(AppendText(nil, ev, new(Context)))
	for _, secret := range []string{"bash", "1000", "nginx", "/usr/local", "0123456789ab", "2204"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
	if ev.CallerKnown() || ev.Verdict != ipe.VerdictDenied {
		t.Error("something of the caller is left, or the verdict is not")
	}
}

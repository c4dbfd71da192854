package man

import (
	"slices"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
)

// Names of attributes that do not follow from the key stand in the page.
func TestAttributesOfOpenTelemetry(t *testing.T) {
	t.Parallel()
	var text []string
	for _, l := range read(t, eventsPage) {
		if l.subsection == "OpenTelemetry" {
			text = append(text, strings.Fields(l.text)...)
		}
	}
	if len(text) == 0 {
		t.Fatal("there is no subsection OpenTelemetry")
	}
	for _, k := range format.Keys() {
		name := format.AttributeName(k.Name)
		if name == "" || name == "ipe."+strings.TrimPrefix(k.Name, "ipe_") {
			continue
		}
		if strings.HasPrefix(k.Name, "policy_") || strings.HasPrefix(k.Name, "old_policy_") {
			continue // ipe.policy.X
		}
		if !slices.Contains(text, name) || !slices.Contains(text, k.Name) {
			t.Errorf("%s, which is %s, is not there", k.Name, name)
		}
	}
}

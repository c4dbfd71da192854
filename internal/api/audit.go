package api

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Audit is how the kernel's audit subsystem stands, as far as it decides what
// becomes of IPE's records.
type Audit struct {
	Source   string            `json:"source"`           // own or helper (AUDIT_GET and the rules), none
	Asked    time.Time         `json:"asked,omitzero"`   // when that was answered last; zero if never
	Error    string            `json:"error,omitempty"`  // why the last question was not
	Kernel   *AuditKernel      `json:"kernel,omitempty"` // absent where nobody has said it
	Degraded []Degraded        `json:"degraded"`
	Changes  map[string]uint64 `json:"changes"` // events audit_config since the start, by "what"
}

// AuditKernel is struct audit_status of uapi/linux/audit.h, as far as it matters.
type AuditKernel struct {
	Enabled      uint32 `json:"enabled"`
	Failure      uint32 `json:"failure"`
	Auditd       uint32 `json:"auditd_pid"`
	RateLimit    uint32 `json:"rate_limit"`
	BacklogLimit uint32 `json:"backlog_limit"`
}

// Degraded is something that was taken away from what is recorded and not given
// back: the keys are those of an event audit_config.
type Degraded struct {
	What   string    `json:"what"`
	Old    string    `json:"old,omitempty"`
	New    string    `json:"new,omitempty"`
	Effect string    `json:"effect"`
	Since  time.Time `json:"since,omitzero"` // when it was first seen
}

// reason says it to a person.
func (g *Degraded) reason() string {
	return fmt.Sprintf("audit: %s is %s: %s", g.What, g.New, g.Effect)
}

// audit writes the metrics of a.
func (m *metrics) audit(a *Audit) {
	if a == nil {
		return
	}
	m.gauge("audit_known", "1 if it is known how the kernel's audit subsystem stands, 0 if nobody says it.", truth(a.Kernel != nil && a.Error == ""))
	degraded := make(map[string]float64)
	for _, what := range ipe.Whats() {
		degraded[what] = 0
	}
	for _, g := range a.Degraded {
		degraded[g.What]++
	}
	m.family("audit_degraded", "gauge", "What was taken away from what is recorded and not given back.")
	for _, what := range slices.Sorted(maps.Keys(degraded)) {
		m.sample(degraded[what], "what", what)
	}
	m.family("audit_config_total", "counter", "Events audit_config, by what was changed.")
	for _, what := range slices.Sorted(maps.Keys(a.Changes)) {
		m.count(a.Changes[what], "what", what)
	}
}

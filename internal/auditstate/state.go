package auditstate

import (
	"github.com/ipe-auditd/ipe-auditd/internal/host"
)

// Version is the version of the answer. It changes when a key changes its
// meaning or goes away; new keys do not change it.
const Version = 1

// Socket is where ipe-auditd-lost.socket listens.
const Socket = "/run/ipe-auditd-lost.sock"

// State is the answer of the helper: one line of JSON.
type State struct {
	Version int `json:"version"`

	Status *Status `json:"status,omitempty"` // absent where Error says why
	Error  string  `json:"error,omitempty"`

	Rules      *host.RuleCounts `json:"rules,omitempty"` // absent where RulesError says why
	RulesError string           `json:"rules_error,omitempty"`
}

// Status is struct audit_status of uapi/linux/audit.h, as AUDIT_GET answers it.
type Status struct {
	Enabled               uint32 `json:"enabled"` // 0 off, 1 on, 2 on and immutable
	Failure               uint32 `json:"failure"` // 0 silent, 1 printk, 2 panic
	PID                   uint32 `json:"pid"`     // of auditd; 0: none
	RateLimit             uint32 `json:"rate_limit"`
	BacklogLimit          uint32 `json:"backlog_limit"`
	Lost                  uint32 `json:"lost"` // records since boot, or since somebody reset it; wraps
	Backlog               uint32 `json:"backlog"`
	BacklogWaitTime       uint32 `json:"backlog_wait_time"`        // in jiffies
	BacklogWaitTimeActual uint32 `json:"backlog_wait_time_actual"` // in jiffies, the sum of all waits
}

// Collect asks the kernel. What it does not answer is said in the answer. It
// needs CAP_AUDIT_CONTROL in the initial user and pid namespaces; the network
// namespace may be any, since each has a kernel socket of its own
// (kernel/audit.c, audit_net_init and audit_netlink_ok).
func Collect() State {
	st := State{Version: Version}
	if s, err := host.QueryAudit(); err != nil {
		st.Error = err.Error()
	} else {
		st.Status = &Status{
			Enabled: s.Enabled, Failure: s.Failure, PID: s.PID, RateLimit: s.RateLimit, BacklogLimit: s.BacklogLimit,
			Lost: s.Lost, Backlog: s.Backlog, BacklogWaitTime: s.BacklogWaitTime, BacklogWaitTimeActual: s.BacklogWaitTimeActual,
		}
	}
	if rules, err := host.AuditRules(); err != nil {
		st.RulesError = err.Error()
	} else {
		counts := host.CountRules(rules)
		st.Rules = &counts
	}
	return st
}

package doctor

import (
	"context"

	"github.com/ipe-auditd/ipe-auditd/internal/probe"
)

// Status is how grave a finding is.
type Status = probe.Status

// The statuses, from the best to the worst.
const (
	OK      = probe.OK
	Warning = probe.Warning
	Failure = probe.Failure
)

// Finding is what one check found out. The names of checks are those of
// [Checks], and stay.
type Finding struct {
	Check  string `json:"check"`
	Name   string `json:"name,omitempty"` // of what was looked at, where a check looks at several: of the sink
	Status Status `json:"status"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"` // what to do, unless all is well

	unknown bool // it could not be found out
}

// Report is everything that was found out, in the order of [Checks].
type Report struct {
	Status   Status    `json:"status"` // the worst of Findings
	Findings []Finding `json:"findings"`
}

// Count returns how many findings have the status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Status == s {
			n++
		}
	}
	return n
}

// check is one thing to look at.
type check struct {
	name    string
	examine func(*facts) []Finding
}

// checks returns all checks in the order of a report: a cause comes before what
// follows from it.
func checks() []check {
	return []check{
		{"config", checkConfig},
		{"daemon", checkDaemon},
		{"ipe_lsm", checkLSM},
		{"ipe_policy", checkPolicy},
		{"ipe_enforce", checkEnforce},
		{"ipe_success_audit", checkSuccessAudit},
		{"audit", checkAudit},
		{"audit_backlog_limit", checkBacklogLimit},
		{"audit_rate_limit", checkRateLimit},
		{"audit_lost", checkAuditLost},
		{"kernel_losses", checkKernelLosses},
		{"audit_rules", checkRules},
		{"audit_changes", checkAuditChanges},
		{"companions", checkCompanions},
		{"auditd", checkAuditd},
		{"audit_socket", checkSocket},
		{"receive_buffer", checkReceiveBuffer},
		{"network_namespace", checkNamespace},
		{"listeners", checkListeners},
		{"journald_audit", checkJournaldAudit},
		{"kernel_log", checkKernelLog},
		{"state_directory", checkStateDirectory},
		{"free_space", checkFreeSpace},
		{"spool", checkSpool},
		{"sink", checkSinks},
		{"feed", checkFeed},
		{"losses", checkLosses},
		{"clock", checkClock},
	}
}

// Checks returns the names of all checks, in the order of a report.
func Checks() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Examine looks at this host. It takes some seconds where a sink does not
// answer; ctx ends the waiting.
func Examine(ctx context.Context, o Options) Report { return report(gather(ctx, o, realHost())) }

// report lets every check look at the facts.
func report(f *facts) Report {
	r := Report{Status: OK, Findings: []Finding{}}
	for _, c := range checks() {
		for _, finding := range c.examine(f) {
			finding.Check = c.name
			r.Findings = append(r.Findings, finding)
		}
	}
	switch {
	case r.Count(Failure) > 0:
		r.Status = Failure
	case r.Count(Warning) > 0:
		r.Status = Warning
	}
	return r
}

// found makes a finding of what was found out by trying.
func found(f probe.Finding) []Finding {
	return []Finding{{Status: f.Status, Text: f.Text, Advice: f.Advice, unknown: f.Unknown}}
}

// ok says that all is well.
func ok(format string, args ...any) []Finding { return found(probe.Good(format, args...)) }

// warning says what is dubious, and what to do about it.
func warning(advice, format string, args ...any) []Finding {
	return found(probe.Dubious(advice, format, args...))
}

// failure says what is wrong, and what to do about it.
func failure(advice, format string, args ...any) []Finding {
	return found(probe.Bad(advice, format, args...))
}

// cannotTell says that something could not be found out, and what that needs.
func cannotTell(what, needs string, err error) []Finding {
	return found(probe.CannotTell(what, needs, err))
}

// known is a fact, or why it is not known.
type known[T any] struct {
	value T
	err   error
}

// know makes a fact of what a function returned.
func know[T any](value T, err error) known[T] { return known[T]{value, err} }

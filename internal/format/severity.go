package format

import "github.com/ipe-auditd/ipe-auditd/pkg/ipe"

// The severities of RFC 5424 section 6.2.1, which are the priorities of the
// journal as well.
const (
	severityAlert   = 1
	severityCrit    = 2
	severityErr     = 3
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

// Severity returns how grave ev is, as syslog and the journal count: 1 is
// alert, 6 is info.
//
//	1 alert    enforcement switched off, or to what the record does not say
//	2 crit     forged
//	3 err      denied; lost
//	4 warning  would_deny and unknown; a policy load that failed; unparsed
//	5 notice   policy loaded, activated; enforcement switched on; stopped
//	1 to 5     audit_config, by what it takes away: see [ipe.AuditImpact]
//	6 info     allowed; started; heartbeat
//
// A repeated event is as grave as those that it counts.
//
// A denial is an error: something on the host did not work, or was not to. A
// failed load is only a warning because root of a container can cause any
// number of them (it needs no capability in the initial user namespace).
func Severity(ev *ipe.Event) int {
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		switch ev.Verdict {
		case ipe.VerdictDenied:
			return severityErr
		case ipe.VerdictAllowed:
			return severityInfo
		}
		return severityWarning
	case ipe.KindPolicyLoad:
		if ev.Res == ipe.False {
			return severityWarning
		}
		return severityNotice
	case ipe.KindPolicyActivate, ipe.KindStopped:
		return severityNotice
	case ipe.KindEnforcement:
		if ev.Enforcing == ipe.True {
			return severityNotice
		}
		return severityAlert
	case ipe.KindStarted, ipe.KindHeartbeat, ipe.KindCheckpoint:
		return severityInfo
	case ipe.KindLost:
		if !ev.IsLoss() {
			return severityWarning // what comes next may be
		}
		return severityErr
	case ipe.KindForged:
		return severityCrit
	case ipe.KindAuditConfig:
		return auditSeverity(ev)
	}
	return severityWarning
}

// auditSeverity is Severity of a change of audit. An attempt that was refused is a
// warning, for somebody has tried.
func auditSeverity(ev *ipe.Event) int {
	switch ipe.AuditImpact(ev) {
	case ipe.ImpactAll:
		return severityAlert
	case ipe.ImpactBlind:
		return severityCrit
	case ipe.ImpactSome:
		return severityErr
	case ipe.ImpactContext:
		return severityWarning
	}
	switch {
	case ev.IsRefused():
		return severityWarning
	case string(ev.What) == ipe.WhatEnforcing && string(ev.New) == "0":
		return severityAlert // as one that has its record
	}
	return severityNotice
}

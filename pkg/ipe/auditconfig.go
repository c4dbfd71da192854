package ipe

import "github.com/ipe-auditd/ipe-auditd/internal/auditrec"

// The types of the records that tell of changes of the kernel's audit subsystem
// (include/uapi/linux/audit.h). Most of them concern nobody here: [Classify] says
// ClassIPE only of those that change what becomes of IPE's records.
const (
	TypeAuditConfigChange = 1305 // AUDIT_CONFIG_CHANGE
	TypeEventListener     = 1335 // AUDIT_EVENT_LISTENER, since 5.8
)

// The values of Event.What. The first eight come from records, and from a
// comparison of what the kernel answers; the others from one of the two.
const (
	WhatAuditDisabled = "audit_disabled"
	WhatRuleAdded     = "rule_added"
	WhatRuleRemoved   = "rule_removed"
	WhatRateLimit     = "rate_limit"
	WhatBacklogLimit  = "backlog_limit"
	WhatFailure       = "failure" // what the kernel does about a loss: 0 nothing, 1 prints it, 2 panics
	WhatListener      = "listener"
	WhatAuditd        = "auditd"

	WhatAuditEnabled    = "audit_enabled"
	WhatAuditLocked     = "audit_locked"
	WhatBacklogWaitTime = "backlog_wait_time" // in jiffies
	WhatLostReset       = "lost_reset"        // the kernel's count of lost records
	WhatEnforcing       = "enforcing"         // found in securityfs, without a record of the switch
	WhatPolicyDeleted   = "policy_deleted"    // not the one in force
	WhatSuccessAudit    = "success_audit"

	WhatCompanions = "companions" // the daemon's own filter: on, off
)

// Whats returns the values of Event.What.
func Whats() []string {
	return []string{
		WhatAuditDisabled, WhatRuleAdded, WhatRuleRemoved, WhatRateLimit, WhatBacklogLimit, WhatFailure, WhatListener, WhatAuditd,
		WhatAuditEnabled, WhatAuditLocked, WhatBacklogWaitTime, WhatLostReset, WhatEnforcing, WhatPolicyDeleted, WhatSuccessAudit,
		WhatCompanions,
	}
}

// carriesAuditConfig reports whether records of this type tell of audit itself.
func carriesAuditConfig(typ uint16) bool {
	return typ == TypeAuditConfigChange || typ == TypeEventListener
}

// The filter lists of a rule (AUDIT_FILTER_TASK and AUDIT_FILTER_EXCLUDE in
// include/uapi/linux/audit.h). Records tell only of these: a rule of the list
// exit may say never, but nearly all say always, and the record does not say
// which.
const (
	listTask    = "1"
	listExclude = "5"
)

// auditSettings are the numbers that AUDIT_SET changes, as audit_log_config_change
// of kernel/audit.c calls them.
var auditSettings = [...]struct{ key, what string }{
	{"audit_enabled", ""}, // by its value
	{"audit_rate_limit", WhatRateLimit},
	{"audit_backlog_limit", WhatBacklogLimit},
	{"audit_backlog_wait_time", WhatBacklogWaitTime},
	{"audit_failure", WhatFailure},
	{"audit_pid", WhatAuditd},
	{"lost", WhatLostReset},
}

// auditConfig is what the fields of a record of types 1305 and 1335 say, as they
// stand there; nil where the record has none.
type auditConfig struct {
	setting             string // of auditSettings; empty: none
	what                string
	old, new            auditrec.Value
	op, list, res       auditrec.Value
	auid, ses, uid, pid auditrec.Value
	tty, comm, exe      auditrec.Value
}

// readAuditConfig reads the body of a record of types 1305 and 1335:
//
//	op=set audit_enabled=0 old=1 auid=0 ses=1 subj=unconfined res=1
//	auid=0 ses=1 subj=unconfined op=add_rule key=U list=5 res=1
//	pid=7 uid=0 auid=0 ses=1 subj=unconfined op=add_rule audit_enabled=2 res=0
//	pid=7 uid=0 auid=0 tty=pts0 ses=1 subj=unconfined comm=U exe=U nl-mcgrp=1 op=connect res=1
//
// (audit_log_config_change and audit_log_multicast in kernel/audit.c,
// audit_log_rule_change in kernel/auditfilter.c.) Of a key that is there twice the
// first counts. A word that is no field is passed over: a label of AppArmor ends in
// " (enforce)".
func readAuditConfig(body []byte) (c auditConfig) {
	set := func(to *auditrec.Value, v auditrec.Value) {
		if *to == nil {
			*to = v
		}
	}
	for len(body) > 0 {
		key, rest, ok := auditrec.CutKey(body)
		if !ok {
			body = rest
			continue
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			return c
		}
		body = rest
		switch string(key) {
		case "op":
			set(&c.op, v)
		case "old":
			set(&c.old, v)
		case "list":
			set(&c.list, v)
		case "res":
			set(&c.res, v)
		case "auid":
			set(&c.auid, v)
		case "ses":
			set(&c.ses, v)
		case "uid":
			set(&c.uid, v)
		case "pid":
			set(&c.pid, v)
		case "tty":
			set(&c.tty, v)
		case "comm":
			set(&c.comm, v)
		case "exe":
			set(&c.exe, v)
		default:
			for i := range auditSettings {
				if s := &auditSettings[i]; c.setting == "" && string(key) == s.key {
					c.setting, c.what, c.new = s.key, s.what, v
				}
			}
		}
	}
	return c
}

// tells reports whether the record, of the given type, tells of a change that
// concerns IPE's records, and completes what, old and new.
func (c *auditConfig) tells(typ uint16) bool {
	if typ == TypeEventListener {
		c.what = WhatListener
		switch string(c.op) {
		case "connect":
			c.old, c.new = auditrec.Value(absent), auditrec.Value(present)
		case "disconnect":
			c.old, c.new = auditrec.Value(present), auditrec.Value(absent)
		default:
			return false
		}
		return true
	}
	switch op := string(c.op); op {
	case "add_rule", "remove_rule":
		c.what = WhatRuleAdded
		if op == "remove_rule" {
			c.what = WhatRuleRemoved
		}
		c.old, c.new = nil, nil
		list := auditrec.Value(nil)
		switch {
		case string(c.list) == listExclude:
			list = auditrec.Value(excludeRule)
		case string(c.list) == listTask:
			list = auditrec.Value(taskRule)
		case c.list != nil || c.setting != "audit_enabled":
			return false
		}
		if c.what == WhatRuleAdded {
			c.new = list
		} else {
			c.old = list
		}
		return true
	case "set", "": // kernels before 3.18 have no op
	default:
		return false
	}
	old, oldOK := auditrec.Uint(c.old)
	now, newOK := auditrec.Uint(c.new)
	if c.setting == "" || !oldOK || !newOK || old == now && string(c.res) != "0" {
		return false // somebody else's, or no change
	}
	if c.what == "" {
		c.what = WhatAuditEnabled
		switch now {
		case 0:
			c.what = WhatAuditDisabled
		case 2:
			c.what = WhatAuditLocked
		}
	}
	return true
}

// classifyAuditConfig is Classify for records of types 1305 and 1335.
func classifyAuditConfig(typ uint16, text []byte) Class {
	_, body, _ := auditrec.CutStamp(text)
	if body = trim(body); len(body) == 0 {
		return ClassEmpty
	}
	c := readAuditConfig(body)
	if !c.tells(typ) {
		return ClassForeign
	}
	return ClassIPE
}

// auditConfig is Decode for records of types 1305 and 1335. ev is empty.
func (d *Decoder) auditConfig(ev *Event, typ uint16, text []byte) Class {
	stamp, body, stamped := auditrec.CutStamp(text)
	if body = trim(body); len(body) == 0 {
		return ClassEmpty
	}
	c := readAuditConfig(body)
	if !c.tells(typ) {
		return ClassForeign
	}
	d.reserve(len(body))
	ev.Kind, ev.Type, ev.Raw = KindAuditConfig, typ, text
	if stamped {
		ev.Has |= HasStamp
		ev.Time, ev.Serial = stamp.Time, stamp.Serial
	}
	ev.What = whatBytes(c.what)
	ev.Old, ev.New = c.old, c.new
	setID(ev, HasAUID, &ev.AUID, c.auid)
	setID(ev, HasSES, &ev.SES, c.ses)
	setID(ev, HasUID, &ev.UID, c.uid)
	setUint(ev, HasPID, &ev.PID, c.pid)
	setBool(&ev.Res, c.res)
	ev.TTY = plain(unlessNone(c.tty))
	ev.Comm = d.untrusted(ev, c.comm)
	ev.Exe = d.untrusted(ev, unlessNone(c.exe))
	ev.Effect = AuditEffect(ev)
	return ClassIPE
}

// The values of Old and New that are words, and the bytes of What.
var (
	absent      = []byte("absent")
	present     = []byte("present")
	excludeRule = []byte("exclude")
	taskRule    = []byte("task")

	whats = func() (all [][]byte) {
		for _, w := range Whats() {
			all = append(all, []byte(w))
		}
		return all
	}()
)

// whatBytes returns what without allocating.
func whatBytes(what string) []byte {
	for _, w := range whats {
		if string(w) == what {
			return w
		}
	}
	return nil
}

// IsRefused reports whether the change did not come about.
func (ev *Event) IsRefused() bool { return ev.Kind == KindAuditConfig && ev.Res == False }

// unlessNone returns v, and nil where the kernel says that there is none: a process
// without a terminal, or one that ends and has no program any more.
func unlessNone(v auditrec.Value) auditrec.Value {
	switch string(v) {
	case "(none)", "(null)":
		return nil
	}
	return v
}

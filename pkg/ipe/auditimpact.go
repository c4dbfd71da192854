package ipe

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// Impact says what a change of the audit subsystem takes away.
type Impact uint8

// The impacts, from the lightest to the gravest.
const (
	ImpactNone    Impact = iota // nothing, or it gives something back
	ImpactContext               // who and what caused a denial, or the trace of a later loss
	ImpactBlind                 // that later changes of audit are told
	ImpactSome                  // some records of IPE, or more of them in a burst
	ImpactAll                   // every record of a kind that IPE writes
)

// What an exclude rule takes away, as Old and New of [WhatRuleAdded] and
// [WhatRuleRemoved] say it where the rules are known: "exclude all of 1420 1422".
const (
	excludeAll  = "exclude all of "
	excludeSome = "exclude some of "
	taskNever   = "task,never"
	exitNever   = "exit,never"
)

// AuditImpact returns what the change that ev tells, of KindAuditConfig, takes
// away. One that was refused takes nothing away.
func AuditImpact(ev *Event) Impact { return auditChange(ev).impact }

// AuditEffect returns what the change means, in words. The bytes are not to be
// written to.
func AuditEffect(ev *Event) []byte { return auditChange(ev).words }

// change is what a change comes to.
type change struct {
	impact Impact
	words  []byte
}

func changeOf(impact Impact, words string) change { return change{impact, []byte(words)} }

// The changes. They are made once, as a record of the kernel must cost no
// allocation.
var (
	refused = changeOf(ImpactNone, "refused: nothing has changed")

	auditOff = changeOf(ImpactBlind, "from here on the kernel records neither who caused a denial nor who changes audit; denials themselves are still recorded")
	auditOn  = changeOf(ImpactNone, "from here on processes that start are recorded with who they belong to, and changes of audit are recorded")
	locked   = changeOf(ImpactNone, "from here on nothing of audit can be changed until the next boot")

	rateLimited = changeOf(ImpactSome, "from here on denials beyond so many records in a second are not recorded")
	rateFree    = changeOf(ImpactNone, "from here on no record is dropped because there are too many in a second")
	rateMore    = changeOf(ImpactSome, "more records in a second are let through than before, but denials beyond them are still not recorded")

	backlogLess  = changeOf(ImpactSome, "from here on fewer records fit into the kernel's queue, so more denials of a burst are lost")
	backlogMore  = changeOf(ImpactNone, "from here on more records fit into the kernel's queue")
	backlogNever = changeOf(ImpactContext, "from here on the records that say who caused a denial wait less for a place in the kernel's queue, and more of them are lost")
	backlogLong  = changeOf(ImpactNone, "from here on the records that say who caused a denial wait longer for a place in the kernel's queue")

	failSilent = changeOf(ImpactContext, "from here on the kernel does not print that it loses records")
	failPrint  = changeOf(ImpactNone, "from here on the kernel prints that it loses records")
	failPanic  = changeOf(ImpactNone, "from here on the kernel panics where it loses a record")

	listenerCame  = changeOf(ImpactNone, "another program reads the records of this host; that takes nothing away")
	listenerGone  = changeOf(ImpactNone, "a program that read the records of this host has gone; that takes nothing away here")
	auditdCame    = changeOf(ImpactNone, "auditd takes the kernel's records, which are no longer printed into the kernel log")
	auditdGone    = changeOf(ImpactContext, "auditd has gone: nobody but the listeners keeps the kernel's records, which are printed into the kernel log, as far as it takes them")
	companionsOff = changeOf(ImpactContext, "from here on accesses do not say who asked for them: the host records so many other system calls that the daemon shuts out the records that say it, for a while")
	companionsOn  = changeOf(ImpactNone, "from here on the records that say who asked for an access are received again")
	lostReset     = changeOf(ImpactContext, "the kernel's count of lost records begins anew")

	excludes     = changeOf(ImpactSome, "from here on records of some types are not made, for nobody; the kernel's record does not say of which")
	excludesLess = changeOf(ImpactNone, "records of some types may be made again; the kernel's record does not say of which")
	excludesAll  = changeOf(ImpactAll, "from here on denials are not recorded")
	excludesMore = changeOf(ImpactAll, "from here on some kinds of IPE's records are not made: policy changes or switches of enforcement happen unseen")
	excludesSome = changeOf(ImpactSome, "from here on some denials are not recorded, as the other conditions of the rule say")
	excludesPart = changeOf(ImpactSome, "from here on some records of IPE other than denials are not made, as the other conditions of the rule say")
	excludesSelf = changeOf(ImpactBlind, "from here on changes of audit are not recorded")
	excludesWho  = changeOf(ImpactContext, "from here on records that say who caused a denial are missing")
	includes     = changeOf(ImpactNone, "from here on these records are made again")
	taskRules    = changeOf(ImpactContext, "a rule about new processes: if it says never, they are recorded without who they belong to")
	taskLess     = changeOf(ImpactNone, "new processes may be recorded with who they belong to again")

	permissive = changeOf(ImpactNone, "from here on IPE refuses nothing: what the policy denies is recorded, and happens")
	enforcing  = changeOf(ImpactNone, "from here on IPE refuses what the policy does not allow")
	deleted    = changeOf(ImpactNone, "a policy that was loaded, and not in force, is gone; the kernel makes no record of that")
	allowedOn  = changeOf(ImpactNone, "from here on allowed accesses are recorded too, and their number can crowd out denials")
	allowedOff = changeOf(ImpactNone, "from here on allowed accesses are not recorded")
	nothing    change
)

// auditChange says what the change comes to.
func auditChange(ev *Event) change {
	if ev.IsRefused() {
		return refused
	}
	old, _ := auditrec.Uint(ev.Old)
	now, _ := auditrec.Uint(ev.New)
	switch string(ev.What) {
	case WhatAuditDisabled:
		return auditOff
	case WhatAuditEnabled:
		return auditOn
	case WhatAuditLocked:
		return locked
	case WhatRateLimit:
		return pick(now == 0, rateFree, pick(old == 0 || now < old, rateLimited, rateMore))
	case WhatBacklogLimit: // 0 is no limit
		return pick(now != 0 && (old == 0 || now < old), backlogLess, backlogMore)
	case WhatBacklogWaitTime:
		return pick(now < old, backlogNever, backlogLong)
	case WhatFailure:
		return pick(now == 0, failSilent, pick(now == 2, failPanic, failPrint))
	case WhatListener:
		return pick(string(ev.New) == "present", listenerCame, listenerGone)
	case WhatAuditd:
		return pick(now != 0, auditdCame, auditdGone)
	case WhatLostReset:
		return lostReset
	case WhatRuleAdded:
		return ruleAdded(ev.New)
	case WhatRuleRemoved:
		switch string(ev.Old) {
		case "exclude":
			return excludesLess
		case "task":
			return taskLess
		}
		return includes
	case WhatEnforcing:
		return pick(now == 0, permissive, enforcing)
	case WhatPolicyDeleted:
		return deleted
	case WhatCompanions:
		return pick(string(ev.New) == "off", companionsOff, companionsOn)
	case WhatSuccessAudit:
		return pick(now == 0, allowedOff, allowedOn)
	}
	return nothing
}

func pick(first bool, a, b change) change {
	if first {
		return a
	}
	return b
}

// ruleAdded says what a rule takes away, as far as its words tell.
func ruleAdded(rule []byte) change {
	switch string(rule) {
	case "exclude":
		return excludes
	case "task", "":
		return taskRules
	case taskNever, exitNever:
		return excludesWho
	}
	types, all := bytes.CutPrefix(rule, []byte(excludeAll))
	if !all {
		types, _ = bytes.CutPrefix(rule, []byte(excludeSome))
	}
	access, own, self := false, false, false
	for len(types) > 0 {
		var word []byte
		word, types, _ = bytes.Cut(types, []byte(" "))
		switch n, _ := auditrec.Uint(word); n {
		case TypeAccess:
			access = true
		case TypeMACStatus, TypeConfigChange, TypePolicyLoad:
			own = true
		case TypeAuditConfigChange, TypeEventListener:
			self = true
		}
	}
	switch {
	case access && all:
		return excludesAll
	case own && all:
		return excludesMore
	case access:
		return excludesSome
	case own:
		return excludesPart
	case self:
		return excludesSelf
	}
	return excludesWho
}

package ipe

import (
	"fmt"
	"strings"
)

// dump renders an event as one line, every field that is set by its name in
// the JSON form, for goldens and for comparing two parsers.
func dump(c Class, ev *Event) string {
	if c != ClassIPE {
		return "skipped: " + c.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", ev.Type, ev.Kind)
	str := func(key string, s []byte) {
		if s != nil {
			fmt.Fprintf(&b, " %s=%q", key, s)
		}
	}
	enum := func(key, s string) {
		if s != "" {
			fmt.Fprintf(&b, " %s=%s", key, s)
		}
	}
	num := func(key string, has Has, n any) {
		if ev.Has&has != 0 {
			fmt.Fprintf(&b, " %s=%d", key, n)
		}
	}
	boolean := func(key string, v Bool) {
		if v.Known() {
			fmt.Fprintf(&b, " %s=%t", key, v == True)
		}
	}
	policy := func(prefix string, p Policy) {
		str(prefix+"name", p.Name)
		str(prefix+"version", p.Version)
		str(prefix+"digest", p.Digest)
	}
	enum("dialect", ev.Dialect.String())
	num("time", HasStamp, ev.Time)
	num("serial", HasStamp, ev.Serial)
	enum("verdict", ev.Verdict.String())
	str("ipe_op", ev.Op)
	str("ipe_hook", ev.Hook)
	boolean("enforcing", ev.Enforcing)
	boolean("old_enforcing", ev.OldEnforcing)
	num("pid", HasPID, ev.PID)
	str("comm", ev.Comm)
	str("path", ev.Path)
	str("dev", ev.Dev)
	num("ino", HasIno, ev.Ino)
	str("rule", ev.Rule)
	enum("rule_kind", ev.RuleKind.String())
	enum("action", ev.Action.String())
	for _, p := range ev.RuleProperties {
		str("property", p)
	}
	policy("active_policy_", ev.ActivePolicy)
	policy("policy_", ev.Policy)
	policy("old_policy_", ev.OldPolicy)
	num("auid", HasAUID, ev.AUID)
	num("uid", HasUID, ev.UID)
	num("ses", HasSES, ev.SES)
	str("lsm", ev.LSM)
	boolean("res", ev.Res)
	num("errno", HasErrno, ev.Errno)
	for _, kv := range ev.Extra {
		fmt.Fprintf(&b, " extra:%s=%q", kv.Key, kv.Value)
	}
	num("count", HasCount, ev.Count)
	enum("accuracy", ev.Accuracy.String())
	str("stage", ev.Stage)
	num("since", HasSince, ev.Since)
	num("until", HasUntil, ev.Until)
	num("first_seq", HasSeqRange, ev.FirstSeq)
	num("last_seq", HasSeqRange, ev.LastSeq)
	str("what", ev.What)
	str("old", ev.Old)
	str("new", ev.New)
	if ev.Kind == KindAuditConfig {
		str("tty", ev.TTY)
		str("exe", ev.Exe)
	}
	str("version", ev.Version)
	str("kernel", ev.Kernel)
	str("ipe_status", ev.IPEStatus)
	boolean("success_audit", ev.SuccessAudit)
	if ev.Kind == KindUnparsed {
		str("raw", ev.Raw)
	}
	return b.String()
}

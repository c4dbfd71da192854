package format

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// table is every key of an event: its name, and where its value comes from, in
// the order in which the keys stand in a line. All formats with keys walk it;
// nothing about a key stands anywhere else. What the keys mean is in
// ipe-auditd.events(5).
var table = [...]struct {
	name  string
	value func(ev *ipe.Event, c *Context) value
}{
	{"spool", func(_ *ipe.Event, c *Context) value { return hex32(c.Spool, c.Seq != 0) }},
	{"seq", func(_ *ipe.Event, c *Context) value { return number(c.Seq, c.Seq != 0) }},
	{"time", func(ev *ipe.Event, _ *Context) value { return instant(ev.Time, ev.Has&ipe.HasStamp != 0) }},
	{"serial", func(ev *ipe.Event, _ *Context) value {
		return number(ev.Serial, ev.Has&ipe.HasStamp != 0 && ev.Kind.FromKernel())
	}},
	{"type", func(ev *ipe.Event, _ *Context) value { return number(uint64(ev.Type), ev.Type != 0) }},
	{"event", func(ev *ipe.Event, _ *Context) value { return word(ev.Kind.String()) }},
	{"dialect", func(ev *ipe.Event, _ *Context) value { return word(ev.Dialect.String()) }},
	{"verdict", func(ev *ipe.Event, _ *Context) value { return word(ev.Verdict.String()) }},
	{"ipe_op", func(ev *ipe.Event, _ *Context) value { return text(ev.Op) }},
	{"ipe_hook", func(ev *ipe.Event, _ *Context) value { return text(ev.Hook) }},
	{"comm", func(ev *ipe.Event, _ *Context) value { return text(ev.Comm) }},
	{"path", func(ev *ipe.Event, _ *Context) value { return text(ev.Path) }},
	{"dev", func(ev *ipe.Event, _ *Context) value { return text(ev.Dev) }},
	{"rule", func(ev *ipe.Event, _ *Context) value { return text(ev.Rule) }},
	{"enforcing", func(ev *ipe.Event, _ *Context) value { return boolean(ev.Enforcing) }},
	{"old_enforcing", func(ev *ipe.Event, _ *Context) value { return boolean(ev.OldEnforcing) }},
	{"pid", func(ev *ipe.Event, _ *Context) value { return number(ev.PID, ev.Has&ipe.HasPID != 0) }},
	{"ino", func(ev *ipe.Event, _ *Context) value { return number(ev.Ino, ev.Has&ipe.HasIno != 0) }},
	{"rule_kind", func(ev *ipe.Event, _ *Context) value { return word(ev.RuleKind.String()) }},
	{"action", func(ev *ipe.Event, _ *Context) value { return word(ev.Action.String()) }},
	{"rule_properties", func(ev *ipe.Event, _ *Context) value { return list(ev.RuleProperties) }},
	{"active_policy_name", func(ev *ipe.Event, _ *Context) value { return text(ev.ActivePolicy.Name) }},
	{"active_policy_version", func(ev *ipe.Event, _ *Context) value { return text(ev.ActivePolicy.Version) }},
	{"active_policy_digest", func(ev *ipe.Event, _ *Context) value { return text(ev.ActivePolicy.Digest) }},
	{"policy_name", func(ev *ipe.Event, _ *Context) value { return text(ev.Policy.Name) }},
	{"policy_version", func(ev *ipe.Event, _ *Context) value { return text(ev.Policy.Version) }},
	{"policy_digest", func(ev *ipe.Event, _ *Context) value { return text(ev.Policy.Digest) }},
	{"old_policy_name", func(ev *ipe.Event, _ *Context) value { return text(ev.OldPolicy.Name) }},
	{"old_policy_version", func(ev *ipe.Event, _ *Context) value { return text(ev.OldPolicy.Version) }},
	{"old_policy_digest", func(ev *ipe.Event, _ *Context) value { return text(ev.OldPolicy.Digest) }},
	{"auid", func(ev *ipe.Event, _ *Context) value { return number(uint64(ev.AUID), ev.Has&ipe.HasAUID != 0) }},
	{"uid", func(ev *ipe.Event, _ *Context) value { return number(uint64(ev.UID), ev.Has&ipe.HasUID != 0) }},
	{"ses", func(ev *ipe.Event, _ *Context) value { return number(uint64(ev.SES), ev.Has&ipe.HasSES != 0) }},
	{"lsm", func(ev *ipe.Event, _ *Context) value { return text(ev.LSM) }},
	{"res", func(ev *ipe.Event, _ *Context) value { return boolean(ev.Res) }},
	{"errno", func(ev *ipe.Event, _ *Context) value { return signed(ev.Errno, ev.Has&ipe.HasErrno != 0) }},
	{"error", func(ev *ipe.Event, _ *Context) value { return word(errorName(ev)) }},
	{"extra", func(ev *ipe.Event, _ *Context) value { return object(ev.Extra) }},
	{"raw", rawText},
	{"count", func(ev *ipe.Event, _ *Context) value { return number(ev.Count, ev.Has&ipe.HasCount != 0) }},
	{"accuracy", func(ev *ipe.Event, _ *Context) value { return word(ev.Accuracy.String()) }},
	{"stage", func(ev *ipe.Event, _ *Context) value { return text(ev.Stage) }},
	{"since", func(ev *ipe.Event, _ *Context) value { return instant(ev.Since, ev.Has&ipe.HasSince != 0) }},
	{"until", func(ev *ipe.Event, _ *Context) value { return instant(ev.Until, ev.Has&ipe.HasUntil != 0) }},
	{"first_seq", func(ev *ipe.Event, _ *Context) value { return number(ev.FirstSeq, ev.Has&ipe.HasSeqRange != 0) }},
	{"last_seq", func(ev *ipe.Event, _ *Context) value { return number(ev.LastSeq, ev.Has&ipe.HasSeqRange != 0) }},
	{"version", func(ev *ipe.Event, _ *Context) value { return text(ev.Version) }},
	{"kernel", func(ev *ipe.Event, _ *Context) value { return text(ev.Kernel) }},
	{"ipe_status", func(ev *ipe.Event, _ *Context) value { return text(ev.IPEStatus) }},
	{"success_audit", func(ev *ipe.Event, _ *Context) value { return boolean(ev.SuccessAudit) }},
	{"host", func(_ *ipe.Event, c *Context) value { return word(c.Host) }},
	{"boot_id", func(_ *ipe.Event, c *Context) value { return word(c.BootID) }},
}

// numKeys is how many keys an event can have.
const numKeys = len(table)

// Keys returns the names of all keys in the order in which they stand in a
// line. A key whose bytes cannot be shown as they are is followed by one more,
// its name with "_hex" behind it, which is not in the list.
func Keys() []string {
	names := make([]string, numKeys)
	for i := range table {
		names[i] = table[i].name
	}
	return names
}

// value is what an event has for one key.
type value struct {
	kind valueKind
	num  uint64 // kindNumber, kindSigned, kindBoolean, kindInstant, kindHex32
	word string // kindWord
	text []byte // kindText
}

// valueKind says which field of a value holds it.
type valueKind uint8

const (
	kindAbsent  valueKind = iota // not known: the key stays away
	kindText                     // bytes that others chose: untrusted
	kindWord                     // a string of ours
	kindNumber                   // num
	kindSigned                   // num as int64
	kindBoolean                  // num is 1 or 0
	kindInstant                  // num as int64: milliseconds since 1970 UTC
	kindHex32                    // num in 8 hex digits
	kindList                     // Event.RuleProperties
	kindObject                   // Event.Extra
)

func text(b []byte) value {
	if b == nil {
		return value{}
	}
	return value{kind: kindText, text: b}
}

func word(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: kindWord, word: s}
}

func number(n uint64, known bool) value { return of(kindNumber, n, known) }
func signed(n int64, known bool) value  { return of(kindSigned, uint64(n), known) }
func instant(n int64, known bool) value { return of(kindInstant, uint64(n), known) }
func hex32(n uint32, known bool) value  { return of(kindHex32, uint64(n), known) }
func boolean(b ipe.Bool) value          { return of(kindBoolean, uint64(b)-uint64(ipe.False), b.Known()) }
func list(l [][]byte) value             { return of(kindList, 0, len(l) != 0) }
func object(l []ipe.KeyValue) value     { return of(kindObject, 0, len(l) != 0) }

func of(k valueKind, n uint64, known bool) value {
	if !known {
		return value{}
	}
	return value{kind: k, num: n}
}

// rawText is the record text, where it is asked for or all there is.
func rawText(ev *ipe.Event, c *Context) value {
	if !c.Raw && ev.Kind != ipe.KindUnparsed {
		return value{}
	}
	return text(ev.Raw)
}

// errorName returns the name of a failure such as EBADMSG. It is empty when
// there was none, and for numbers that Linux gives no name.
func errorName(ev *ipe.Event) string {
	if ev.Has&ipe.HasErrno == 0 || ev.Errno >= 0 {
		return ""
	}
	return unix.ErrnoName(syscall.Errno(-ev.Errno))
}

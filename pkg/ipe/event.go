package ipe

import "bytes"

// Kind says what an event tells. Its String is the value of the JSON key
// "event".
type Kind uint8

// The kinds of events. The first five come from records of the kernel, the
// others are what the daemon itself says in the same stream.
const (
	KindUnparsed       Kind = iota // an IPE record that could not be read; Raw has its text
	KindAccess                     // IPE judged an access
	KindPolicyLoad                 // a policy was loaded or updated, or that failed (Res false)
	KindPolicyActivate             // another policy is in force
	KindEnforcement                // switched between enforcing and permissive
	KindStarted                    // the daemon started
	KindStopped                    // the daemon stopped
	KindLost                       // records or entries were lost
	KindForged                     // a process other than the kernel sent records
	KindRepeated                   // accesses of one kind, counted instead of told
	KindAuditConfig                // who records, or what is recorded, was changed: from a record, or found by the daemon
	KindHeartbeat                  // the daemon runs: what is in force, and what was counted since its start
	KindCheckpoint                 // the daemon signed for what the spool holds
)

var kindNames = [...]string{
	KindUnparsed:       "unparsed",
	KindAccess:         "access",
	KindPolicyLoad:     "policy_load",
	KindPolicyActivate: "policy_activate",
	KindEnforcement:    "enforcement",
	KindStarted:        "started",
	KindStopped:        "stopped",
	KindLost:           "lost",
	KindForged:         "forged",
	KindRepeated:       "repeated",
	KindAuditConfig:    "audit_config",
	KindHeartbeat:      "heartbeat",
	KindCheckpoint:     "checkpoint",
}

// String returns the kind as in the JSON key "event".
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// The stages of events of KindLost: where it was lost.
const (
	StageKernel    = "kernel"    // by the kernel, before any socket
	StageSocket    = "socket"    // at the socket, whose receive buffer was full
	StageTruncated = "truncated" // the end of records only: what arrived was kept
	StageSpool     = "spool"     // by the spool, before one reader came
	StageDisk      = "disk"      // with the process before, or with the machine

	// StageMemory is that of the one event that tells of no loss: the disk of the
	// spool failed, and events are kept in memory only from there on. Its Count is 0.
	StageMemory = "memory"

	// StageSink is that of what the receiver of one sink refused: the others have
	// it, and the spool.
	StageSink = "sink"
)

// SourceBackfill is the Source of what was not received: the record was fetched,
// later, from the kernel log or the journal, which do not have all.
const SourceBackfill = "backfill"

// IsBackfill reports whether the event was fetched and not received, so that what
// lies between it and the next one is not known.
func (ev *Event) IsBackfill() bool { return string(ev.Source) == SourceBackfill }

// IsLoss reports whether the event says that something was lost. One of KindLost
// with a Count of 0 does not, see [StageMemory].
func (ev *Event) IsLoss() bool {
	return ev.Kind == KindLost && (ev.Has&HasCount == 0 || ev.Count > 0)
}

// FromKernel reports whether events of this kind come from a record of the
// kernel, not from the daemon itself. Those of KindAuditConfig may come from
// either: see [Event.HasRecord].
func (k Kind) FromKernel() bool { return k <= KindEnforcement }

// HasRecord reports whether the event comes from a record of the kernel.
func (ev *Event) HasRecord() bool {
	return ev.Kind.FromKernel() || ev.Kind == KindAuditConfig && ev.Type != 0
}

// Dialect is the form in which a record was written.
type Dialect uint8

// The dialects. DialectNone is that of the daemon's own events.
const (
	DialectNone     Dialect = iota
	DialectMainline         // Linux 6.12 and later, and the trees derived from it
	DialectRFC              // any form from before the merge: RFC v1 to v11
)

var dialectNames = [...]string{"", "mainline", "rfc"}

// String returns the dialect as in the JSON key "dialect".
func (d Dialect) String() string { return name(dialectNames[:], int(d)) }

// Verdict is what became of the access.
type Verdict uint8

// The verdicts. VerdictNone is that of events that are not accesses.
const (
	VerdictNone      Verdict = iota
	VerdictDenied            // action DENY while enforcing
	VerdictWouldDeny         // action DENY while permissive: it was let through
	VerdictAllowed           // action ALLOW
	VerdictUnknown           // action DENY, but the record does not give the mode
)

var verdictNames = [...]string{"", "denied", "would_deny", "allowed", "unknown"}

// String returns the verdict as in the JSON key "verdict".
func (v Verdict) String() string { return name(verdictNames[:], int(v)) }

// RuleKind says which sort of rule decided.
type RuleKind uint8

// The kinds of rules (security/ipe/eval.h, enum ipe_match).
const (
	RuleNone          RuleKind = iota
	RuleExplicit               // a rule of the policy: IPE_MATCH_RULE
	RuleOpDefault              // DEFAULT op=...: IPE_MATCH_TABLE
	RuleGlobalDefault          // DEFAULT action=...: IPE_MATCH_GLOBAL
)

var ruleKindNames = [...]string{"", "rule", "op_default", "global_default"}

// String returns the kind of rule as in the JSON key "rule_kind".
func (r RuleKind) String() string { return name(ruleKindNames[:], int(r)) }

// Action is the action of the rule that decided.
type Action uint8

// The actions (security/ipe/policy.h, enum ipe_action_type).
const (
	ActionNone Action = iota
	ActionAllow
	ActionDeny
)

var actionNames = [...]string{"", "ALLOW", "DENY"}

// String returns the action as the kernel writes it.
func (a Action) String() string { return name(actionNames[:], int(a)) }

// Accuracy says how well the count of a loss is known.
type Accuracy uint8

// The accuracies.
const (
	AccuracyNone    Accuracy = iota
	AccuracyExact            // neither more nor less
	AccuracyAtLeast          // this many, possibly more
	AccuracyUnknown          // something was lost; how much cannot be told, and Count is absent
)

var accuracyNames = [...]string{"", "exact", "at_least", "unknown"}

// String returns the accuracy as in the JSON key "accuracy".
func (a Accuracy) String() string { return name(accuracyNames[:], int(a)) }

// Bool is a boolean that may be unknown. The zero value is unknown.
type Bool uint8

// The values of a Bool.
const (
	Unknown Bool = iota
	False
	True
)

// BoolOf returns True or False.
func BoolOf(b bool) Bool {
	if b {
		return True
	}
	return False
}

// Known reports whether b is True or False.
func (b Bool) Known() bool { return b != Unknown }

// Has is a set of the fields of an Event that have no value of their own to
// say that they are absent: numbers.
type Has uint32

// The members of Has.
const (
	HasStamp    Has = 1 << iota // Time and Serial
	HasPID                      // PID
	HasIno                      // Ino
	HasAUID                     // AUID
	HasUID                      // UID
	HasSES                      // SES
	HasErrno                    // Errno
	HasCount                    // Count
	HasSince                    // Since
	HasUntil                    // Until
	HasSeqRange                 // FirstSeq and LastSeq
	HasEUID                     // EUID
	HasPPID                     // PPID
	HasExit                     // Exit
	HasTotals                   // Totals
)

// KeyValue is a key of a record that the decoder does not know, with the text
// of its value as received: quotes and hex digits are kept.
type KeyValue struct {
	Key, Value []byte
}

// Policy identifies a policy. A nil field is not known.
type Policy struct {
	Name    []byte // raw bytes: the kernel does not escape policy names
	Version []byte // three decimal numbers joined by dots
	Digest  []byte // "alg:hex", the hex digits in lower case
}

// Known reports whether anything about the policy is known.
func (p *Policy) Known() bool { return p.Name != nil || p.Version != nil || p.Digest != nil }

// BuiltIn reports whether p is a policy that was built into the kernel. It has
// no signature, so securityfs has no digest for it, and records have the one of
// nothing at all (security/ipe/audit.c, audit_policy).
func (p *Policy) BuiltIn() bool {
	const ofNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	return p.Name != nil && (p.Digest == nil || string(p.Digest) == ofNothing)
}

// Equal reports whether p and q are the same policy. What is absent equals what
// is empty.
func (p *Policy) Equal(q *Policy) bool {
	return bytes.Equal(p.Name, q.Name) && bytes.Equal(p.Version, q.Version) && bytes.Equal(p.Digest, q.Digest)
}

// Clone returns a copy that owns its memory.
func (p *Policy) Clone() Policy {
	return Policy{Name: bytes.Clone(p.Name), Version: bytes.Clone(p.Version), Digest: bytes.Clone(p.Digest)}
}

// Event is what one IPE record says, or what the daemon itself says.
//
// A nil byte slice is absent: the record does not say, says "?", or could not
// say. An empty one that is not nil is an empty string. All byte slices view
// either the text that was given to [Decoder.Decode] or the scratch space of
// the Decoder: they live until the text is overwritten or the next Decode,
// whichever comes first, and must not be written to.
type Event struct {
	Kind    Kind
	Dialect Dialect
	Type    uint16 // record type as received; 0 for the daemon's own events
	Has     Has

	// The stamp, with HasStamp. The daemon's own events have a time, but no
	// serial.
	Time   int64  // milliseconds since 1970 UTC
	Serial uint64 // the kernel's are 32 bit

	// KindAccess, and what all have in common of KindRepeated.
	Verdict        Verdict
	Op             []byte // ipe_op: EXECUTE, KMODULE, ...; unknown ones are kept
	Hook           []byte // ipe_hook: BPRM_CHECK, MMAP, ...; unknown ones are kept
	Comm           []byte // decoded
	Path           []byte // decoded; nil where there is none, see Object
	Dev            []byte // decoded; name of the super block
	Rule           []byte // exactly as between the outer quotes
	PID            uint64 // thread group id in the initial pid namespace
	Ino            uint64
	RuleKind       RuleKind
	Action         Action
	RuleProperties [][]byte // "name=value" each, digests "alg:hex" with lower-case hex

	Caller // KindAccess: who asked

	// KindAccess, KindEnforcement, KindStarted and KindHeartbeat.
	Enforcing    Bool
	OldEnforcing Bool

	// KindAccess and KindRepeated: the policy that judged it, when known.
	ActivePolicy Policy

	// KindPolicyLoad and KindPolicyActivate: the policy loaded or now active,
	// and the one it replaced. KindStarted and KindHeartbeat: the policy in force.
	Policy    Policy
	OldPolicy Policy

	AUID  uint32
	UID   uint32
	SES   uint32
	LSM   []byte
	Res   Bool
	Errno int64 // as printed: negative

	Extra []KeyValue // keys the decoder does not know, in the record's order
	Raw   []byte     // the record text as received; always set for kernel records

	// KindLost, KindForged and KindRepeated.
	Count    uint64
	Accuracy Accuracy
	Stage    []byte // one of the Stage constants
	Sink     []byte // its name, of stage sink
	Since    int64  // milliseconds since 1970 UTC, with HasSince
	Until    int64  // milliseconds since 1970 UTC, with HasUntil
	FirstSeq uint64 // of the entries lost to one reader, or counted; with HasSeqRange
	LastSeq  uint64

	// KindRepeated: how many there were, of those that say it.
	PIDs  uint64
	Comms uint64

	// KindHeartbeat: what was counted since the daemon started, with HasTotals.
	Totals Totals

	// Where the record comes from, if not from the kernel's socket: SourceBackfill. A
	// constant, that views nothing.
	Source []byte

	// KindAuditConfig. Words of ours are constants, and view nothing.
	What   []byte // one of the What constants
	Old    []byte // what was the case before; nil where that is not known
	New    []byte // what is now
	Effect []byte // what that means, in words

	// KindCheckpoint, see package seal.
	Size   uint64 // of the tree
	Root   []byte // its hash, in base64
	Note   []byte // signed
	Leaves []byte // of what was appended since the checkpoint before

	// KindStarted, KindHeartbeat and KindStopped.
	Version      []byte // of the daemon
	Kernel       []byte // release of the running kernel
	IPEStatus    []byte // absent, no_policy, active, unreadable
	SuccessAudit Bool   // whether allowed accesses are recorded too
}

// Totals are numbers since the start of a daemon: accesses by what became of them, and
// records that were lost before it could keep them.
type Totals struct {
	Denied, WouldDeny, Allowed, Lost uint64
}

// Reset makes ev the zero Event but keeps the capacity of its lists.
func (ev *Event) Reset() {
	properties, extra := ev.RuleProperties[:0], ev.Extra[:0]
	*ev = Event{}
	ev.RuleProperties, ev.Extra = properties, extra
}

// name returns names[i], or the empty string for a value nobody defined.
func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

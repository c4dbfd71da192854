package format

import (
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Key is a key of an event: a member of the object in JSON, and what the other
// forms with keys make of it.
type Key struct {
	Name string
	In   Kinds  // events that can have it
	Doc  string // one line

	value // Type, and where it is in an event
}

// Type is the JSON type of a key's value.
type Type uint8

// The types of values.
const (
	TypeString  Type = iota // of any bytes: KEY_hex may follow
	TypeWord                // a string that is one of a few words, or an id or a time
	TypeNumber              // an integer
	TypeBoolean             //
	TypeStrings             // a list of strings of any bytes: KEY_hex may follow
	TypeWords               // a list of a few words
	TypeObject              // an object of strings of any bytes
)

var typeNames = [...]string{"String", "String", "Number", "Boolean", "List of strings", "List of strings", "Object of strings"}

// String returns the type as the manual page calls it.
func (t Type) String() string { return typeNames[t] }

// Kinds is a set of kinds of events.
type Kinds uint32

// Has reports whether k is in the set.
func (s Kinds) Has(k ipe.Kind) bool { return s>>k&1 != 0 }

func kinds(list ...ipe.Kind) (s Kinds) {
	for _, k := range list {
		s |= 1 << k
	}
	return s
}

// The sets of kinds that keys have in common.
var (
	fromKernel = kinds(ipe.KindAccess, ipe.KindPolicyLoad, ipe.KindPolicyActivate, ipe.KindEnforcement, ipe.KindUnparsed)
	every      = ^Kinds(0)
	access     = kinds(ipe.KindAccess)
	accesses   = kinds(ipe.KindAccess, ipe.KindRepeated)
	policies   = kinds(ipe.KindPolicyLoad, ipe.KindPolicyActivate)
	changes    = policies | kinds(ipe.KindEnforcement)
	losses     = kinds(ipe.KindLost, ipe.KindForged)
	counts     = losses | kinds(ipe.KindRepeated)
	beats      = kinds(ipe.KindHeartbeat)
	states     = kinds(ipe.KindStarted) | beats
	runs       = states | kinds(ipe.KindStopped)
	auditConf  = kinds(ipe.KindAuditConfig)
	checkpoint = kinds(ipe.KindCheckpoint)
	fromRecord = fromKernel | auditConf
)

//go:generate go run ./keygen

// keys is the table of the keys, in their order in a line. [Parser] reads by it, and
// the code of the encoders is generated from it: straight code, because an indirect
// call for each key makes the JSON form several times as slow where the processor
// may not predict them (retpolines and their like). An event has only the keys
// whose In has its kind, whatever its fields are.
//
// To add a key, add a row here, run go generate in this folder, and add an item to
// ipe-events(7), which is compared with this table.
var keys = [...]Key{
	{Name: "spool", In: every, Doc: "id of the spool that the event rests in", value: spoolID()},
	{Name: "seq", In: every, Doc: "number of the event within its spool", value: number(func(f *fields) *uint64 { return &f.Seq }, 0)},
	{Name: "time", In: every, Doc: "when it happened", value: instant(func(f *fields) *int64 { return &f.Time }, ipe.HasStamp)},
	{Name: "serial", In: fromRecord, Doc: "serial of the audit event that the record belongs to", value: serial()},
	{Name: "type", In: fromRecord, Doc: "type of the record as received", value: number(func(f *fields) *uint16 { return &f.Event.Type }, 0)},
	{Name: "event", In: every, Doc: "what happened", value: wordOf(func(f *fields) *ipe.Kind { return &f.Kind })},
	{Name: "dialect", In: fromKernel, Doc: "form of the record", value: wordOf(func(f *fields) *ipe.Dialect { return &f.Dialect })},
	{Name: "verdict", In: accesses, Doc: "what became of the access", value: wordOf(func(f *fields) *ipe.Verdict { return &f.Verdict })},
	{Name: "ipe_op", In: accesses, Doc: "operation that was judged", value: text(func(f *fields) *[]byte { return &f.Op })},
	{Name: "ipe_hook", In: accesses, Doc: "place in the kernel that asked", value: text(func(f *fields) *[]byte { return &f.Hook })},
	{Name: "comm", In: accesses | auditConf, Doc: "name of the thread that asked", value: text(func(f *fields) *[]byte { return &f.Comm })},
	{Name: "path", In: accesses, Doc: "path of the file", value: text(func(f *fields) *[]byte { return &f.Path })},
	{Name: "dev", In: accesses, Doc: "name of the file system's super block", value: text(func(f *fields) *[]byte { return &f.Dev })},
	{Name: "rule", In: accesses, Doc: "rule that decided", value: fromPolicy(text(func(f *fields) *[]byte { return &f.Rule }))},
	{Name: "enforcing", In: accesses | kinds(ipe.KindEnforcement) | states, Doc: "whether IPE is enforcing", value: boolean(func(f *fields) *ipe.Bool { return &f.Enforcing })},
	{Name: "old_enforcing", In: kinds(ipe.KindEnforcement), Doc: "whether it was before", value: boolean(func(f *fields) *ipe.Bool { return &f.OldEnforcing })},
	{Name: "pid", In: accesses | auditConf, Doc: "thread group id of the process", value: number(func(f *fields) *uint64 { return &f.PID }, ipe.HasPID)},
	{Name: "ino", In: accesses, Doc: "inode of the file", value: number(func(f *fields) *uint64 { return &f.Ino }, ipe.HasIno)},
	{Name: "euid", In: access | auditConf, Doc: "effective id of the user", value: number(func(f *fields) *uint32 { return &f.EUID }, ipe.HasEUID)},
	{Name: "ppid", In: access | auditConf, Doc: "process id of the parent", value: number(func(f *fields) *uint64 { return &f.PPID }, ipe.HasPPID)},
	{Name: "exit", In: access | auditConf, Doc: "what the system call returned", value: signed(func(f *fields) *int64 { return &f.Exit }, ipe.HasExit)},
	{Name: "success", In: access | auditConf, Doc: "whether the system call succeeded", value: boolean(func(f *fields) *ipe.Bool { return &f.Success })},
	{Name: "syscall", In: access | auditConf, Doc: "name of the system call", value: text(func(f *fields) *[]byte { return &f.Syscall })},
	{Name: "tty", In: access | auditConf, Doc: "terminal of the process", value: text(func(f *fields) *[]byte { return &f.TTY })},
	{Name: "exe", In: access | auditConf, Doc: "program that asked", value: text(func(f *fields) *[]byte { return &f.Exe })},
	{Name: "proctitle", In: access | auditConf, Doc: "command line of the process", value: text(func(f *fields) *[]byte { return &f.Proctitle })},
	{Name: "cgroup", In: access | auditConf, Doc: "control group of the process", value: text(func(f *fields) *[]byte { return &f.Cgroup })},
	{Name: "unit", In: access | auditConf, Doc: "unit of the system's service manager", value: text(func(f *fields) *[]byte { return &f.Unit })},
	{Name: "user_unit", In: access | auditConf, Doc: "unit of the user's service manager", value: text(func(f *fields) *[]byte { return &f.UserUnit })},
	{Name: "container", In: access | auditConf, Doc: "id of the container", value: text(func(f *fields) *[]byte { return &f.Container })},
	{Name: "pod", In: access | auditConf, Doc: "UID of the Kubernetes pod", value: text(func(f *fields) *[]byte { return &f.Pod })},
	{Name: "context", In: access | auditConf, Doc: "where that comes from", value: contexts()},
	{Name: "rule_kind", In: accesses, Doc: "sort of rule that decided", value: wordOf(func(f *fields) *ipe.RuleKind { return &f.RuleKind })},
	{Name: "action", In: accesses, Doc: "action of that rule", value: wordOf(func(f *fields) *ipe.Action { return &f.Action })},
	{Name: "rule_properties", In: accesses, Doc: "properties of that rule", value: fromPolicy(list(func(f *fields) *[][]byte { return &f.RuleProperties }))},
	{Name: "active_policy_name", In: accesses, Doc: "name of the policy that judged it", value: text(func(f *fields) *[]byte { return &f.ActivePolicy.Name })},
	{Name: "active_policy_version", In: accesses, Doc: "version of the policy that judged it", value: text(func(f *fields) *[]byte { return &f.ActivePolicy.Version })},
	{Name: "active_policy_digest", In: accesses, Doc: "digest of the policy that judged it", value: text(func(f *fields) *[]byte { return &f.ActivePolicy.Digest })},
	{Name: "policy_name", In: policies | states, Doc: "name of the policy loaded or active now", value: text(func(f *fields) *[]byte { return &f.Policy.Name })},
	{Name: "policy_version", In: policies | states, Doc: "version of the policy loaded or active now", value: text(func(f *fields) *[]byte { return &f.Policy.Version })},
	{Name: "policy_digest", In: policies | states, Doc: "digest of the policy loaded or active now", value: text(func(f *fields) *[]byte { return &f.Policy.Digest })},
	{Name: "old_policy_name", In: kinds(ipe.KindPolicyActivate), Doc: "name of the policy that was replaced", value: text(func(f *fields) *[]byte { return &f.OldPolicy.Name })},
	{Name: "old_policy_version", In: kinds(ipe.KindPolicyActivate), Doc: "version of the policy that was replaced", value: text(func(f *fields) *[]byte { return &f.OldPolicy.Version })},
	{Name: "old_policy_digest", In: kinds(ipe.KindPolicyActivate), Doc: "digest of the policy that was replaced", value: text(func(f *fields) *[]byte { return &f.OldPolicy.Digest })},
	{Name: "auid", In: access | changes | auditConf, Doc: "login id of the user", value: number(func(f *fields) *uint32 { return &f.AUID }, ipe.HasAUID)},
	{Name: "uid", In: access | changes | auditConf, Doc: "id of the user", value: number(func(f *fields) *uint32 { return &f.UID }, ipe.HasUID)},
	{Name: "ses", In: access | changes | auditConf, Doc: "id of the user's session", value: number(func(f *fields) *uint32 { return &f.SES }, ipe.HasSES)},
	{Name: "lsm", In: access | changes, Doc: "security module", value: text(func(f *fields) *[]byte { return &f.LSM })},
	{Name: "res", In: access | changes | auditConf, Doc: "whether it succeeded", value: boolean(func(f *fields) *ipe.Bool { return &f.Res })},
	{Name: "errno", In: kinds(ipe.KindPolicyLoad), Doc: "error number as the kernel printed it", value: signed(func(f *fields) *int64 { return &f.Errno }, ipe.HasErrno)},
	{Name: "error", In: kinds(ipe.KindPolicyLoad), Doc: "name of that error", value: errorOf()},
	{Name: "extra", In: every, Doc: "keys of the record that are not known", value: extra()},
	{Name: "raw", In: fromRecord, Doc: "text of the record", value: raw()},
	{Name: "source", In: fromRecord | kinds(ipe.KindLost), Doc: "log that the record was fetched from later", value: text(func(f *fields) *[]byte { return &f.Source })},
	{Name: "count", In: counts, Doc: "how many", value: number(func(f *fields) *uint64 { return &f.Count }, ipe.HasCount)},
	{Name: "accuracy", In: losses, Doc: "how well the count is known", value: wordOf(func(f *fields) *ipe.Accuracy { return &f.Accuracy })},
	{Name: "stage", In: losses, Doc: "where they were lost", value: text(func(f *fields) *[]byte { return &f.Stage })},
	{Name: "sink", In: kinds(ipe.KindLost), Doc: "sink whose receiver did not take them", value: text(func(f *fields) *[]byte { return &f.Sink })},
	{Name: "since", In: counts, Doc: "after when", value: instant(func(f *fields) *int64 { return &f.Since }, ipe.HasSince)},
	{Name: "until", In: counts, Doc: "before when", value: instant(func(f *fields) *int64 { return &f.Until }, ipe.HasUntil)},
	{Name: "first_seq", In: kinds(ipe.KindLost, ipe.KindRepeated), Doc: "seq of the first of them", value: number(func(f *fields) *uint64 { return &f.FirstSeq }, ipe.HasSeqRange)},
	{Name: "last_seq", In: kinds(ipe.KindLost, ipe.KindRepeated), Doc: "seq of the last of them", value: number(func(f *fields) *uint64 { return &f.LastSeq }, ipe.HasSeqRange)},
	{Name: "pids", In: kinds(ipe.KindRepeated), Doc: "how many processes", value: number(func(f *fields) *uint64 { return &f.PIDs }, 0)},
	{Name: "comms", In: kinds(ipe.KindRepeated), Doc: "how many names of threads", value: number(func(f *fields) *uint64 { return &f.Comms }, 0)},
	{Name: "denied", In: beats, Doc: "accesses denied since the start", value: number(func(f *fields) *uint64 { return &f.Totals.Denied }, ipe.HasTotals)},
	{Name: "would_deny", In: beats, Doc: "accesses that enforcement would have denied, since the start", value: number(func(f *fields) *uint64 { return &f.Totals.WouldDeny }, ipe.HasTotals)},
	{Name: "allowed", In: beats, Doc: "accesses allowed and recorded since the start", value: number(func(f *fields) *uint64 { return &f.Totals.Allowed }, ipe.HasTotals)},
	{Name: "lost", In: beats, Doc: "records lost since the start", value: number(func(f *fields) *uint64 { return &f.Totals.Lost }, ipe.HasTotals)},
	{Name: "what", In: auditConf, Doc: "what was changed", value: text(func(f *fields) *[]byte { return &f.What })},
	{Name: "old", In: auditConf, Doc: "how it was before", value: text(func(f *fields) *[]byte { return &f.Old })},
	{Name: "new", In: auditConf, Doc: "how it is now", value: text(func(f *fields) *[]byte { return &f.New })},
	{Name: "effect", In: auditConf, Doc: "what that means, in words", value: text(func(f *fields) *[]byte { return &f.Effect })},
	{Name: "size", In: checkpoint, Doc: "seq of the newest event that was signed for", value: number(func(f *fields) *uint64 { return &f.Size }, 0)},
	{Name: "root", In: checkpoint, Doc: "hash of the tree of the events", value: text(func(f *fields) *[]byte { return &f.Root })},
	{Name: "note", In: checkpoint, Doc: "what was signed, and the signature", value: text(func(f *fields) *[]byte { return &f.Note })},
	{Name: "leaves", In: checkpoint, Doc: "hashes of the events since the checkpoint before", value: text(func(f *fields) *[]byte { return &f.Leaves })},
	{Name: "version", In: runs, Doc: "version of ipe-auditd", value: text(func(f *fields) *[]byte { return &f.Version })},
	{Name: "kernel", In: runs, Doc: "release of the running kernel", value: text(func(f *fields) *[]byte { return &f.Kernel })},
	{Name: "ipe_status", In: states, Doc: "whether there is IPE, and a policy", value: text(func(f *fields) *[]byte { return &f.IPEStatus })},
	{Name: "success_audit", In: states, Doc: "whether allowed accesses are recorded", value: boolean(func(f *fields) *ipe.Bool { return &f.SuccessAudit })},
	{Name: "host", In: every, Doc: "name of the host", value: name(func(f *fields) *[]byte { return &f.Host })},
	{Name: "boot_id", In: every, Doc: "id of the boot", value: name(func(f *fields) *[]byte { return &f.BootID })},
	{Name: "prev_seq", In: every, Doc: "seq of the event that a reader with a match was given before", value: prevSeq()},
}

// Keys returns the keys in the order in which they stand in a line. A KEY_hex is
// not in the list; it may follow any string.
func Keys() []Key {
	list := keys
	return list[:]
}

// keyNumbers has the place of every key in the table.
var keyNumbers = func() map[string]int {
	m := make(map[string]int, len(keys))
	for i := range keys {
		m[keys[i].Name] = i
	}
	return m
}()

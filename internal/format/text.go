package format

import (
	"strconv"
	"time"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// AppendText appends ev as one line for a person. It is a [Func].
//
// The line begins with the time of the record in the zone of the Context, with its
// offset from UTC. Then comes what happened in
// capitals, then the rest, nothing of it shortened.
//
// Whatever others chose (paths, names, rules, whole records) is escaped as Go
// writes strings: control characters, invisible ones, those that turn the
// direction of writing, and bytes that are not UTF-8 never come out raw. What
// then still could be mistaken for text of ours, because it is empty or has a
// blank, a quote or a backslash, stands in quotes.
func AppendText(dst []byte, ev *ipe.Event, c *Context) []byte {
	return appendLine(dst, ev, c, false)
}

// AppendTextColour is AppendText with colours for a terminal. It is a [Func].
func AppendTextColour(dst []byte, ev *ipe.Event, c *Context) []byte {
	return appendLine(dst, ev, c, true)
}

func appendLine(dst []byte, ev *ipe.Event, c *Context, colour bool) []byte {
	t := line{dst: dst, loc: c.Zone, user: c.User, colour: colour, columns: true}
	if ev.Has&ipe.HasStamp != 0 {
		t.instant(ev.Time)
	} else {
		t.str("(no time)")
	}
	t.str(" ")
	t.event(ev, c)
	if c.IDs {
		var scratch [64]byte
		if id := c.AppendID(scratch[:0], ev); len(id) > 0 {
			t.dst = AppendTextID(t.dst, id, colour)
		}
	}
	return append(t.dst, '\n')
}

// AppendTextID appends a blank and the id of an event as the end of a line of text
// has them, dimmed with colour.
func AppendTextID(dst, id []byte, colour bool) []byte {
	dst = append(dst, ' ')
	if colour {
		dst = append(dst, dim...)
	}
	dst = append(dst, id...)
	if colour {
		dst = append(dst, plain...)
	}
	return dst
}

// The colours of the headline (ECMA-48, SGR). Every other byte of a line is
// printable, so nothing that others chose can end or change them.
const (
	alarm = "\x1b[1;37;41m" // bold white on red
	bad   = "\x1b[1;31m"    // bold red
	warn  = "\x1b[1;33m"    // bold yellow
	odd   = "\x1b[1;35m"    // bold magenta
	good  = "\x1b[32m"      // green
	news  = "\x1b[1;36m"    // bold cyan
	dim   = "\x1b[2m"
	plain = "\x1b[0m"
)

// line puts together the text of one event.
type line struct {
	dst     []byte
	loc     *time.Location
	user    func(uint32) string
	colour  bool
	columns bool // make the verdicts equally wide
	guard   guard
}

func (t *line) event(ev *ipe.Event, c *Context) {
	if ev.Source != nil {
		t.rest(ev.Source)
		t.str(": ")
	}
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		t.access(ev)
	case ipe.KindPolicyLoad:
		t.policyLoad(ev)
	case ipe.KindPolicyActivate:
		t.head(news, "POLICY ACTIVATED")
		t.policy(" ", &ev.Policy)
		t.policy(" in place of ", &ev.OldPolicy)
		t.origin(ev)
	case ipe.KindEnforcement:
		t.enforcement(ev)
	case ipe.KindStarted:
		t.started(ev)
	case ipe.KindHeartbeat:
		t.head(plain, "HEARTBEAT")
		t.state(ev)
		t.totals(ev)
	case ipe.KindCheckpoint:
		t.head(plain, "CHECKPOINT")
		t.str(" of what is spooled up to seq ")
		t.num(ev.Size)
		t.value(" root=", ev.Root)
	case ipe.KindStopped:
		t.head(news, "STOPPED")
		t.str(" ipe-auditd")
		t.value(" ", ev.Version)
	case ipe.KindLost:
		if !ev.IsLoss() {
			t.head(warn, "IN MEMORY")
			t.str(" nothing is lost yet, but events are kept in memory only, because the disk of the spool failed")
			t.value(" at stage ", ev.Stage)
			break
		}
		t.head(bad, "LOST")
		t.loss(ev, " record", " records")
		t.value(" at stage ", ev.Stage)
		t.value(" ", ev.Sink)
		t.interval(ev)
	case ipe.KindForged:
		t.head(bad, "FORGED")
		t.loss(ev, " message", " messages")
		t.str(" not from the kernel refused")
		t.interval(ev)
	case ipe.KindAuditConfig:
		t.auditConfig(ev)
	default:
		t.head(odd, "UNPARSED")
		if ev.Type != 0 {
			t.str(" record of type ")
			t.num(uint64(ev.Type))
		} else {
			t.str(" event in JSON")
		}
		t.str(": ")
		t.rest(ev.Raw)
		return
	}
	if c.Raw && ev.HasRecord() {
		t.str(" raw: ")
		t.rest(ev.Raw)
	}
}

func (t *line) access(ev *ipe.Event) {
	colour := odd
	switch ev.Verdict {
	case ipe.VerdictDenied:
		colour = bad
	case ipe.VerdictWouldDeny:
		colour = warn
	case ipe.VerdictAllowed:
		colour = good
	}
	t.head(colour, words.Verdict(ev.Verdict))
	if ev.Kind == ipe.KindRepeated {
		t.loss(ev, " more time:", " more times:")
	}
	t.value(" ", ev.Op)
	t.value(" ", ev.Hook)
	if ev.Path != nil {
		t.value(" ", ev.Path)
	} else {
		t.str(" ")
		t.str(ev.Object().String())
	}
	t.value(" comm=", ev.Comm)
	if ev.Comm == nil && ev.Comms > 1 {
		t.str(" comms=")
		t.num(ev.Comms)
	}
	if ev.Has&ipe.HasPID != 0 {
		t.str(" pid=")
		t.num(ev.PID)
	} else if ev.PIDs > 1 {
		t.str(" pids=")
		t.num(ev.PIDs)
	}
	t.value(" dev=", ev.Dev)
	if ev.Has&ipe.HasIno != 0 {
		t.str(" ino=")
		t.num(ev.Ino)
	}
	t.caller(ev)
	t.extra(ev)
	t.interval(ev)
	// Not the policy: it is the same in line after line, and where it changes is
	// a line of its own.
	if ev.Verdict == ipe.VerdictUnknown {
		t.str(" (the record does not say whether IPE was enforcing)")
	}
	if ev.Rule != nil {
		t.str(" rule: ")
		t.dst = appendGuarded(t.dst, ev.Rule, false, t.guard.forRule())
	}
}

func (t *line) policyLoad(ev *ipe.Event) {
	if ev.Res != ipe.False {
		t.head(news, "POLICY LOADED")
		t.policy(" ", &ev.Policy)
		t.origin(ev)
		return
	}
	t.head(bad, "POLICY LOAD FAILED")
	t.policy(" ", &ev.Policy)
	if ev.Has&ipe.HasErrno != 0 {
		t.str(": ")
		if name := errorName(ev); name != "" {
			t.str(name)
			if why, ok := policy.RefusalOf(ev.Errno); ok {
				t.str(" (")
				t.str(why.Short)
				t.str(")")
			}
			t.str(", ")
		}
		t.str("errno=")
		t.dst = strconv.AppendInt(t.dst, ev.Errno, 10)
	}
	t.origin(ev)
}

func (t *line) enforcement(ev *ipe.Event) {
	switch {
	case ev.Enforcing == ipe.False && ev.OldEnforcing == ipe.False:
		t.head(alarm, "*** IPE ENFORCEMENT IS OFF: permissive as before ***")
	case ev.Enforcing == ipe.False:
		t.head(alarm, "*** IPE ENFORCEMENT SWITCHED OFF: now permissive ***")
	case ev.Enforcing == ipe.True && ev.OldEnforcing == ipe.True:
		t.head(good, "*** IPE ENFORCEMENT IS ON: enforcing as before ***")
	case ev.Enforcing == ipe.True:
		t.head(good, "*** IPE ENFORCEMENT SWITCHED ON: now enforcing ***")
	default:
		t.head(alarm, "*** IPE ENFORCEMENT SWITCHED: the record does not say to what ***")
	}
	t.origin(ev)
}

func (t *line) auditConfig(ev *ipe.Event) {
	colour := news
	switch impact := ipe.AuditImpact(ev); {
	case impact >= ipe.ImpactBlind:
		colour = alarm
	case impact > ipe.ImpactNone || ev.IsRefused():
		colour = warn
	}
	t.head(colour, "AUDIT CHANGED")
	t.value(" ", ev.What)
	t.value(" from ", ev.Old)
	t.value(" to ", ev.New)
	if ev.Effect != nil {
		t.str(": ")
		t.rest(ev.Effect)
	}
	t.value(" comm=", ev.Comm)
	if ev.Has&ipe.HasPID != 0 {
		t.str(" pid=")
		t.num(ev.PID)
	}
	t.origin(ev)
}

func (t *line) started(ev *ipe.Event) {
	t.head(news, "STARTED")
	t.state(ev)
}

// totals writes what was counted since the start.
func (t *line) totals(ev *ipe.Event) {
	if ev.Has&ipe.HasTotals == 0 {
		return
	}
	n := &ev.Totals
	for _, part := range [...]struct {
		before string
		count  uint64
		behind string
	}{
		{"; since the start ", n.Denied, " denied"},
		{", ", n.WouldDeny, " would be denied"},
		{", ", n.Allowed, " allowed"},
		{", ", n.Lost, " lost"},
	} {
		t.str(part.before)
		t.dst = strconv.AppendUint(t.dst, part.count, 10)
		t.str(part.behind)
	}
}

// state writes what is in force, and where.
func (t *line) state(ev *ipe.Event) {
	t.str(" ipe-auditd")
	t.value(" ", ev.Version)
	t.value(" on Linux ", ev.Kernel)
	t.value(", IPE ", ev.IPEStatus)
	switch ev.Enforcing {
	case ipe.True:
		t.str(", enforcing")
	case ipe.False:
		t.str(", permissive")
	}
	t.policy(", policy ", &ev.Policy)
	switch ev.SuccessAudit {
	case ipe.True:
		t.str(", allowed accesses are recorded")
	case ipe.False:
		t.str(", allowed accesses are not recorded")
	}
}

// loss writes how many, and of what: " at least 12 records".
func (t *line) loss(ev *ipe.Event, one, many string) {
	if ev.Has&ipe.HasCount == 0 {
		t.str(" an unknown number of")
		t.str(many)
		return
	}
	if ev.Accuracy == ipe.AccuracyAtLeast {
		t.str(" at least")
	}
	t.str(" ")
	t.num(ev.Count)
	if ev.Count == 1 {
		t.str(one)
	} else {
		t.str(many)
	}
}

func (t *line) interval(ev *ipe.Event) {
	if ev.Has&ipe.HasSeqRange != 0 {
		t.str(", seq ")
		t.num(ev.FirstSeq)
		t.str(" to ")
		t.num(ev.LastSeq)
	}
	if ev.Has&ipe.HasSince != 0 {
		t.str(", since ")
		t.instant(ev.Since)
	}
	if ev.Has&ipe.HasUntil != 0 {
		t.str(", until ")
		t.instant(ev.Until)
	}
}

// origin writes who did it, and what else the record says.
func (t *line) origin(ev *ipe.Event) {
	if ev.Has&ipe.HasAUID != 0 {
		t.str(" auid=")
		t.num(uint64(ev.AUID))
	}
	if ev.Has&ipe.HasUID != 0 {
		t.str(" uid=")
		t.num(uint64(ev.UID))
	}
	if ev.Has&ipe.HasSES != 0 {
		t.str(" ses=")
		t.num(uint64(ev.SES))
	}
	if ev.Res == ipe.False && ev.Kind != ipe.KindPolicyLoad {
		t.str(" res=0")
	}
	t.extra(ev)
}

func (t *line) extra(ev *ipe.Event) {
	for _, kv := range ev.Extra {
		t.str(" ")
		t.rest(kv.Key)
		t.str("=")
		t.rest(kv.Value)
	}
}

// policy writes name, version and digest, as far as they are known.
func (t *line) policy(before string, p *ipe.Policy) {
	if !p.Known() {
		return
	}
	if p.Name == nil {
		t.str(before)
		t.str("of unknown name")
	}
	t.value(before, p.Name)
	t.value(" ", p.Version)
	t.value(" ", p.Digest)
}

// head writes what happened.
func (t *line) head(colour, s string) {
	if t.colour {
		t.str(colour)
	}
	t.str(s)
	if t.colour {
		t.str(plain)
	}
	if t.columns {
		for n := len(s); n < len("WOULD DENY"); n++ {
			t.str(" ")
		}
	}
}

func (t *line) str(s string) { t.dst = append(t.dst, s...) }

func (t *line) num(n uint64) { t.dst = strconv.AppendUint(t.dst, n, 10) }

func (t *line) instant(ms int64) {
	t.dst = words.AppendTime(t.dst, ms, t.loc)
}

// value writes one untrusted value, if there is one.
func (t *line) value(before string, b []byte) {
	if b != nil {
		t.str(before)
		t.dst = appendQuoted(t.dst, b, t.guard)
	}
}

// rest writes an untrusted value that nothing can be confused with, because it
// is the last or its grammar is its own.
func (t *line) rest(b []byte) {
	if t.guard >= guardBlanks {
		t.dst = appendQuoted(t.dst, b, t.guard)
	} else {
		t.dst = appendGuarded(t.dst, b, false, t.guard)
	}
}

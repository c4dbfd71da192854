package inforce

import (
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// State is what is known at one moment. The zero State knows nothing.
type State struct {
	// Known says whether Active means something.
	Known bool

	// Active says whether there is a policy in force. Without one nothing is
	// judged and nothing recorded (security/ipe/eval.c, ipe_evaluate_event).
	Active bool

	// Policy is the one in force; with Active.
	Policy ipe.Policy

	// Enforcing says whether what it denies is denied.
	Enforcing ipe.Bool
}

// BuiltIn reports whether p is a policy that was built into the kernel. It has
// no signature, so securityfs has no digest for it, and records have the one of
// nothing at all (security/ipe/audit.c, audit_policy).
func BuiltIn(p *ipe.Policy) bool {
	const ofNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	return p.Name != nil && (p.Digest == nil || string(p.Digest) == ofNothing)
}

// Tracker follows a stream. The zero Tracker knows nothing. One goroutine at a
// time may use it.
type Tracker struct {
	state State
	bytes []byte // of state.Policy
}

// State returns what is in force after the last event observed.
func (t *Tracker) State() *State { return &t.state }

// Forget withdraws everything: a change may have been missed.
func (t *Tracker) Forget() { t.state = State{} }

// Observe takes the next event of the stream. It does not allocate but for a
// longer policy than any before.
func (t *Tracker) Observe(ev *ipe.Event) {
	switch ev.Kind {
	case ipe.KindAccess:
		t.access(ev)
	case ipe.KindPolicyActivate:
		if ev.Res != ipe.False {
			t.activate(&ev.Policy)
		}
	case ipe.KindEnforcement:
		if ev.Res != ipe.False {
			t.state.Enforcing = ev.Enforcing
		}
	case ipe.KindStarted:
		t.started(ev)
	case ipe.KindLost:
		// A count of 0 only says that the spool is in memory.
		if ev.Has&ipe.HasCount == 0 || ev.Count > 0 {
			t.Forget()
		}
	case ipe.KindUnparsed:
		// An access changes nothing, and its number is no other kind's since
		// the merge.
		if ev.Type != ipe.TypeAccess {
			t.Forget()
		}
	}
}

// started takes what the daemon read at its start. What it could not read may
// have changed while it was away.
func (t *Tracker) started(ev *ipe.Event) {
	t.Forget()
	t.state.Enforcing = ev.Enforcing
	switch string(ev.IPEStatus) {
	case "active":
		t.activate(&ev.Policy)
	case "no_policy", "absent":
		t.state.Known = true
	}
}

// access takes an access for evidence: somebody judged it, in that mode.
func (t *Tracker) access(ev *ipe.Event) {
	if ev.Enforcing.Known() {
		t.state.Enforcing = ev.Enforcing
	}
	switch {
	case ev.ActivePolicy.Known():
		t.activate(&ev.ActivePolicy)
	case t.state.Known && !t.state.Active:
		t.state.Known = false // which, nobody has said
	}
}

// activate makes a copy of p the policy in force. One without a name is none
// that could be told from others.
func (t *Tracker) activate(p *ipe.Policy) {
	if p.Name == nil {
		t.state.Known, t.state.Active, t.state.Policy = false, false, ipe.Policy{}
		return
	}
	t.bytes = t.bytes[:0]
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(t.bytes)
		t.bytes = append(t.bytes, b...)
		return t.bytes[start:len(t.bytes):len(t.bytes)]
	}
	// All three are at once in an array that does not move.
	if n := len(p.Name) + len(p.Version) + len(p.Digest); n > cap(t.bytes) {
		t.bytes = make([]byte, 0, n)
	}
	t.state.Known, t.state.Active = true, true
	t.state.Policy = ipe.Policy{Name: keep(p.Name), Version: keep(p.Version), Digest: keep(p.Digest)}
}

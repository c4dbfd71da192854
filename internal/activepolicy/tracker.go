package activepolicy

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

// Word returns what is known of the policy in a word: active, built_in, none or
// unknown.
func (s *State) Word() string {
	switch {
	case !s.Known:
		return "unknown"
	case !s.Active:
		return "none"
	case s.Policy.BuiltIn():
		return "built_in"
	}
	return "active"
}

// settleTime is for how long after an activation records may come that were
// judged before it, in milliseconds between their stamps.
const settleTime = 1000

// behindTime is for how long behind the record of an activation an access may be
// logged that the policy before has judged, in milliseconds between their stamps:
// ipe_evaluate_event (security/ipe/eval.c) reads the policy under RCU and logs what
// came of it then, so that each processor may have one access on its way while
// another changes the policy and logs that first. It is there within microseconds,
// but stamps come from the coarse clock, which ticks every 4 ms or so.
const behindTime = 10

// reboot is the least time between two records, in milliseconds, after which a
// lower serial means another boot. Records of several processors are out of
// order too, but only those of the same moment.
const reboot = 5000

// Tracker follows one stream. The zero Tracker knows nothing. One goroutine at a
// time may use it.
type Tracker struct {
	now       policyState
	since     int64 // stamp of the evidence for now, milliseconds since 1970
	enforcing ipe.Bool

	// The last activation, until it has settled.
	settling bool
	stamp    int64
	serial   uint32
	replaced *ipe.Policy // nil if that is not known

	// A reading that holds for records later than at, until one has come.
	reading policyState
	at      int64

	// The last record of the kernel that was observed.
	lastTime   int64
	lastSerial uint64

	blind int64 // activations up to then may have a hole behind them; 0: none
	told  bool  // accesses themselves say what judged them
}

// policyState is what is thought to be in force.
type policyState struct {
	known  bool
	policy *ipe.Policy // nil: none; never changed
}

// State returns what is in force after the last event observed. A reading
// counts, although records from before it may still come.
func (t *Tracker) State() State {
	is := t.now
	if t.reading.known {
		is = t.reading
	}
	s := State{Known: is.known, Enforcing: t.enforcing}
	if is.policy != nil {
		s.Active, s.Policy = true, *is.policy
	}
	return s
}

// Observe takes the next event of the stream. It returns the policy in force
// after it, of an access the one that judged it; nil where that is not known, and
// where there is none. Only what changes the policy makes it allocate.
//
// Of the daemon's own events "started" is a reading, and "lost" a loss. An access
// that says itself by which policy it was judged is believed; in a stream where
// one does, of one that does not it is not known. Records of another boot begin
// another stream.
//
// What was fetched from a log later says nothing of what was, or is, in force:
// records are missing in logs.
func (t *Tracker) Observe(ev *ipe.Event) *ipe.Policy {
	if ev.IsBackfill() {
		return nil
	}
	if ev.Has&ipe.HasStamp != 0 && ev.Kind.FromKernel() {
		if ev.Serial < t.lastSerial && ev.Time-t.lastTime > reboot {
			t.Forget()
		}
		t.lastTime, t.lastSerial = ev.Time, ev.Serial
	}
	switch ev.Kind {
	case ipe.KindAccess:
		return t.access(ev)
	case ipe.KindPolicyActivate:
		if ev.Res != ipe.False {
			t.activate(ev)
		}
	case ipe.KindEnforcement:
		if ev.Res != ipe.False {
			t.enforcing = ev.Enforcing
		}
	case ipe.KindStarted:
		t.gap() // what the daemon does not say may have changed while it was away
		t.read(ev)
	case ipe.KindHeartbeat:
		t.read(ev)
	case ipe.KindLost:
		t.lost(ev)
	case ipe.KindUnparsed:
		// An access changes nothing, and its number is no other kind's since
		// the merge.
		if ev.Type != ipe.TypeAccess {
			t.gap()
		}
	}
	return t.now.policy
}

// Settled reports whether the next access was judged by the policy that the
// last call of Observe has returned, whatever its stamp.
func (t *Tracker) Settled() bool { return !t.reading.known && !t.settling }

// Resume says that the stream goes on without a hole behind another one, at
// whose end this policy was in force.
func (t *Tracker) Resume(p *ipe.Policy) { t.believe(policyState{true, clone(p)}, 0) }

// SetSnapshot says that securityfs was read: the policy in force, nil if there was
// none, and when the reading was over, in milliseconds since 1970. It takes more
// than a moment, so only what was read twice in the same way is to be trusted.
func (t *Tracker) SetSnapshot(p *ipe.Policy, at int64) {
	if t.blind == 0 || at > t.blind {
		t.reading, t.at = policyState{true, clone(p)}, at
	}
}

// Lost says that records were lost somewhere in the stream, and that this was
// noticed at that time, in milliseconds since 1970.
func (t *Tracker) Lost(noticed int64) {
	t.blind = max(t.blind, noticed)
	t.enforcing = ipe.Unknown
	if t.at <= noticed {
		t.reading = policyState{}
	}
	if t.since <= noticed {
		t.believe(policyState{}, 0)
	}
}

// Forget begins another stream.
func (t *Tracker) Forget() { *t = Tracker{} }

// gap says that records are missing here.
func (t *Tracker) gap() {
	t.believe(policyState{}, 0)
	t.reading, t.enforcing = policyState{}, ipe.Unknown
}

// ignorant reports whether there is neither knowledge nor a reading.
func (t *Tracker) ignorant() bool { return !t.now.known && !t.reading.known }

func (t *Tracker) believe(b policyState, since int64) {
	t.now, t.since = b, since
	t.settling, t.replaced = false, nil
}

// read takes what the daemon read of securityfs, as far as it could.
func (t *Tracker) read(ev *ipe.Event) {
	if ev.Enforcing.Known() {
		t.enforcing = ev.Enforcing
	}
	switch string(ev.IPEStatus) {
	case "active":
		if ev.Policy.Name != nil {
			t.SetSnapshot(&ev.Policy, ev.Time)
		}
	case "no_policy", "absent":
		t.SetSnapshot(nil, ev.Time)
	}
}

func (t *Tracker) activate(ev *ipe.Event) {
	if t.reading.known && !same(t.reading.policy, &ev.Policy) {
		// One of them is out of date, and if it is the record, then those of
		// the activations after it are still to come.
		t.reading = policyState{}
	}
	stamped := ev.Has&ipe.HasStamp != 0
	switch {
	case ev.Policy.Name == nil, t.blind > 0 && (!stamped || ev.Time <= t.blind):
		t.believe(policyState{}, 0)
		return
	case t.settling && ev.Time <= t.stamp+settleTime && same(t.replaced, &ev.Policy) && !same(t.now.policy, &ev.OldPolicy):
		// Of an update and an activation at the same moment the records may
		// come in the wrong order: ipe_update_policy lets go of the lock first.
		t.believe(policyState{}, 0)
		return
	}
	t.believe(policyState{true, clone(&ev.Policy)}, ev.Time)
	t.settling, t.stamp, t.serial = stamped, ev.Time, uint32(ev.Serial)
	if ev.OldPolicy.Known() {
		t.replaced = clone(&ev.OldPolicy)
	}
}

// access takes an access for evidence too: somebody judged it, in that mode.
func (t *Tracker) access(ev *ipe.Event) *ipe.Policy {
	if ev.Enforcing.Known() {
		t.enforcing = ev.Enforcing
	}
	if ev.ActivePolicy.Known() {
		t.told = true
		if !same(t.now.policy, &ev.ActivePolicy) {
			t.believe(policyState{true, clone(&ev.ActivePolicy)}, ev.Time)
		}
		t.reading = policyState{}
		return t.now.policy
	}
	if t.told {
		return nil
	}
	if !t.Settled() && ev.Has&ipe.HasStamp != 0 {
		if t.reading.known && ev.Time > t.at {
			t.believe(t.reading, t.at)
			t.reading = policyState{}
		}
		if t.settling && ev.Time > t.stamp+settleTime {
			t.settling, t.replaced = false, nil
		}
		if t.settling && (int32(uint32(ev.Serial)-t.serial) < 0 || t.replaced != nil && ev.Time < t.stamp+behindTime) {
			return nil
		}
	}
	if t.now.policy == nil {
		t.now.known = false // there is one; which, nobody has said
	}
	return t.now.policy
}

// lost takes an event of the kind.
func (t *Tracker) lost(ev *ipe.Event) {
	noticed := ev.Time
	if ev.Has&ipe.HasUntil != 0 {
		noticed = ev.Until
	}
	switch stage := string(ev.Stage); {
	case !ev.IsLoss():
	case stage == ipe.StageTruncated: // what arrived is in the stream
	case stage == ipe.StageSink: // it is here, a receiver has not got it
	case stage == ipe.StageSpool, stage == ipe.StageDisk, noticed == 0:
		t.gap() // the hole is here
	default:
		t.Lost(noticed)
	}
}

// same reports whether two policies are one. A nil *Policy is none.
func same(a, b *ipe.Policy) bool {
	return a != nil && a.Equal(b)
}

func clone(p *ipe.Policy) *ipe.Policy {
	if p == nil {
		return nil
	}
	c := p.Clone()
	return &c
}

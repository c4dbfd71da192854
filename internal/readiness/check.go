package readiness

import (
	"bytes"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Options say what is asked. Now must be set.
type Options struct {
	// Since leaves out what happened before, and asks that all the time since
	// then was watched. The Check must be given the events before it too. Zero:
	// everything there is, for however long that was.
	Since time.Time

	// Now ends the window. The events of a host that is Live go on to there.
	Now time.Time

	// Candidate judges in place of the policy in force, unless it is nil, by what
	// Measure finds out about each object.
	Candidate *policy.Policy
	TooLarge  error // why the kernel does not take it, or nil
	Measure   func(fileprops.Object) fileprops.Result

	// Host is the name of this host, where Measure looks. Of objects on others
	// only that is known which the records say. Empty: all are here.
	Host string

	// Stands reports whether the rule that decided about an access stands in the
	// text of the policy that is said to have judged it; unknown where the text
	// is not. Nil: it never is.
	Stands func(*ipe.Event) ipe.Bool

	// Several says that there is more than one host.
	Several bool
}

// hostCheck collects what an answer for one host needs.
type hostCheck struct {
	*Options
	on          *eventsource.Host // nil if it is the only one
	observation observation
	boot        []byte // of the last event
	audit       audit

	current  ipe.Policy // in force last, as far as known; without a name: never known
	noPolicy bool       // none is in force, as far as known
	judged   tally.Groups
	vague    tally.Groups // nobody knows who judged them
	earlier  uint64       // denials that do not count, as others judged them
	held     held         // for a candidate

	accesses uint64 // in the window, all verdicts
	allowed  uint64
	denied   uint64 // while enforcing
	lost     tally.Loss
	hole     bool // something is missing by the numbers, in the window
	unparsed uint64
}

func newHostCheck(o *Options, on *eventsource.Host) *hostCheck {
	c := &hostCheck{Options: o, on: on}
	c.observation.now = o.Now.UnixMilli()
	if !o.Since.IsZero() {
		c.observation.since = o.Since.UnixMilli()
	}
	return c
}

// add takes the next event.
func (c *hostCheck) add(ev *eventsource.Event) {
	if !bytes.Equal(c.boot, ev.BootID) {
		c.boot = bytes.Clone(ev.BootID)
		c.observation.reboot()
	}
	c.observation.add(ev)
	c.observe(ev)
	counts := ev.Has&ipe.HasStamp == 0 || ev.Time >= c.observation.since
	c.audit.add(ev, counts)
	if !counts {
		return
	}
	c.hole = c.hole || ev.Hole
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		c.access(ev, tally.Times(&ev.Event))
	case ipe.KindUnparsed:
		c.unparsed++
	case ipe.KindLost:
		c.lost.Add(&ev.Event)
	}
}

// observe keeps the policy in force. What another one denied does not count for
// it, nor does the time for which that was watched.
func (c *hostCheck) observe(ev *eventsource.Event) {
	is := &ev.InForce
	c.noPolicy = is.Known && !is.Active
	if !is.Known || !is.Active || c.current.Name != nil && is.Policy.Equal(&c.current) {
		return
	}
	// A start and an access only tell what was in force all along, the first
	// time; an activation tells that it was not.
	if c.Candidate == nil && (c.current.Name != nil || ev.Kind == ipe.KindPolicyActivate) {
		c.earlier += c.vague.Events()
		c.vague = tally.Groups{}
		c.observation.sum = Observed{}
	}
	c.current = is.Policy.Clone()
}

// access counts an access that happened n times.
func (c *hostCheck) access(ev *eventsource.Event, n uint64) {
	c.accesses += n
	switch {
	case ev.Action == ipe.ActionAllow:
		c.allowed += n
	case ev.Verdict == ipe.VerdictDenied:
		c.denied += n
	}
	switch {
	case c.Candidate != nil:
		c.held.learn(&ev.Event)
		bare := object(&ev.Event)
		c.judged.Add(&bare, n, ev)
	case ev.Action != ipe.ActionDeny:
	case ev.ActivePolicy.Name != nil:
		c.judged.Add(&ev.Event, n, ev)
	default:
		c.vague.Add(&ev.Event, n, ev)
	}
}

// Finding is a group of accesses with what is to be said about it.
type Finding struct {
	*tally.Group

	// Rule is the rule of the candidate that decides; nil without one, and where
	// the policy in force has judged.
	Rule *policy.Rule

	// Why says in printable words what is not known, of what cannot be judged.
	Why string
}

// groups returns what counts, the worst first.
func (c *hostCheck) groups() (list []*tally.Group, earlier uint64) {
	earlier = c.earlier
	for _, g := range c.judged.List() {
		if c.Candidate == nil && !g.Event.ActivePolicy.Equal(&c.current) {
			earlier += g.Count
			continue
		}
		list = append(list, g)
	}
	return append(list, c.vague.List()...), earlier
}

// evaluate sorts the groups by what the candidate says of each.
func (c *hostCheck) evaluate(groups []*tally.Group, a *Answer) {
	for _, g := range groups {
		ev := g.Sample()
		o := fileprops.ObjectOf(&ev)
		o.Held = c.held.of(&ev)
		found := c.measure(o)
		op, mayBe := policy.ParseOp(string(ev.Op))
		if !mayBe {
			a.Unknown = append(a.Unknown, Finding{Group: g, Why: "no policy can name its operation"})
			continue
		}
		j := c.Candidate.Judge(op, &found.Facts)
		var rule *policy.Rule
		if j.Rule >= 0 {
			rule = &c.Candidate.Rules[j.Rule]
		}
		switch j.Action {
		case policy.Deny:
			a.Denied = append(a.Denied, Finding{Group: g, Rule: rule})
		case policy.ActionNone:
			a.Unknown = append(a.Unknown, Finding{Group: g, Rule: rule, Why: found.Undecided(c.Candidate, op, &j)})
		default:
			a.Allowed++
		}
	}
}

// measure finds out about an object, if it is on this host.
func (c *hostCheck) measure(o fileprops.Object) fileprops.Result {
	if o.NoFile || !c.on.Elsewhere(c.Host) {
		return c.Measure(o)
	}
	r := fileprops.Result{Reason: "it is on another host, " + text.Host(c.on.Name)}
	for _, p := range o.Held {
		r.Facts.Learn(p)
	}
	return r
}

// byPolicy returns what is known of the groups by the policy in force. Directly
// behind an update of a policy the kernel may log an access that the old one has
// judged (ipe_evaluate_event reads the policy under RCU): one whose rule does not
// stand in the text tells nothing of it.
func (c *hostCheck) byPolicy(groups []*tally.Group, a *Answer) {
	for _, g := range groups {
		if c.Stands != nil && !c.on.Elsewhere(c.Host) && g.Event.ActivePolicy.Known() && c.Stands(&g.Event) == ipe.False {
			a.Unknown = append(a.Unknown, Finding{Group: g, Why: "the rule does not stand in the policy in force, so another one judged"})
			continue
		}
		a.Denied = append(a.Denied, Finding{Group: g})
	}
}

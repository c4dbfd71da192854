package readiness

import (
	"fmt"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/history"
	"github.com/ipe-auditd/ipe-auditd/internal/measure"
	"github.com/ipe-auditd/ipe-auditd/internal/report"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Options say what is asked. Now must be set.
type Options struct {
	// Since leaves out what happened before, and asks that all the time since
	// then was watched. The Check must be given the events before it too. Zero:
	// everything there is, for however long that was.
	Since time.Time

	// Now ends the window. Live says that the events go on to there: a daemon
	// is listening.
	Now  time.Time
	Live bool

	// Candidate judges in place of the policy in force, unless it is nil, by what
	// Measure finds out about each object.
	Candidate *policy.Policy
	Measure   func(measure.Object) measure.Result
}

// Check collects what an answer needs. One goroutine at a time may use it.
type Check struct {
	Options
	observation observation
	audit       audit

	current  ipe.Policy // in force last, as far as known; without a name: never known
	noPolicy bool       // none is in force, as far as known
	judged   report.Groups
	vague    report.Groups // nobody knows who judged them
	earlier  uint64        // denials that do not count, as others judged them
	held     held          // for a candidate

	accesses uint64 // in the window, all verdicts
	allowed  uint64
	denied   uint64 // while enforcing
	lost     uint64
	uncount  bool // lost is not all
	losses   uint64
	skipped  int64
	unparsed uint64
	errors   []error
	unread   report.Unread
}

// New returns a Check that has seen nothing.
func New(o Options) *Check {
	c := &Check{Options: o}
	c.observation.now = o.Now.UnixMilli()
	if !o.Since.IsZero() {
		c.observation.since = o.Since.UnixMilli()
	}
	return c
}

// Add takes the next event.
func (c *Check) Add(ev *history.Event) {
	c.observation.add(ev)
	c.follow(ev)
	counts := ev.Has&ipe.HasStamp == 0 || ev.Time >= c.observation.since
	c.audit.add(ev, counts)
	if !counts {
		return
	}
	c.skipped += ev.Skipped
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		c.access(ev, report.Times(&ev.Event))
	case ipe.KindUnparsed:
		c.unparsed++
	case ipe.KindLost:
		c.loss(&ev.Event)
	}
}

// Fail takes an error that ended a source too early.
func (c *Check) Fail(err error) {
	if !c.unread.Fail(err) {
		c.errors = append(c.errors, err)
	}
}

// follow keeps the policy in force. What another one denied does not count for
// it, nor does the time for which that was watched.
func (c *Check) follow(ev *history.Event) {
	is := &ev.InForce
	c.noPolicy = is.Known && !is.Active
	if !is.Known || !is.Active || c.current.Name != nil && is.Policy.Equal(&c.current) {
		return
	}
	// A start and an access only tell what was in force all along, the first
	// time; an activation tells that it was not.
	if c.Candidate == nil && (c.current.Name != nil || ev.Kind == ipe.KindPolicyActivate) {
		c.earlier += c.vague.Events()
		c.vague = report.Groups{}
		c.observation.sum = Observed{}
	}
	c.current = is.Policy.Clone()
}

// access counts an access that happened n times.
func (c *Check) access(ev *history.Event, n uint64) {
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
		c.judged.Add(&bare, n)
	case ev.Action != ipe.ActionDeny:
	case ev.ActivePolicy.Name != nil:
		c.judged.Add(&ev.Event, n)
	default:
		c.vague.Add(&ev.Event, n)
	}
}

func (c *Check) loss(ev *ipe.Event) {
	switch {
	case ev.Has&ipe.HasCount == 0:
		c.uncount = true
	case ev.Count == 0:
		return // the spool is in memory, and nothing is lost by that yet
	case ev.Accuracy != ipe.AccuracyExact:
		c.uncount = true
	}
	c.losses++
	c.lost = report.Sum(c.lost, ev.Count)
}

// Finding is a group of accesses with what is to be said about it.
type Finding struct {
	*report.Group

	// Rule is the rule of the candidate that decides; nil without one, and where
	// the policy in force has judged.
	Rule *policy.Rule

	// Why says in printable words what is not known, of what cannot be judged.
	Why string
}

// groups returns what counts, the worst first.
func (c *Check) groups() (list []*report.Group, earlier uint64) {
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

// judge sorts the groups by what the candidate says of each.
func (c *Check) judge(groups []*report.Group, a *Answer) {
	for _, g := range groups {
		ev := g.Sample()
		o := measure.ObjectOf(&ev)
		o.Held = c.held.of(&ev)
		found := c.Measure(o)
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
			a.Unknown = append(a.Unknown, Finding{Group: g, Rule: rule, Why: c.why(op, &j, &found)})
		default:
			a.Allowed++
		}
	}
}

// why says which rule may match, and what of it is not known.
func (c *Check) why(op policy.Op, j *policy.Judgement, found *measure.Result) string {
	for _, i := range j.Maybe {
		r := &c.Candidate.Rules[i]
		if words := r.Unknown(); len(words) > 0 {
			return fmt.Sprintf("line %d: %v", r.Line, words[0])
		}
		for _, p := range r.Properties {
			if why := found.Why(p.Key); p.Holds(&found.Facts) == policy.Unknown && why != "" {
				return fmt.Sprintf("whether it has the %v of line %d: %s", p.Key, r.Line, why)
			}
		}
	}
	if j.Rule < 0 && !op.Known() {
		return policy.UnknownOp(op).String()
	}
	return found.Reason
}

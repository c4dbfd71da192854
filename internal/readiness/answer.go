package readiness

import (
	"fmt"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Verdict is the answer in one word.
type Verdict uint8

// The verdicts, by their exit codes. Of several hosts the worst counts: NotReady,
// then CannotSay.
const (
	Ready     Verdict = iota // nothing that was seen would be denied
	NotReady                 // something would
	CannotSay                // nothing was seen, but something may not have been
)

// String returns the verdict as in the JSON key "answer".
func (v Verdict) String() string {
	return [...]string{"ready", "not_ready", "cannot_say"}[v]
}

// Reason is why it cannot be said.
type Reason struct {
	Key  string // one word, for programs
	Text string // for a person, printable
}

// Answer is what a Check has found.
type Answer struct {
	Verdict Verdict
	Reasons []Reason // also beside NotReady

	Denied  []Finding // would be
	Unknown []Finding // what the candidate cannot be asked about
	Allowed int       // groups that the candidate allows

	Policy   ipe.Policy // in force last; without a name: not known
	Observed Observed
	Wanted   time.Duration // of it; 0: any
	Accesses uint64
	Earlier  uint64 // denials by other policies, which do not count
	Unread   tally.Unread

	// Of several hosts Policy is only known if it is the same on all, and
	// Observed is that of the host that was watched for the shortest time.
	Hosts Hosts
}

// enough is how much of the wanted time must have been observed, in percent: a
// restart of the daemon and a reboot are no reason to begin again.
const enough = 95

// answer ends the stream and answers. errors are of sources, and unread is what
// could not be read of them, so that events of any host may be missing.
func (c *hostCheck) answer(errors []error, unread *tally.Unread, stray *hostCheck) *Answer {
	if c.on != nil && c.on.Live {
		c.observation.until(c.observation.now)
	}
	a := &Answer{Policy: c.current, Observed: c.observation.sum, Accesses: c.accesses}
	if !c.Since.IsZero() {
		a.Wanted = c.Now.Sub(c.Since)
	}
	if stray != nil { // it may be of this host
		c.lost.Join(&stray.lost)
		c.unparsed += stray.unparsed
	}
	groups, earlier := c.groups()
	a.Earlier = earlier
	if c.Candidate != nil {
		c.evaluate(groups, a)
	} else {
		c.byPolicy(groups, a)
	}
	c.reasons(a, errors, unread)
	switch {
	case len(a.Denied) > 0:
		a.Verdict = NotReady
	case len(a.Reasons) > 0:
		a.Verdict = CannotSay
	}
	return a
}

// reasons collects what keeps a from being sure.
func (c *hostCheck) reasons(a *Answer, errors []error, unread *tally.Unread) {
	add := func(when bool, key, format string, args ...any) {
		if when {
			a.Reasons = append(a.Reasons, Reason{key, fmt.Sprintf(format, args...)})
		}
	}
	inForce := c.Candidate == nil
	nothing := c.accesses == 0 && (c.current.Name == nil || a.Observed.total() == 0 || !inForce)
	add(c.noPolicy && inForce, "no_policy", "no policy is in force: IPE judges nothing, and records nothing")
	add(nothing, "nothing_observed", "nothing was observed: no access, and no time in which a policy is known to have been in force")
	add(!nothing && a.Observed.total()*100 < a.Wanted*enough, "not_long_enough",
		"watched for %s in permissive mode and %s enforcing, of the %s asked for%s",
		text.Span(a.Observed.Permissive), text.Span(a.Observed.Enforcing), text.Span(a.Wanted), c.sinceWhen())
	add(c.lost.Events > 0, "lost", "lost: %s", &c.lost)
	if on := c.on; on != nil {
		add(on.Skipped > 0 && c.hole, "skipped", "missing from what was given, by the sequence numbers: %s", text.Count(on.Skipped, "event"))
		add(on.LeftOut > 0 && c.hole, "left_out", "not given to the sink, by its match: %s", text.Count(on.LeftOut, "event"))
		add(on.Shared > 0 && on.Skipped+on.LeftOut == 0, "skipped", "missing by the sequence numbers, of this host or of others that have the same spool: %s", text.Count(on.Shared, "event"))
		add(on.Unnumbered, "too_many_numbers", "there are too many sequence numbers to remember, so nobody knows whether events are missing")
	}
	add(c.unparsed > 0, "unreadable", "could not be read: %s", text.Count(c.unparsed, "record"))
	givenUp := int(c.judged.GivenUp + c.vague.GivenUp)
	add(givenUp > 0, "given_up", "there was no room to remember %s", kinds(givenUp))
	add(unread.Sources() > 0, "unread", "not all that was given could be read: %s", unreadText(unread))
	for _, err := range errors {
		add(true, "source", "%s", err)
	}
	if inForce {
		add(len(a.Unknown) > 0, "other_policy", "denied by rules that do not stand in the policy in force, so that another one judged: %s", kinds(len(a.Unknown)))
		return
	}
	add(c.TooLarge != nil, "too_large", "the kernel does not take the candidate: %v", c.TooLarge)
	add(c.audit.off || c.audit.state != ipe.True, "success_audit",
		"what the policies in force allowed was not recorded all the time, so the candidate could not be asked about it: echo 1 >/sys/kernel/security/ipe/success_audit, and let the daemon run for a while")
	add(c.denied > 0, "not_seen", "denied, so that what would have come of it was not seen: %s", text.Count(c.denied, "access"))
	add(len(a.Unknown) > 0, "unknown_objects", "the answer for %s depends on properties that cannot be found out now", kinds(len(a.Unknown)))
}

// sinceWhen says why the time may be short.
func (c *hostCheck) sinceWhen() string {
	if c.Candidate == nil && c.current.Name != nil {
		if c.noPolicy {
			return ", under the policy that was in force last"
		}
		return ", under the policy that is in force now"
	}
	return ""
}

func unreadText(unread *tally.Unread) string {
	sources := text.Count(unread.Sources(), "source")
	if n := unread.Lines(); n > 0 {
		return text.Count(n, "line") + " of " + sources
	}
	return "something in " + sources
}

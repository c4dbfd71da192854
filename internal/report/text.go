package report

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// minHeight is the fewest lines that a report needs to make sense.
const minHeight = 16

// AppendText appends the report for a person, in about as many lines as
// height, but never fewer than it needs. Nothing in it is cut to a width, and
// nothing that others chose comes out raw.
func (r *Report) AppendText(dst []byte, height int, loc *time.Location) []byte {
	p := page{dst: dst, loc: loc}
	r.head(&p)

	// What is left is shared: two lines a denial, and a third for the timeline
	// where both want more.
	left := max(height, minHeight) - p.lines - 5
	groups := r.groups.List()
	items := r.timeline.items
	forItems := min(len(items), max(left-2*len(groups), left/3))
	forGroups := min(len(groups), max((left-forItems)/2, 1))

	p.line("")
	switch hidden := uint64(len(items)-forItems) + r.timeline.givenUp; {
	case len(items) == 0:
		p.line("TIMELINE: no policy, mode or loss was told of")
	case hidden > 0:
		p.line("TIMELINE, the last %d of %d; all of them with --json", forItems, uint64(forItems)+hidden)
	default:
		p.line("TIMELINE")
	}
	for i := range items[len(items)-forItems:] {
		p.item(&items[len(items)-forItems+i])
	}
	p.line("")
	if len(groups) == 0 {
		p.line("DENIALS: none seen")
		return p.dst
	}
	p.line("DENIALS")
	for _, g := range groups[:forGroups] {
		p.Group(g)
	}
	if hidden := len(groups) - forGroups; hidden > 0 {
		var events uint64
		for _, g := range groups[forGroups:] {
			events += g.Count
		}
		p.line("and %d more with %d events, see --json", hidden, events)
	}
	if r.groups.GivenUp > 0 {
		p.line("and %d more with %d events that there was no room to remember", r.groups.GivenUp, r.groups.GivenUpEvents)
	}
	return p.dst
}

// head writes where the events come from, and what they come to.
func (r *Report) head(p *page) {
	if r.timed {
		p.line("%s: %d events, %s", p.quoted(r.Origin), r.events, p.span(r.first, r.last))
	} else {
		p.line("%s: %d events", p.quoted(r.Origin), r.events)
	}
	p.line("in force: %s", r.inForceText(p))
	unknown := ""
	if n := r.verdicts[ipe.VerdictUnknown]; n > 0 {
		unknown = fmt.Sprintf("%d denied in an unknown mode, ", n)
	}
	p.line("accesses: %d denied, %d would be denied, %s%d allowed and recorded",
		r.verdicts[ipe.VerdictDenied], r.verdicts[ipe.VerdictWouldDeny], unknown, r.verdicts[ipe.VerdictAllowed])
	if r.lost.events > 0 {
		p.line("LOST: %s; what happened in these, nobody knows", r.lost.text())
	}
	if r.skipped > 0 {
		p.line("LEFT OUT: %d events that are not in these files, by their numbers", r.skipped)
	}
	if r.unparsed > 0 {
		p.line("UNREADABLE: %d records", r.unparsed)
	}
	if r.forged > 0 {
		p.line("FORGED: %d messages that the kernel did not send", r.forged)
	}
}

func (l *loss) text() string {
	switch {
	case l.accuracy == ipe.AccuracyUnknown && l.count > 0:
		return fmt.Sprintf("%d records, and more whose number is not known", l.count)
	case l.accuracy == ipe.AccuracyUnknown:
		return "records whose number is not known"
	case l.accuracy == ipe.AccuracyAtLeast:
		return fmt.Sprintf("at least %d records", l.count)
	}
	return fmt.Sprintf("%d records", l.count)
}

func (r *Report) inForceText(p *page) string {
	s := &r.inForce
	text := "policy not known"
	switch {
	case s.Known && s.Active:
		text = "policy " + p.Policy(&s.Policy)
	case s.Known:
		text = "no policy"
	}
	if r.dated {
		text += " since " + p.second(r.changed)
	}
	switch s.Enforcing {
	case ipe.True:
		return text + ", enforcing"
	case ipe.False:
		return text + ", permissive"
	}
	return text + ", mode not known"
}

// page puts together lines for a person.
type page struct {
	dst   []byte
	lines int
	loc   *time.Location
}

func (p *page) line(text string, args ...any) {
	p.dst = append(fmt.Appendf(p.dst, text, args...), '\n')
	p.lines++
}

// item writes an entry of the timeline as the text form of its event.
func (p *page) item(it *item) {
	p.dst = format.AppendText(append(p.dst, ' ', ' '), &it.event, &format.Context{})
	if it.times > 1 {
		p.dst = append(p.dst[:len(p.dst)-1], " ("...)
		p.dst = strconv.AppendUint(p.dst, it.times, 10)
		p.dst = append(p.dst, " times"...)
		if it.event.Has&ipe.HasStamp != 0 {
			p.dst = append(p.dst, ", the last "+p.second(it.last)...)
		}
		p.dst = append(p.dst, ")\n"...)
	}
	p.lines++
}

// Group writes a group in two lines.
func (p *page) Group(g *Group) {
	ev := &g.Event
	p.line("%8d  %-10s %s %s %s", g.Count, verdictText(ev.Verdict), p.name(ev.Op), p.name(ev.Hook), p.object(ev))
	text := "by " + p.callers(g)
	if g.Timed {
		text = p.span(g.First, g.Last) + " " + text
	}
	if ev.Rule != nil {
		text += "; rule " + string(format.AppendEscaped(nil, ev.Rule))
	}
	if ev.ActivePolicy.Known() {
		text += " of " + p.nameVersion(&ev.ActivePolicy)
	} else {
		text += " of a policy not known"
	}
	p.line("          %s", text)
}

func verdictText(v ipe.Verdict) string {
	switch v {
	case ipe.VerdictDenied:
		return "DENIED"
	case ipe.VerdictWouldDeny:
		return "WOULD DENY"
	case ipe.VerdictAllowed:
		return "ALLOWED"
	}
	return "UNKNOWN"
}

// object names what was accessed.
func (p *page) object(ev *ipe.Event) string {
	text := "anonymous memory"
	switch {
	case ev.Path != nil:
		text = p.name(ev.Path)
	case ev.Dev != nil || ev.Has&ipe.HasIno != 0:
		text = "file of unknown path"
	case string(ev.Hook) == "KERNEL_LOAD":
		text = "data without a file"
	}
	if ev.Dev != nil {
		text += " dev=" + p.name(ev.Dev)
	}
	if ev.Has&ipe.HasIno != 0 {
		text += " ino=" + strconv.FormatUint(ev.Ino, 10)
	}
	return text
}

// shownCallers is how many commands a line names.
const shownCallers = 3

func (p *page) callers(g *Group) string {
	callers, others := g.Callers()
	text := ""
	for i, c := range callers {
		if i == shownCallers {
			return text + fmt.Sprintf(" and %d more", len(callers)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += p.name(c.Comm)
	}
	switch {
	case text == "":
		return "an unknown command"
	case others > 0:
		return text + " and others"
	}
	return text
}

// nameVersion names a policy.
func (p *page) nameVersion(pol *ipe.Policy) string {
	text := p.name(pol.Name)
	if pol.Version != nil {
		text += " " + p.name(pol.Version)
	}
	return text
}

// Policy names a policy, with as much of its digest as tells it from others.
func (p *page) Policy(pol *ipe.Policy) string {
	text := p.nameVersion(pol)
	switch digest := p.name(pol.Digest); {
	case inforce.BuiltIn(pol):
		text += " (built into the kernel)"
	case len(digest) > 19 && utf8.RuneStart(digest[19]):
		text += " (" + digest[:19] + "…)"
	case pol.Digest != nil:
		text += " (" + digest + ")"
	}
	return text
}

// name returns a string from the outside.
func (p *page) name(b []byte) string {
	if b == nil {
		return "?"
	}
	return string(format.AppendQuoted(nil, b))
}

func (p *page) quoted(s string) string { return string(format.AppendEscaped(nil, []byte(s))) }

// second returns a time that a person compares with the clock on the wall.
func (p *page) second(ms int64) string {
	return time.UnixMilli(ms).In(p.loc).Format(time.DateTime)
}

// span returns two times, without what the second repeats.
func (p *page) span(first, last int64) string {
	from, to := p.second(first), p.second(last)
	switch {
	case from == to:
		return from
	case from[:len(time.DateOnly)] == to[:len(time.DateOnly)]:
		to = to[len(time.DateOnly)+1:]
	}
	return from + " to " + to
}

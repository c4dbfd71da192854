package report

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// minHeight is the fewest lines that a report needs to make sense.
const minHeight = 16

// AppendText appends the report for a person, in about as many lines as
// height, but never fewer than it needs. Nothing in it is cut to a width, and
// nothing that others chose comes out raw.
func (r *Report) AppendText(dst []byte, height int, loc *time.Location) []byte {
	p := NewPage(dst, loc)
	r.head(p)

	// What is left is shared: two lines a denial, and a third for the timeline
	// where both want more.
	left := max(height, minHeight) - p.lines - 5
	groups := r.groups.List()
	items := r.timeline.items
	forItems := min(len(items), max(left-2*len(groups), left/3))
	forGroups := min(len(groups), max((left-forItems)/2, 1))

	p.Line("")
	switch hidden := uint64(len(items)-forItems) + r.timeline.givenUp; {
	case len(items) == 0:
		p.Line("TIMELINE: no policy, mode or loss was told of")
	case hidden > 0:
		p.Line("TIMELINE, the last %d of %d; all of them with --json", forItems, uint64(forItems)+hidden)
	default:
		p.Line("TIMELINE")
	}
	for i := range items[len(items)-forItems:] {
		p.item(&items[len(items)-forItems+i])
	}
	p.Line("")
	if len(groups) == 0 {
		p.Line("DENIALS: none seen")
		return p.text
	}
	p.Line("DENIALS")
	for _, g := range groups[:forGroups] {
		p.Group(g, VerdictText(g.Event.Verdict), p.Judge(&g.Event))
	}
	if hidden := len(groups) - forGroups; hidden > 0 {
		var events uint64
		for _, g := range groups[forGroups:] {
			events += g.Count
		}
		p.Line("and %d more with %s, see --json", hidden, some(events, "event"))
	}
	if r.groups.GivenUp > 0 {
		p.Line("and %d more with %s that there was no room to remember", r.groups.GivenUp, some(r.groups.GivenUpEvents, "event"))
	}
	return p.text
}

// head writes where the events come from, and what they come to.
func (r *Report) head(p *Page) {
	if r.timed {
		p.Line("%s: %s, %s", p.Quoted(r.Origin), some(r.events, "event"), p.Span(r.first, r.last))
	} else {
		p.Line("%s: %s", p.Quoted(r.Origin), some(r.events, "event"))
	}
	p.Line("in force: %s", r.inForceText(p))
	unknown := ""
	if n := r.verdicts[ipe.VerdictUnknown]; n > 0 {
		unknown = fmt.Sprintf("%d denied in an unknown mode, ", n)
	}
	p.Line("accesses: %d denied, %d would be denied, %s%d allowed and recorded",
		r.verdicts[ipe.VerdictDenied], r.verdicts[ipe.VerdictWouldDeny], unknown, r.verdicts[ipe.VerdictAllowed])
	if r.lost.events > 0 {
		p.Line("LOST: %s; what happened in these, nobody knows", r.lost.text())
	}
	if r.skipped > 0 {
		p.Line("LEFT OUT: %s by the sequence numbers", some(uint64(r.skipped), "event"))
	}
	if r.unparsed > 0 {
		p.Line("UNREADABLE: %s", some(r.unparsed, "record"))
	}
	if r.forged > 0 {
		p.Line("FORGED: %s that the kernel did not send", some(r.forged, "message"))
	}
}

func (l *loss) text() string {
	switch {
	case l.accuracy == ipe.AccuracyUnknown && l.count > 0:
		return some(l.count, "record") + ", and more whose number is not known"
	case l.accuracy == ipe.AccuracyUnknown:
		return "records whose number is not known"
	case l.accuracy == ipe.AccuracyAtLeast:
		return "at least " + some(l.count, "record")
	}
	return some(l.count, "record")
}

func (r *Report) inForceText(p *Page) string {
	s := &r.inForce
	text := "policy not known"
	switch {
	case s.Known && s.Active:
		text = "policy " + p.Policy(&s.Policy)
	case s.Known:
		text = "no policy"
	}
	if r.dated {
		text += " since " + p.Second(r.changed)
	}
	switch s.Enforcing {
	case ipe.True:
		return text + ", enforcing"
	case ipe.False:
		return text + ", permissive"
	}
	return text + ", mode not known"
}

// item writes an entry of the timeline as the text form of its event.
func (p *Page) item(it *item) {
	p.text = format.AppendText(append(p.text, ' ', ' '), &it.event, &format.Context{})
	if it.times > 1 {
		p.text = append(p.text[:len(p.text)-1], " ("...)
		p.text = strconv.AppendUint(p.text, it.times, 10)
		p.text = append(p.text, " times"...)
		if it.event.Has&ipe.HasStamp != 0 {
			p.text = append(p.text, ", the last "+p.Second(it.last)...)
		}
		p.text = append(p.text, ")\n"...)
	}
	p.lines++
}

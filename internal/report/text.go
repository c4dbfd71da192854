package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// minHeight is the fewest lines that a report needs to make sense.
const minHeight = 16

// WriteTo writes the report for a person, in about as many lines as the page is high,
// but never fewer than it needs. Sums and rules go on in the next line where the page
// is narrow. Nothing that others chose comes out raw.
func (r *Report) WriteTo(p *text.Page) {
	r.endHost()
	groups := r.groups.List()
	fresh := 0
	if r.NewSince != 0 {
		fresh = r.known.mark(groups, r.NewSince)
	}
	r.head(p)
	if r.NewSince != 0 {
		p.Line("new since %s: %s", p.Time(r.NewSince), text.Count(fresh, "kind of denial", "kinds of denials"))
		if r.known.full {
			p.Line("NOT KNOWN: of some denials, whether they are new, because there are too many objects to remember")
		}
	}

	// What is left is shared: some lines a denial, and a third for the timeline where
	// both want more.
	height := max(p.Height, minHeight)
	if r.All {
		height = math.MaxInt
	}
	left := height - p.Lines() - 5
	items := r.timeline.list()
	forItems := min(len(items), max(left-linesOf(p)*len(groups), left/3))
	if p.Narrow() && !r.All {
		forItems = min(forItems, max(left/3/linesOf(p), 1))
	}
	p.Line("")
	switch hidden := uint64(len(items)-forItems) + r.timeline.givenUp; {
	case len(items) == 0:
		p.Line("TIMELINE: no policy, mode or loss was told of")
	case hidden > 0:
		p.Line("TIMELINE, the last %d of %d; all of them with --all", forItems, uint64(forItems)+hidden)
	default:
		p.Line("TIMELINE")
	}
	for i := range items[len(items)-forItems:] {
		items[len(items)-forItems+i].writeTo(p, r.hosts.n > 1)
	}
	p.Line("")
	if len(groups) == 0 {
		if r.failed > 0 {
			p.Line("DENIALS: none in what could be read")
		} else {
			p.Line("DENIALS: none seen")
		}
		return
	}
	if r.By != "" {
		r.sums(p, height-1)
		return
	}
	p.Line("DENIALS")
	shown := r.list(p, height-1, len(groups), func(i int) {
		r.own(groups[i])
		groups[i].WriteTo(p, text.Verdict(groups[i].Event.Verdict), tally.Judge(&groups[i].Event))
	})
	if hidden := len(groups) - shown; hidden > 0 {
		var events uint64
		for _, g := range groups[shown:] {
			events = eventsource.Sum(events, g.Count)
		}
		p.Line("and %d more with %s, see --all", hidden, text.Count(events, "event"))
	}
	if r.groups.GivenUp > 0 {
		p.Line("and %d more with %s that there was no room to remember", r.groups.GivenUp, text.Count(r.groups.GivenUpEvents, "event"))
	}
}

// linesOf returns about how many lines a denial takes.
func linesOf(p *text.Page) int {
	if p.Narrow() {
		return 5
	}
	return 3
}

// list writes as many of n things as are asked for, or as there is room for up to a
// line, but at least one. It returns how many.
func (r *Report) list(p *text.Page, most, n int, write func(i int)) int {
	for i := range n {
		switch {
		case r.Limit > 0 && i == r.Limit:
			return i
		case r.Limit > 0 || r.All || i == 0:
			write(i)
		case !p.Try(most, func() { write(i) }):
			return i
		}
	}
	return n
}

// sums writes the denials by a dimension.
func (r *Report) sums(p *text.Page, most int) {
	list := r.by.List()
	p.Line("DENIALS BY %s", strings.ToUpper(r.By))
	shown := r.list(p, most, len(list), func(i int) { list[i].WriteTo(p, r.By) })
	if hidden := len(list) - shown; hidden > 0 {
		var events uint64
		for _, s := range list[shown:] {
			events = eventsource.Sum(events, s.Count())
		}
		p.Line("and %d more with %s, see --all", hidden, text.Count(events, "event"))
	}
	if r.by.GivenUp > 0 {
		p.Line("and %d more with %s that there was no room to remember", r.by.GivenUp, text.Count(r.by.GivenUpEvents, "event"))
	}
}

// head writes where the events come from, and what they come to.
func (r *Report) head(p *text.Page) {
	t := &r.total
	line := text.Printable(r.Origin) + ": " + text.Count(t.events, "event")
	if r.hosts.n > 1 {
		line += " of " + text.Count(r.hosts.n, "host")
	}
	if t.timed {
		line += ", " + p.Time(t.first) + " to " + p.Time(t.last)
	}
	p.Line("%s", line)
	if r.hosts.n > 1 {
		r.hostLines(p)
	} else {
		p.Line("in force: %s", r.hosts.last.inForceText(p))
	}
	unknown := ""
	if n := t.verdicts[ipe.VerdictUnknown]; n > 0 {
		unknown = fmt.Sprintf("%d denied in an unknown mode, ", n)
	}
	p.Line("accesses: %d denied, %d would be denied, %s%d allowed and recorded",
		t.verdicts[ipe.VerdictDenied], t.verdicts[ipe.VerdictWouldDeny], unknown, t.verdicts[ipe.VerdictAllowed])
	for _, line := range r.missing() {
		p.Line("%s", line)
	}
	for _, line := range r.remarks() {
		p.Line("%s", line)
	}
}

// missing says what is not in the report, or should not have been in the input.
func (r *Report) missing() (lines []string) {
	t := &r.total
	add := func(line string, args ...any) { lines = append(lines, fmt.Sprintf(line, args...)) }
	if t.lost.Events > 0 {
		add("LOST: %s; nobody knows what was in them", &t.lost)
	}
	if r.skipped > 0 {
		add("MISSING: %s, by the sequence numbers", text.Count(r.skipped, "event"))
	}
	if r.unnumbered {
		add("NOT KNOWN: whether any event is missing, because there are too many sequence numbers to remember")
	}
	if t.unparsed > 0 {
		add("UNREADABLE: %s", text.Count(t.unparsed, "record"))
	}
	if r.failed > 0 {
		line := "UNREAD: part of " + text.Count(r.failed, "source")
		if n := r.Unread.Lines(); n > 0 {
			line += ", " + text.Count(n, "line")
		}
		add("%s", line)
	}
	if t.forged > 0 {
		add("FORGED: %s that the kernel did not send", text.Count(t.forged, "message"))
	}
	return lines
}

// remarks says what was left out on purpose.
func (r *Report) remarks() (lines []string) {
	if r.leftOut > 0 {
		lines = append(lines, "not given to the sink, by its match: "+text.Count(r.leftOut, "event"))
	}
	if r.repeats > 0 {
		lines = append(lines, "there more than once, and counted once: "+text.Count(r.repeats, "event"))
	}
	return lines
}

func (h *hostState) inForceText(p *text.Page) string {
	if h.noIPE {
		return "nothing, this kernel has no IPE"
	}
	since := ""
	if h.dated {
		since = " since " + p.Time(h.changed)
	}
	return policyInForce(&h.inForce) + since + ", " + modeText(h.inForce.Enforcing)
}

// inForce says which policy is in force in which mode.
func inForce(s *activepolicy.State) string {
	return policyInForce(s) + ", " + modeText(s.Enforcing)
}

func policyInForce(s *activepolicy.State) string {
	switch {
	case s.Known && s.Active:
		return "policy " + text.PolicyInFull(&s.Policy)
	case s.Known:
		return "no policy"
	}
	return "policy not known"
}

func modeText(enforcing ipe.Bool) string {
	switch enforcing {
	case ipe.True:
		return "enforcing"
	case ipe.False:
		return "permissive"
	}
	return "mode not known"
}

// writeTo writes an entry of the timeline as the text form of its event, named with
// the host before it.
func (it *item) writeTo(p *text.Page, named bool) {
	line := []byte("  ")
	if named {
		line = append(line, text.Host(it.host)+": "...)
	}
	line = format.AppendText(line, &it.event, &format.Context{Zone: p.Zone})
	line = append(line[:len(line)-1], it.repeated(p)...)
	id := format.Identity{Spool: uint64(it.at.ID), Seq: it.at.Seq}
	p.Cut(string(line), id.AppendID(nil, &it.event))
}

// own asks of which package the object is.
func (r *Report) own(g *tally.Group) {
	if r.Package != nil && g.Package == "" && !g.Contained {
		g.Package = text.Printable(r.Package(string(g.Event.Path)))
	}
}

// repeated says how often it happened, if more than once.
func (it *item) repeated(p *text.Page) string {
	switch {
	case it.times < 2:
		return ""
	case it.event.Has&ipe.HasStamp == 0:
		return " (" + text.Times(it.times) + ")"
	}
	return " (" + text.Times(it.times) + ", the last " + p.Time(it.last) + ")"
}

package report

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Page puts together lines for a person. Nothing that others chose comes out of
// its methods raw.
type Page struct {
	text  []byte
	lines int
	loc   *time.Location
}

// NewPage returns a page that appends to dst, with times of loc.
func NewPage(dst []byte, loc *time.Location) *Page { return &Page{text: dst, loc: loc} }

// Bytes returns what was given to NewPage and all lines.
func (p *Page) Bytes() []byte { return p.text }

// Lines returns how many lines there are.
func (p *Page) Lines() int { return p.lines }

// Line adds a line. The arguments are of ours, or from the other methods.
func (p *Page) Line(text string, args ...any) {
	p.text = append(fmt.Appendf(p.text, text, args...), '\n')
	p.lines++
}

// Group writes a group in two lines: verdict says what became of it, by who
// decided that.
func (p *Page) Group(g *Group, verdict, by string) {
	ev := &g.Event
	p.Line("%8d  %-10s %s %s %s", g.Count, verdict, p.Name(ev.Op), p.Name(ev.Hook), p.Object(ev))
	when := ""
	if g.Timed {
		when = p.Span(g.First, g.Last) + " "
	}
	on := ""
	if g.Hosts > 1 {
		on = fmt.Sprintf("on %d hosts ", g.Hosts)
	}
	p.Line("          %s%sby %s; %s", when, on, p.callers(g), by)
}

// Judge names the rule that decided about ev, and its policy.
func (p *Page) Judge(ev *ipe.Event) string {
	text := "policy"
	if ev.Rule != nil {
		text = "rule " + string(format.AppendEscaped(nil, ev.Rule)) + " of"
	}
	if !ev.ActivePolicy.Known() {
		return text + " a policy not known"
	}
	return text + " " + p.nameVersion(&ev.ActivePolicy)
}

// VerdictText returns a verdict as the text form of events has it.
func VerdictText(v ipe.Verdict) string {
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

// some returns n things in words.
func some(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Object names what was accessed.
func (p *Page) Object(ev *ipe.Event) string {
	text := ev.Object().String()
	if ev.Path != nil {
		text = p.Name(ev.Path)
	}
	if ev.Dev != nil {
		text += " dev=" + p.Name(ev.Dev)
	}
	if ev.Has&ipe.HasIno != 0 {
		text += " ino=" + strconv.FormatUint(ev.Ino, 10)
	}
	return text
}

// shownCallers is how many commands a line names.
const shownCallers = 3

func (p *Page) callers(g *Group) string {
	callers, others := g.Callers()
	text := ""
	for i, c := range callers {
		if i == shownCallers {
			return text + fmt.Sprintf(" and %d more", len(callers)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += p.Name(c.Comm)
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
func (p *Page) nameVersion(pol *ipe.Policy) string {
	text := p.Name(pol.Name)
	if pol.Version != nil {
		text += " " + p.Name(pol.Version)
	}
	return text
}

// Policy names a policy, with as much of its digest as tells it from others.
func (p *Page) Policy(pol *ipe.Policy) string {
	text := p.nameVersion(pol)
	switch digest := p.Name(pol.Digest); {
	case activepolicy.BuiltIn(pol):
		text += " (built into the kernel)"
	case len(digest) > 19 && utf8.RuneStart(digest[19]):
		text += " (" + digest[:19] + "…)"
	case pol.Digest != nil:
		text += " (" + digest + ")"
	}
	return text
}

// Name returns a string from the outside, "?" for none.
func (p *Page) Name(b []byte) string {
	if b == nil {
		return "?"
	}
	return string(format.AppendQuoted(nil, b))
}

// Quoted returns a string of the user's, such as the name of a file.
func (p *Page) Quoted(s string) string { return string(format.AppendEscaped(nil, []byte(s))) }

// Second returns a time that a person compares with the clock on the wall.
func (p *Page) Second(ms int64) string {
	return time.UnixMilli(ms).In(p.loc).Format(time.DateTime)
}

// Span returns two times, without what the second repeats.
func (p *Page) Span(first, last int64) string {
	from, to := p.Second(first), p.Second(last)
	switch {
	case from == to:
		return from
	case from[:len(time.DateOnly)] == to[:len(time.DateOnly)]:
		to = to[len(time.DateOnly)+1:]
	}
	return from + " to " + to
}

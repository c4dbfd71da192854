package tally

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// WriteTo writes the group in two lines: verdict says what became of it, by who
// decided that.
func (g *Group) WriteTo(p *text.Page, verdict, by string) {
	ev := &g.Event
	p.Line("%8d  %-10s %s %s %s", g.Count, verdict, text.Name(ev.Op), text.Name(ev.Hook), text.Object(ev))
	when := ""
	if g.Timed {
		when = p.Interval(g.First, g.Last) + " "
	}
	on := ""
	if g.Hosts > 1 {
		on = fmt.Sprintf("on %d hosts ", g.Hosts)
	}
	p.Line("          %s%sby %s; %s", when, on, g.commands(), by)
}

// Judge names the rule that decided about ev, and its policy.
func Judge(ev *ipe.Event) string {
	by := "policy"
	if ev.Rule != nil {
		by = "rule " + string(text.AppendEscaped(nil, ev.Rule)) + " of"
	}
	if !ev.ActivePolicy.Known() {
		return by + " a policy not known"
	}
	return by + " " + text.Policy(&ev.ActivePolicy)
}

// shownCallers is how many commands a line names.
const shownCallers = 3

// commands names who did it.
func (g *Group) commands() string {
	callers, others := g.Callers()
	var names []string
	for _, c := range callers {
		names = append(names, text.Name(c.Comm))
	}
	list := text.List(names, shownCallers, len(names))
	switch {
	case list == "":
		return "an unknown command"
	case others > 0 && len(names) <= shownCallers:
		return list + " and others"
	}
	return list
}

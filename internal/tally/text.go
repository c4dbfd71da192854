package tally

import (
	"fmt"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// WriteTo writes the group: verdict says what became of it, by who decided that.
func (g *Group) WriteTo(p *text.Page, verdict, by string) {
	ev := &g.Event
	mark := ""
	if g.New {
		mark = "NEW "
	}
	p.Line("%8d  %-10s %s%s %s %s", g.Count, verdict, mark, text.Name(ev.Op), text.Name(ev.Hook), text.Object(ev))
	p.Line("          %s", by)
	line := ""
	if g.Timed {
		line = p.Seen(g.First, g.Last) + " "
	}
	if g.Hosts > 1 {
		line += fmt.Sprintf("on %d hosts ", g.Hosts)
	}
	who := Callers{g.Comms, g.Units, g.Users}
	line += "by " + who.String(p)
	if g.Package != "" {
		line += "; of package " + g.Package
	}
	p.Line("          %s%s", line, p.ID(g.last.appendID(nil)))
}

// Judge names the rule that decided about ev, and its policy.
func Judge(ev *ipe.Event) string {
	by := "policy"
	if ev.Rule != nil {
		by = "rule " + string(text.AppendEscaped(nil, ev.Rule)) + " of"
	}
	if !ev.ActivePolicy.Known() {
		return strings.TrimSuffix(by, " of") + " (policy unknown: its activation was not seen)"
	}
	return by + " " + text.Policy(&ev.ActivePolicy)
}

// shownNames is how many names of a kind a line has.
const shownNames = 3

// text names the first of the names, otherwise where there are none.
func (n *Names) text(name func([]byte) string, otherwise string) string {
	list, others := n.List()
	var names []string
	for _, e := range list {
		names = append(names, name(e.Name))
	}
	switch {
	case len(names) == 0:
		return otherwise
	case others > 0 && len(names) <= shownNames:
		return text.List(names, shownNames, len(names)) + " and others"
	}
	return text.List(names, shownNames, len(names))
}

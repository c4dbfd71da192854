package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/htmlreport"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of a page, which a browser is to open at once.
const (
	pageDenials = 500
	pageTop     = 10
)

// Explained is what is said of a denial on a page.
type Explained struct {
	Why   []string // sentences
	Allow string   // a rule that would allow it
	Note  string   // where it has to stand, or why there is none
}

// Page returns the report as a page of HTML shows it. explain is asked for each
// kind of denial that is shown. p says how users and times are named.
func (r *Report) Page(p *text.Page, explain func(*ipe.Event) Explained) *htmlreport.Data {
	r.endHost()
	t := &r.total
	d := &htmlreport.Data{
		Source: text.Printable(r.Origin), Events: t.events, Hosts: r.hosts.n,
		Warnings: r.missing(), Notes: r.remarks(),
	}
	if t.timed {
		d.First, d.Last = time.UnixMilli(t.first), time.UnixMilli(t.last)
	}
	if r.Since != 0 {
		d.Since = time.UnixMilli(r.Since)
	}
	for i, v := range pageVerdicts {
		d.Verdicts = append(d.Verdicts, htmlreport.Count{Label: pageWords[i], Class: htmlreport.VerdictClasses[i], N: t.verdicts[v]})
	}
	d.InForce = r.pageStates()
	d.Histogram = r.pageHistogram()
	if r.hosts.n == 1 {
		d.Policies = r.spans.page(r.Since)
	}
	r.pageTimeline(d, p)
	r.pageDenials(d, p, explain)
	return d
}

// pageVerdicts are the verdicts in the order of htmlreport.VerdictClasses.
var pageVerdicts = [...]ipe.Verdict{ipe.VerdictDenied, ipe.VerdictWouldDeny, ipe.VerdictUnknown, ipe.VerdictAllowed}

var pageWords = [...]string{"denied", "would be denied", "denied, mode unknown", "allowed and recorded"}

func (r *Report) pageStates() []htmlreport.State {
	var list []htmlreport.State
	for _, g := range r.hosts.groups() {
		s := htmlreport.State{Policy: stateName(&g.inForce), Mode: modeText(g.inForce.Enforcing), Hosts: g.hosts}
		if g.inForce.Known && g.inForce.Active {
			s.Digest = string(text.AppendEscaped(nil, g.inForce.Policy.Digest))
		}
		if r.hosts.n == 1 && r.hosts.last.dated {
			s.Since = time.UnixMilli(r.hosts.last.changed)
		}
		s.Names = g.names
		list = append(list, s)
	}
	return list
}

// stateName names the policy in force.
func stateName(s *activepolicy.State) string {
	switch {
	case s.Known && s.Active:
		return text.Policy(&s.Policy)
	case s.Known:
		return "no policy"
	}
	return "policy not known"
}

func (r *Report) pageHistogram() htmlreport.Histogram {
	bins := r.histogram.list()
	if len(bins) == 0 {
		return htmlreport.Histogram{}
	}
	width := r.histogram.width
	first, last := bins[0].from, bins[len(bins)-1].from
	h := htmlreport.Histogram{Start: time.UnixMilli(first), Width: time.Duration(width) * time.Millisecond}
	h.Bins = make([][len(htmlreport.VerdictClasses)]uint64, (last-first)/width+1)
	for _, b := range bins {
		for i, v := range pageVerdicts {
			h.Bins[(b.from-first)/width][i] = b.verdicts[v]
		}
	}
	return h
}

// pageTimeline fills in what happened to policies, modes and the stream.
func (r *Report) pageTimeline(d *htmlreport.Data, p *text.Page) {
	items := r.timeline.list()
	for i := range items {
		it := &items[i]
		e := htmlreport.Entry{
			Text: string(format.AppendMessage(nil, &it.event, &format.Context{Zone: p.Zone})) + it.repeated(p),
			Host: text.Host(it.host), Loss: it.event.IsLoss(),
		}
		if it.event.Has&ipe.HasStamp != 0 {
			e.Time = time.UnixMilli(it.event.Time)
		}
		d.Timeline = append(d.Timeline, e)
		if !e.Loss || e.Time.IsZero() {
			continue
		}
		g := htmlreport.Gap{From: e.Time, Until: e.Time, Text: e.Text, Host: e.Host}
		if it.event.Has&ipe.HasSince != 0 {
			g.From = time.UnixMilli(it.event.Since)
		}
		if it.event.Has&ipe.HasUntil != 0 {
			g.Until = time.UnixMilli(it.event.Until)
		}
		if it.times > 1 {
			g.Until = time.UnixMilli(max(g.Until.UnixMilli(), it.last))
		}
		d.Gaps = append(d.Gaps, g)
	}
	if n := r.timeline.givenUp; n > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("The timeline has no room for %s older than these.", text.Count(n, "event")))
	}
}

// pageDenials fills in the kinds of denials, and what is most frequent in them.
func (r *Report) pageDenials(d *htmlreport.Data, p *text.Page, explain func(*ipe.Event) Explained) {
	groups := r.groups.List()
	if r.NewSince != 0 {
		r.known.mark(groups, r.NewSince)
	}
	tops := [...]struct {
		title string
		of    func(*tally.Group) string
		n     map[string]uint64
	}{
		{title: "Objects", of: func(g *tally.Group) string { return text.Object(&g.Event) }},
		{title: "Rules", of: func(g *tally.Group) string { return tally.Judge(&g.Event) }},
	}
	for i := range tops {
		top := &tops[i]
		top.n = make(map[string]uint64)
		for _, g := range groups {
			name := top.of(g)
			top.n[name] = eventsource.Sum(top.n[name], g.Count)
		}
		d.Tops = appendTop(d.Tops, top.title, top.n, 0)
	}
	name := func(b []byte) string { return text.Name(b) }
	for _, who := range [...]struct {
		title string
		of    func(*tally.Group) *tally.Names
		name  func([]byte) string
	}{
		{"Units", func(g *tally.Group) *tally.Names { return &g.Units }, name},
		{"Users", func(g *tally.Group) *tally.Names { return &g.Users }, p.UserName},
		{"Commands", func(g *tally.Group) *tally.Names { return &g.Comms }, name},
	} {
		counts, rest := make(map[string]uint64), uint64(0)
		for _, g := range groups {
			list, others := who.of(g).List()
			for _, n := range list {
				counts[who.name(n.Name)] = eventsource.Sum(counts[who.name(n.Name)], n.Count)
			}
			rest = eventsource.Sum(rest, others)
		}
		d.Tops = appendTop(d.Tops, who.title, counts, rest)
	}
	if r.hosts.n > 1 {
		t := htmlreport.Top{Title: "Hosts", Rest: r.hosts.otherDenials}
		for _, h := range r.hosts.worst {
			t.Items = append(t.Items, htmlreport.Count{Label: h.name, N: h.denials})
		}
		d.Tops = append(d.Tops, t)
	}
	if len(groups) > pageDenials {
		d.Notes = append(d.Notes, fmt.Sprintf("Of %d kinds of denials the worst %d are shown; report --json has all.", len(groups), pageDenials))
		groups = groups[:pageDenials]
	}
	if n := r.groups.GivenUp; n > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s with %s are not here: there was no room to remember them.", text.Count(n, "kind of denial", "kinds of denials"), text.Count(r.groups.GivenUpEvents, "event")))
	}
	for _, g := range groups {
		r.own(g)
		d.Denials = append(d.Denials, pageDenial(p, g, explain))
	}
}

func pageDenial(p *text.Page, g *tally.Group, explain func(*ipe.Event) Explained) htmlreport.Denial {
	ev := &g.Event
	var who tally.Callers
	who.Join(g)
	h := htmlreport.Denial{
		Count: g.Count, Hosts: g.Hosts, New: g.New,
		Op: text.Name(ev.Op), Hook: text.Name(ev.Hook), Object: text.Object(ev),
		Rule: string(text.AppendEscaped(nil, ev.Rule)), Who: who.String(p),
	}
	if i := slices.Index(pageVerdicts[:], ev.Verdict); i >= 0 {
		h.Verdict = htmlreport.VerdictClasses[i]
	}
	if g.Package != "" {
		h.Object += ", of package " + g.Package
	}
	if g.Timed {
		h.First, h.Last = time.UnixMilli(g.First), time.UnixMilli(g.Last)
	}
	if ev.ActivePolicy.Known() {
		h.Policy = text.Policy(&ev.ActivePolicy)
	}
	sample := g.Sample()
	x := explain(&sample)
	h.Explanation, h.Allow, h.AllowNote = x.Why, x.Allow, x.Note
	return h
}

// appendTop appends the most frequent of names.
func appendTop(list []htmlreport.Top, title string, names map[string]uint64, rest uint64) []htmlreport.Top {
	t := htmlreport.Top{Title: title, Rest: rest}
	for name, n := range names {
		t.Items = append(t.Items, htmlreport.Count{Label: name, N: n})
	}
	if len(t.Items) == 0 {
		return list
	}
	slices.SortFunc(t.Items, func(a, b htmlreport.Count) int {
		if a.N != b.N {
			if a.N > b.N {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Label, b.Label)
	})
	for _, c := range t.Items[min(pageTop, len(t.Items)):] {
		t.Rest = eventsource.Sum(t.Rest, c.N)
	}
	t.Items = t.Items[:min(pageTop, len(t.Items))]
	return append(list, t)
}

// spans are the times in which one policy was in force in one mode, of one host.
type spans []span

type span struct {
	from, until int64
	inForce     activepolicy.State
	bootID      []byte
}

// maxSpans bounds the spans; the oldest are given up.
const maxSpans = 1000

// observe takes the next event of the host.
func (s *spans) observe(ev *eventsource.Event) {
	if ev.Has&ipe.HasStamp == 0 {
		return
	}
	if n := len(*s); n > 0 {
		last := &(*s)[n-1]
		is, was := &ev.InForce, &last.inForce
		last.until = max(last.until, ev.Time)
		if is.Known == was.Known && is.Active == was.Active && is.Enforcing == was.Enforcing &&
			is.Policy.Equal(&was.Policy) && bytes.Equal(ev.BootID, last.bootID) {
			return
		}
	}
	if len(*s) >= maxSpans {
		*s = slices.Delete(*s, 0, 1)
	}
	in := ev.InForce
	in.Policy = in.Policy.Clone()
	*s = append(*s, span{ev.Time, ev.Time, in, bytes.Clone(ev.BootID)})
}

// page returns the spans from a moment on.
func (s spans) page(since int64) []htmlreport.Span {
	var list []htmlreport.Span
	for _, p := range s {
		if p.until < since {
			continue
		}
		list = append(list, htmlreport.Span{
			From: time.UnixMilli(max(p.from, since)), Until: time.UnixMilli(p.until),
			Policy: stateName(&p.inForce), Mode: modeText(p.inForce.Enforcing),
		})
	}
	return list
}

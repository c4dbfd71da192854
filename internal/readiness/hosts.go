package readiness

import (
	"encoding/json"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Check collects what an answer needs, of one host after the other, as package
// eventsource gives them. One goroutine at a time may use it.
type Check struct {
	options Options
	errors  []error
	unread  tally.Unread

	host  *hostCheck // whose events come; nil before the first
	on    *eventsource.Host
	stray *hostCheck // what is of nobody knows which host
	only  *Answer    // of the only host, as long as there is one
	all   merged     // of several
}

// New returns a Check that has seen nothing.
func New(o Options) *Check { return &Check{options: o} }

// Add takes the next event.
func (c *Check) Add(ev *eventsource.Event) {
	if c.host == nil || ev.On != c.on {
		c.endHost()
		c.host, c.on = newHostCheck(&c.options, ev.On), ev.On
	}
	c.host.add(ev)
}

// Fail takes an error that ended a source too early.
func (c *Check) Fail(err error) {
	if !c.unread.Fail(err) {
		c.errors = append(c.errors, err)
	}
}

// endHost puts the host whose events came to the others.
func (c *Check) endHost() {
	h := c.host
	if h == nil {
		return
	}
	c.host = nil
	if c.on != nil && c.on.Stray {
		c.stray = h
		return
	}
	a := h.answer(c.errors, &c.unread, c.stray)
	c.all.hosts.add(c.on, a)
	if !c.options.Several {
		c.only = a
		return
	}
	c.all.add(c.on, a)
}

// Answer ends the stream and answers.
func (c *Check) Answer() *Answer {
	c.endHost()
	a := c.only
	switch {
	case c.all.hosts.N == 0:
		a = newHostCheck(&c.options, nil).answer(c.errors, &c.unread, c.stray)
	case c.options.Several:
		a = c.all.answer()
		for _, err := range c.errors {
			if key := "source"; a.Verdict == Ready || !a.has(key) {
				a.Reasons = append(a.Reasons, Reason{key, err.Error()})
			}
		}
		if a.Verdict == Ready && len(a.Reasons) > 0 {
			a.Verdict = CannotSay
		}
	}
	a.Hosts, a.Unread = c.all.hosts, c.unread
	return a
}

func (a *Answer) has(key string) bool {
	for _, r := range a.Reasons {
		if r.Key == key {
			return true
		}
	}
	return false
}

// Hosts are the answers for each host.
type Hosts struct {
	N     int         // how many
	Count [3]int      // by Verdict
	Names [3][]string // of the first hosts with each, printable
	json  []byte      // an object for each, behind commas
}

// shownHosts is how many hosts a line names.
const shownHosts = 5

// add adds the answer for a host.
func (l *Hosts) add(on *eventsource.Host, a *Answer) {
	l.N++
	l.Count[a.Verdict]++
	if len(l.Names[a.Verdict]) < shownHosts {
		l.Names[a.Verdict] = append(l.Names[a.Verdict], nameOf(on))
	}
	dst := append(l.json, ",{"...)
	if on != nil && on.Name != nil {
		dst = append(dst, format.AppendJSONText(nil, "host", on.Name)[1:]...) // without its comma
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, `"answer":"`...), a.Verdict.String()...), `","reasons":`...)
	reasons, err := json.Marshal(reasonsJSON(a.Reasons))
	if err != nil {
		panic(err) // every part of it is valid JSON already
	}
	l.json = append(append(dst, reasons...), '}')
}

// nameOf returns the name of a host, printable.
func nameOf(on *eventsource.Host) string {
	if on == nil {
		return text.Host(nil)
	}
	return text.Host(on.Name)
}

// merged puts the answers for several hosts together.
type merged struct {
	hosts           Hosts
	denied, unknown tally.Groups
	reasons         []mergedReason
	one             Answer
}

// mergedReason is a reason that holds for some of the hosts.
type mergedReason struct {
	Reason
	first string // name of the first of them
	hosts int
}

func (m *merged) add(on *eventsource.Host, a *Answer) {
	if m.hosts.N == 1 {
		m.denied.Several, m.unknown.Several = true, true
		m.one = Answer{Policy: a.Policy, Observed: a.Observed, Wanted: a.Wanted}
	}
	if !m.one.Policy.Equal(&a.Policy) {
		m.one.Policy = ipe.Policy{}
	}
	if a.Observed.total() < m.one.Observed.total() {
		m.one.Observed = a.Observed
	}
	m.one.Accesses = eventsource.Sum(m.one.Accesses, a.Accesses)
	m.one.Earlier = eventsource.Sum(m.one.Earlier, a.Earlier)
	m.one.Allowed += a.Allowed
	for _, f := range a.Denied {
		m.denied.Join(f.Group, on, f)
	}
	for _, f := range a.Unknown {
		m.unknown.Join(f.Group, on, f)
	}
next:
	for _, r := range a.Reasons {
		for i := range m.reasons {
			if m.reasons[i].Key == r.Key {
				m.reasons[i].hosts++
				continue next
			}
		}
		m.reasons = append(m.reasons, mergedReason{r, nameOf(on), 1})
	}
}

// answer returns the answer for all: the worst one.
func (m *merged) answer() *Answer {
	a := m.one
	a.Denied, a.Unknown = joined(&m.denied), joined(&m.unknown)
	for _, r := range m.reasons {
		a.Reasons = append(a.Reasons, Reason{r.Key, text.List([]string{r.first}, 1, r.hosts) + ": " + r.Text})
	}
	if n := m.denied.GivenUp + m.unknown.GivenUp; n > 0 && !a.has("given_up") {
		a.Reasons = append(a.Reasons, Reason{"given_up", "there was no room to remember " + kinds(int(n))})
	}
	switch {
	case m.hosts.Count[NotReady] > 0:
		a.Verdict = NotReady
	case m.hosts.Count[CannotSay] > 0:
		a.Verdict = CannotSay
	}
	return &a
}

func joined(groups *tally.Groups) (list []Finding) {
	for _, g := range groups.List() {
		f := g.Note.(Finding)
		f.Group = g
		list = append(list, f)
	}
	return list
}

// lines writes how many hosts have which answer.
func (l *Hosts) lines(p *text.Page) {
	for _, v := range []Verdict{NotReady, CannotSay, Ready} {
		if l.Count[v] == 0 {
			continue
		}
		names := text.List(l.Names[v], shownHosts, l.Count[v])
		p.Line("%8s  %s: %s", text.Count(l.Count[v], "host"), strings.ReplaceAll(v.String(), "_", " "), names)
	}
}

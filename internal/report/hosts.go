package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of what a page says of hosts.
const (
	maxStates  = 1000 // policies and modes that are told apart
	shownNames = 5    // hosts that a line names
	shownQuiet = 3    // hosts that were not heard for long
	shownWorst = 10   // hosts with most denials
)

// hostList is what is known of all hosts, once each of them is over.
type hostList struct {
	n      int
	json   []byte // an object for each, behind commas
	states map[string]*stateGroup
	others int        // hosts in states that there was no room for
	quiet  []heard    // those last heard, the longest ago first
	worst  []deniedOn // those with the most denials, the most first

	otherDenials uint64 // of all that are not among the worst
	last         hostState
}

// stateGroup are the hosts with one policy in one mode.
type stateGroup struct {
	inForce activepolicy.State
	hosts   int
	names   []string // of the first of them, printable
}

// heard is when a host was heard last.
type heard struct {
	name string // printable
	at   int64
}

// deniedOn is how much was, or would have been, denied on a host.
type deniedOn struct {
	name    string // printable
	denials uint64
}

// rank keeps a host if it is among the worst.
func (l *hostList) rank(name []byte, h *hostState) {
	n := eventsource.Sum(h.verdicts[ipe.VerdictDenied], eventsource.Sum(h.verdicts[ipe.VerdictWouldDeny], h.verdicts[ipe.VerdictUnknown]))
	if len(l.worst) == shownWorst && n <= l.worst[shownWorst-1].denials {
		l.otherDenials = eventsource.Sum(l.otherDenials, n)
		return
	}
	l.worst = append(l.worst, deniedOn{text.Host(name), n})
	slices.SortStableFunc(l.worst, func(a, b deniedOn) int { return cmp.Compare(b.denials, a.denials) })
	if len(l.worst) > shownWorst {
		l.otherDenials = eventsource.Sum(l.otherDenials, l.worst[shownWorst].denials)
		l.worst = l.worst[:shownWorst]
	}
}

// add adds a host that is over.
func (l *hostList) add(on *eventsource.Host, h *hostState) {
	var name []byte
	boots := 1
	if on != nil {
		name, boots = on.Name, on.Boots
	}
	l.n++
	l.last = *h
	l.rank(name, h)
	l.json = append(h.appendJSON(append(l.json, ','), name, boots), '}')
	if h.timed {
		l.quiet = append(l.quiet, heard{text.Host(name), h.counts.last})
		slices.SortStableFunc(l.quiet, func(a, b heard) int { return cmp.Compare(a.at, b.at) })
		l.quiet = l.quiet[:min(len(l.quiet), shownQuiet)]
	}
	if l.states == nil {
		l.states = make(map[string]*stateGroup)
	}
	key := string(inForceJSON(&h.inForce))
	g := l.states[key]
	if g == nil {
		if len(l.states) >= maxStates {
			l.others++
			return
		}
		g = &stateGroup{inForce: h.inForce}
		l.states[key] = g
	}
	g.hosts++
	if len(g.names) < shownNames {
		g.names = append(g.names, text.Host(name))
	}
}

// groups returns the hosts by their states, most of them first.
func (l *hostList) groups() []*stateGroup {
	list := make([]*stateGroup, 0, len(l.states))
	keys := make([]string, 0, len(l.states))
	for key := range l.states {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		list = append(list, l.states[key])
	}
	slices.SortStableFunc(list, func(a, b *stateGroup) int { return cmp.Compare(b.hosts, a.hosts) })
	return list
}

// appendJSON appends the object of a host without its end.
func (h *hostState) appendJSON(dst, name []byte, boots int) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if name != nil {
		dst = format.AppendJSONText(dst, "host", name)
	}
	if len(h.bootID) > 0 {
		dst = format.AppendJSONText(dst, "boot_id", h.bootID)
	}
	dst = append(dst, `,"boots":`...)
	dst = strconv.AppendInt(dst, int64(boots), 10)
	dst = slices.Delete(dst, start, start+1) // the first comma
	for _, n := range [...]struct {
		key string
		n   uint64
	}{
		{"events", h.events}, {"denied", h.verdicts[ipe.VerdictDenied]}, {"would_deny", h.verdicts[ipe.VerdictWouldDeny]},
		{"allowed", h.verdicts[ipe.VerdictAllowed]}, {"unknown", h.verdicts[ipe.VerdictUnknown]}, {"lost", h.lost.Count},
	} {
		dst = append(append(append(dst, `,"`...), n.key...), `":`...)
		dst = strconv.AppendUint(dst, n.n, 10)
	}
	if h.lost.Events > 0 {
		dst = append(append(append(dst, `,"lost_accuracy":"`...), h.lost.Accuracy.String()...), '"')
	}
	dst = append(append(dst, `,"in_force":`...), h.inForceJSON()...)
	if h.timed {
		dst = append(dst, `,"first":"`+tally.Instant(h.counts.first)+`","last":"`+tally.Instant(h.counts.last)+`"`...)
	}
	return dst
}

// inForceJSON says what was in force at the end, and since when.
func (h *hostState) inForceJSON() []byte {
	dst := inForceJSON(&h.inForce)
	if h.dated {
		dst = append(dst[:len(dst)-1], `,"since":"`+tally.Instant(h.changed)+`"}`...)
	}
	return dst
}

// inForceJSON says what is in force.
func inForceJSON(s *activepolicy.State) []byte {
	dst := []byte(`{"policy":"` + s.Word() + `"`)
	if s.Known && s.Active {
		dst = format.AppendJSONText(dst, "active_policy_name", s.Policy.Name)
		dst = format.AppendJSONText(dst, "active_policy_version", s.Policy.Version)
		dst = format.AppendJSONText(dst, "active_policy_digest", s.Policy.Digest)
	}
	if s.Enforcing.Known() {
		dst = strconv.AppendBool(append(dst, `,"enforcing":`...), s.Enforcing == ipe.True)
	}
	return append(dst, '}')
}

// inForceJSON says what was in force at the end on all hosts: "several" where
// that was not the same.
func (r *Report) inForceJSON() []byte {
	switch groups := r.hosts.groups(); {
	case r.hosts.n == 1:
		return r.hosts.last.inForceJSON()
	case len(groups) == 1:
		return inForceJSON(&groups[0].inForce)
	case len(groups) > 1:
		return []byte(`{"policy":"several"}`)
	}
	return inForceJSON(&activepolicy.State{})
}

// hostLines writes which hosts have which policy in which mode.
func (r *Report) hostLines(p *text.Page) {
	groups := r.hosts.groups()
	const shown = 6
	for i, g := range groups[:min(len(groups), shown)] {
		names := ""
		if i > 0 || g.hosts <= shownNames {
			names = ": " + text.List(g.names, shownNames, g.hosts)
		}
		p.Line("%8s  %s%s", text.Count(g.hosts, "host"), inForce(&g.inForce), names)
	}
	rest := r.hosts.others
	for _, g := range groups[min(len(groups), shown):] {
		rest += g.hosts
	}
	if rest > 0 {
		p.Line("and %s with others, see --json", text.Count(rest, "host"))
	}
	var quiet []string
	for _, h := range r.hosts.quiet {
		quiet = append(quiet, h.name+" "+p.Time(h.at))
	}
	if len(quiet) > 0 {
		p.Line("last heard, the longest ago: %s", strings.Join(quiet, ", "))
	}
}

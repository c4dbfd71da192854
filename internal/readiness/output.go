package readiness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// Heading says for a person and for programs what was asked.
type Heading struct {
	Origin    string // where the events come from
	Since     time.Time
	Candidate string // the file of the candidate; empty: the policy in force
	Name      string // the candidate's name and version
	Version   string
}

// document is the JSON form.
type document struct {
	Answer   string            `json:"answer"`
	Origin   json.RawMessage   `json:"origin"`
	Since    string            `json:"since,omitempty"`
	Policy   json.RawMessage   `json:"policy"`
	Observed observed          `json:"observed"`
	Accesses uint64            `json:"accesses"`
	Earlier  uint64            `json:"earlier"`
	Denied   []json.RawMessage `json:"denied"`
	Unknown  []json.RawMessage `json:"unknown"`
	Reasons  []reason          `json:"reasons"`
	Unread   []json.RawMessage `json:"unread"`
	Hit      json.RawMessage   `json:"hit,omitempty"`
}

type observed struct {
	Permissive int64 `json:"permissive_seconds"`
	Enforcing  int64 `json:"enforcing_seconds"`
	Wanted     int64 `json:"wanted_seconds"`
}

type reason struct {
	Reason string          `json:"reason"`
	Text   json.RawMessage `json:"text"`
}

// AppendJSON appends the answer as one JSON object and a newline.
func (a *Answer) AppendJSON(dst []byte, h *Heading) []byte {
	d := document{
		Answer: a.Verdict.String(), Origin: tally.Quote(h.Origin), Policy: a.policyJSON(h),
		Observed: observed{int64(a.Observed.Permissive / time.Second), int64(a.Observed.Enforcing / time.Second), int64(a.Wanted / time.Second)},
		Accesses: a.Accesses, Earlier: a.Earlier,
		Denied: findings(a.Denied), Unknown: findings(a.Unknown), Reasons: reasonsJSON(a.Reasons), Unread: a.Unread.JSON(),
	}
	if hit := a.hit(); len(a.Denied) > 0 {
		d.Hit = hit.AppendJSON(nil)
	}
	if !h.Since.IsZero() {
		d.Since = tally.Instant(h.Since.UnixMilli())
	}
	return tally.AppendWithHosts(dst, &d, a.Hosts.json)
}

func reasonsJSON(reasons []Reason) []reason {
	list := []reason{}
	for _, r := range reasons {
		list = append(list, reason{r.Key, tally.Quote(r.Text)})
	}
	return list
}

// policyJSON says who judges: the candidate, or the policy in force.
func (a *Answer) policyJSON(h *Heading) []byte {
	add := func(dst []byte, key, s string) []byte { return format.AppendJSONText(dst, key, []byte(s)) }
	if h.Candidate != "" {
		return append(add(add(add([]byte(`{"candidate":true`), "file", h.Candidate), "policy_name", h.Name), "policy_version", h.Version), '}')
	}
	dst := []byte(`{"candidate":false`)
	dst = format.AppendJSONText(dst, "policy_name", a.Policy.Name)
	dst = format.AppendJSONText(dst, "policy_version", a.Policy.Version)
	return append(format.AppendJSONText(dst, "policy_digest", a.Policy.Digest), '}')
}

// findings are groups with what the candidate says.
func findings(list []Finding) []json.RawMessage {
	out := []json.RawMessage{}
	for _, f := range list {
		dst := f.Group.AppendJSON(nil)
		dst = dst[:len(dst)-1]
		if f.Rule != nil {
			dst = format.AppendJSONText(dst, "candidate_rule", []byte(f.Rule.String()))
			dst = strconv.AppendInt(append(dst, `,"candidate_line":`...), int64(f.Rule.Line), 10)
		}
		if f.Why != "" {
			dst = format.AppendJSONText(dst, "why", []byte(f.Why))
		}
		out = append(out, append(dst, '}'))
	}
	return out
}

// WriteTo writes the answer for a person, in about as many lines as the page is high.
func (a *Answer) WriteTo(p *text.Page, h *Heading) {
	p.Line("%s", a.headline(h))
	if a.Hosts.N > 1 {
		a.Hosts.lines(p)
	}
	p.Line("judged by: %s", a.judgedBy(h))
	p.Line("watched: %s in permissive mode, %s enforcing; %s recorded; %s",
		text.Span(a.Observed.Permissive), text.Span(a.Observed.Enforcing), text.Count(a.Accesses, "access"), text.Printable(h.Origin))
	if a.Earlier > 0 {
		p.Line("not counted: %s by policies that were in force before", text.Count(a.Earlier, "denial"))
	}
	if hit := a.hit(); len(a.Denied) > 0 {
		p.Line("would be hit: %s", hit.String(p))
	}
	if len(a.Reasons) > 0 {
		p.Line("")
		p.Line("%s", map[Verdict]string{NotReady: "AND THERE MAY BE MORE", CannotSay: "BECAUSE"}[a.Verdict])
		for _, r := range a.Reasons {
			p.Line("  %s", text.Printable(r.Text))
		}
	}
	left := max((p.Height-p.Lines()-4)/3, 4)
	denied := min(len(a.Denied), max(left-len(a.Unknown), left/2))
	a.list(p, "WOULD BE DENIED", a.Denied, denied)
	a.list(p, "NOT KNOWN", a.Unknown, left-denied)
}

func (a *Answer) headline(h *Heading) string {
	switch a.Verdict {
	case NotReady:
		return "NOT READY: " + text.Count(uint64(len(a.Denied)), "kind of access that was seen", "kinds of accesses that were seen") + " would be denied"
	case CannotSay:
		if h.Candidate != "" || len(a.Unknown) > 0 {
			return "CANNOT SAY: nothing that was seen would be denied for certain, but too little is known"
		}
		return "CANNOT SAY: no denial was seen, but too little was watched"
	}
	return "READY: nothing that was seen would be denied"
}

// kinds returns n groups in words.
func kinds(n int) string { return text.Count(uint64(n), "kind of access", "kinds of accesses") }

func (a *Answer) judgedBy(h *Heading) string {
	switch {
	case h.Candidate != "":
		return fmt.Sprintf("the candidate %s, %s %s", text.Printable(h.Candidate), text.Name(h.Name), h.Version)
	case a.Hosts.N > 1 && a.Policy.Name == nil:
		return "the policy that is in force on each of the hosts"
	case a.Policy.Name != nil && a.Hosts.N <= 1 && a.noPolicy():
		return "the policy that was in force last, " + text.PolicyInFull(&a.Policy)
	case a.Policy.Name != nil:
		return "the policy in force, " + text.PolicyInFull(&a.Policy)
	}
	return "the policy in force, whose name is not known"
}

// noPolicy reports whether no policy is in force, as far as known.
func (a *Answer) noPolicy() bool {
	return slices.ContainsFunc(a.Reasons, func(r Reason) bool { return r.Key == "no_policy" })
}

// hit returns who had the accesses that would be denied.
func (a *Answer) hit() (who tally.Callers) {
	for _, f := range a.Denied {
		who.Join(f.Group)
	}
	return who
}

// list writes a section with at most n findings.
func (a *Answer) list(p *text.Page, title string, list []Finding, n int) {
	if len(list) == 0 {
		return
	}
	p.Line("")
	p.Line("%s", title)
	n = min(n, len(list))
	for _, f := range list[:n] {
		switch {
		case f.Why != "":
			f.WriteTo(p, "NOT KNOWN", text.Printable(f.Why))
		case f.Rule != nil:
			f.WriteTo(p, "WOULD DENY", fmt.Sprintf("line %d: %s", f.Rule.Line, text.Printable(f.Rule.String())))
		default:
			f.WriteTo(p, text.Verdict(f.Event.Verdict), tally.Judge(&f.Event))
		}
	}
	if more := len(list) - n; more > 0 {
		p.Line("and %d more, see --json", more)
	}
}

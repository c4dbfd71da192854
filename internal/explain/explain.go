package explain

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/suggest"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Explanation is one event in words. All of them are printable.
type Explanation struct {
	// Summary is what happened, in sentences.
	Summary []string `json:"summary"`

	// The rest is of accesses. Who is who asked, from the user down to the system
	// call.
	Who []string `json:"who,omitempty"`

	Packages *PackagesNote `json:"packages,omitempty"`

	Object *ObjectNote `json:"object,omitempty"`
	Policy *PolicyNote `json:"policy,omitempty"`
	Rule   *RuleNote   `json:"rule,omitempty"`

	// Earlier are the rules of the operation that were asked before the one that
	// decided, when the text of the policy is known.
	Earlier []RuleNote `json:"earlier,omitempty"`

	// Allow is what would allow what was denied.
	Allow *AllowNote `json:"allow,omitempty"`
}

// ObjectNote says what is known of the object now.
type ObjectNote struct {
	State  string   `json:"state"`            // of fileprops.State
	Reason string   `json:"reason,omitempty"` // why it is not measured
	Facts  []string `json:"facts,omitempty"`  // each known property, with its value
}

// PackagesNote says which packages of this host have files of these paths.
type PackagesNote struct {
	Path string `json:"path,omitempty"` // the object
	Exe  string `json:"exe,omitempty"`  // the program that asked
}

// PolicyNote says which policy judged.
type PolicyNote struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	File    string `json:"file,omitempty"` // with its text, where that was read
	Note    string `json:"note,omitempty"` // what is not known, or not certain
}

// RuleNote is a rule.
type RuleNote struct {
	Line int    `json:"line,omitempty"` // in the policy, from 1; absent when the text is not known
	Text string `json:"text"`
	Why  string `json:"why"` // why it decided, or did not match
}

// AllowNote says what would allow it.
type AllowNote struct {
	Rule   string `json:"rule,omitempty"`   // the narrowest
	Where  string `json:"where,omitempty"`  // it has to stand
	Reason string `json:"reason,omitempty"` // why there is none
	Remedy string `json:"remedy,omitempty"` // and what would help
}

// Explainer explains events.
type Explainer struct {
	Measure    func(fileprops.Object) fileprops.Result
	Securityfs *host.Securityfs

	// User returns the name of a user of this host, empty where there is none, and
	// Package the package of a file, empty where that is not known. Nil: neither is
	// asked for.
	User    func(uid uint32) string
	Package func(file string) string

	elsewhere string // why nothing is known of the host's policies
}

// Elsewhere returns an Explainer for events of another host, of whose files and
// policies nothing can be known here.
func (e *Explainer) Elsewhere(name string) Explainer {
	return e.Unmeasured("it was on another host, " + text.Name(name))
}

// Unmeasured returns an Explainer for events of whose files and policies nothing
// can be known, for a reason.
func (e *Explainer) Unmeasured(reason string) Explainer {
	return Explainer{
		Measure: func(o fileprops.Object) fileprops.Result {
			if o.NoFile {
				return e.Measure(o)
			}
			return fileprops.Result{Reason: reason}
		},
		elsewhere: reason,
	}
}

// Explain explains one event.
func (e *Explainer) Explain(ev *ipe.Event) Explanation {
	x := Explanation{Summary: summary(ev)}
	if ev.Action == ipe.ActionNone {
		return x // no access
	}
	x.Who = e.who(ev)
	o := fileprops.ObjectOf(ev)
	x.packages(e, ev, &o)
	r := e.Measure(o)
	x.Object = objectNote(&r)
	rules := e.policy(&x, ev)
	x.rules(ev, &r, rules)
	if ev.Action == ipe.ActionDeny {
		d := suggest.Denial{Op: string(ev.Op), Named: suggest.Named(ev.RuleKind), Hooks: []string{string(ev.Hook)}, Object: o}
		x.Allow = allowNote(&d, &r, rules)
	}
	return x
}

// packages says what the packages of this host have of the paths of the object and of
// the program. Those of a container are others.
func (x *Explanation) packages(e *Explainer, ev *ipe.Event, o *fileprops.Object) {
	if e.Package == nil || tally.Contained(ev) {
		return
	}
	note := PackagesNote{Exe: text.Printable(e.Package(string(ev.Exe)))}
	if !o.NoFile {
		note.Path = text.Printable(e.Package(o.Path))
	}
	if note != (PackagesNote{}) {
		x.Packages = &note
	}
}

func objectNote(r *fileprops.Result) *ObjectNote {
	n := ObjectNote{State: r.State.String(), Reason: r.Reason}
	for key := policy.BootVerified; key <= policy.FSVeritySignature; key++ {
		if r.Known(key) {
			n.Facts = append(n.Facts, fact(&r.Facts, key))
		}
	}
	return &n
}

// fact says what is known of one property.
func fact(f *policy.Facts, key policy.Key) string {
	var p policy.Property
	switch p.Key = key; key {
	case policy.BootVerified:
		p.Value = f.BootVerified == policy.True
	case policy.DMVeritySignature:
		p.Value = f.DMVeritySignature == policy.True
	case policy.FSVeritySignature:
		p.Value = f.FSVeritySignature == policy.True
	case policy.DMVerityRootHash:
		if f.DMVerityRootHash.Has == policy.False {
			return "no " + key.String()
		}
		p.Digest = f.DMVerityRootHash.Digest
	case policy.FSVerityDigest:
		if f.FSVerityDigest.Has == policy.False {
			return "no " + key.String()
		}
		p.Digest = f.FSVerityDigest.Digest
	}
	return text.Printable(p.String())
}

// policy finds out which policy judged and returns its text, parsed; nil when
// it cannot be known or read.
func (e *Explainer) policy(x *Explanation, ev *ipe.Event) *policy.Policy {
	n := &PolicyNote{}
	x.Policy = n
	p := &ev.ActivePolicy
	if e.elsewhere != "" {
		n.Name, n.Version, n.Digest = escaped(p.Name), escaped(p.Version), escaped(p.Digest)
		n.Note = "its text is not known: " + e.elsewhere
		return nil
	}
	if !p.Known() {
		now := e.Securityfs.IPE()
		if now.Status != host.StatusActive {
			n.Note = "which policy judged is not known, and none is active here now"
			return nil
		}
		p = &now.Policy
		n.Note = "which policy judged is not known; this is the one that is active here now"
	}
	n.Name, n.Version, n.Digest = escaped(p.Name), escaped(p.Version), escaped(p.Digest)
	lines, err := e.Securityfs.PolicyText(p)
	if err != nil {
		problem := "its text is not known: " + text.Printable(err.Error())
		if errors.Is(err, fs.ErrNotExist) {
			problem = "its text is not known: this kernel has no policy of that name"
		}
		n.Note = strings.TrimPrefix(n.Note+"; "+problem, "; ")
		return nil
	}
	parsed, _, err := policy.ParseLenient(lines)
	if err != nil {
		n.Note = strings.TrimPrefix(n.Note+"; its text cannot be parsed: "+err.Error(), "; ")
		return nil
	}
	n.File = text.Printable(e.Securityfs.PolicyFile(string(p.Name)))
	return parsed
}

// rules finds the rule that decided in the policy, and says why those before it
// did not.
func (x *Explanation) rules(ev *ipe.Event, r *fileprops.Result, p *policy.Policy) {
	decided := ruleOf(ev)
	x.Rule = &RuleNote{Text: escaped(ev.Rule), Why: because(ev)}
	if p == nil {
		return
	}
	index := slices.IndexFunc(p.Rules, func(r policy.Rule) bool { return sameRule(&r, &decided) })
	if index < 0 {
		name := strings.TrimSpace(x.Policy.Name + " " + x.Policy.Version)
		*x.Policy = PolicyNote{Note: "which policy judged is not known: the rule does not stand in " + name + ", so another policy judged"}
		return
	}
	x.Rule.Line = p.Rules[index].Line
	for i := range p.Rules {
		rule := &p.Rules[i]
		if rule.Default || rule.IsFor(decided.Op) == policy.False || !decided.Default && i >= index {
			continue
		}
		x.Earlier = append(x.Earlier, RuleNote{Line: rule.Line, Text: text.Printable(rule.String()), Why: mismatch(rule, r)})
	}
}

// Texts are the texts of the policies that this kernel has.
type Texts struct {
	Securityfs *host.Securityfs

	policies map[string]*policy.Policy // by name, version and digest; nil: not known
}

// Stands reports whether the rule that decided about an access stands in the
// policy that is said to have judged it, unknown where the text of that is not
// known.
func (t *Texts) Stands(ev *ipe.Event) ipe.Bool {
	p := &ev.ActivePolicy
	key := string(p.Name) + "\x00" + string(p.Version) + "\x00" + string(p.Digest)
	parsed, known := t.policies[key]
	if !known {
		if lines, err := t.Securityfs.PolicyText(p); err == nil {
			if q, err := policy.Parse(lines); err == nil {
				parsed = q
			}
		}
		if t.policies == nil {
			t.policies = make(map[string]*policy.Policy)
		}
		t.policies[key] = parsed
	}
	if parsed == nil || ev.Rule == nil {
		return ipe.Unknown
	}
	decided := ruleOf(ev)
	return ipe.BoolOf(slices.ContainsFunc(parsed.Rules, func(r policy.Rule) bool { return sameRule(&r, &decided) }))
}

// ruleOf returns the rule of a record. Its operation is always that of the
// access; a policy has it in a default of the operation, not in the global one.
func ruleOf(ev *ipe.Event) policy.Rule {
	r := policy.Rule{Default: ev.RuleKind != ipe.RuleExplicit, Action: policy.Deny}
	r.Op, _ = policy.ParseOp(string(ev.Op))
	if ev.Action == ipe.ActionAllow {
		r.Action = policy.Allow
	}
	for _, property := range ev.RuleProperties {
		if p, err := policy.ParseProperty(string(property)); err == nil {
			r.Properties = append(r.Properties, p)
		}
	}
	return r
}

// sameRule reports whether a rule of the policy is that of a record.
func sameRule(r, decided *policy.Rule) bool {
	global := decided.Default && r.Op == policy.OpNone
	return r.Default == decided.Default && (global || r.IsFor(decided.Op) != policy.False) && r.Action == decided.Action &&
		slices.EqualFunc(r.Properties, decided.Properties, func(a, b policy.Property) bool { return a.String() == b.String() })
}

// because says why a rule decided.
func because(ev *ipe.Event) string {
	switch ev.RuleKind {
	case ipe.RuleOpDefault:
		return "the default for " + text.Name(ev.Op) + ": no other rule of the policy matched"
	case ipe.RuleGlobalDefault:
		return "the default for all operations: no rule for " + text.Name(ev.Op) + " matched, and it has no default of its own"
	}
	if len(ev.RuleProperties) == 0 {
		return "it asks for nothing, so it matches whatever comes to it"
	}
	return "everything that it asks for held"
}

// mismatch says why a rule did not match, as far as that can be known now.
func mismatch(rule *policy.Rule, r *fileprops.Result) string {
	for _, p := range rule.Properties {
		if p.Holds(&r.Facts) == policy.False {
			return "did not match: " + fact(&r.Facts, p.Key)
		}
	}
	for _, p := range rule.Properties {
		if p.Key == policy.KeyOther {
			return "did not match; " + text.Name(p.Name()) + " is not known to this version"
		}
		if p.Holds(&r.Facts) == policy.Unknown {
			return fmt.Sprintf("did not match; %v is not known now: %s", p.Key, r.Why(p.Key))
		}
	}
	return "did not match then, but would now: the object has changed since"
}

// allowNote says what would allow a denied object.
func allowNote(d *suggest.Denial, r *fileprops.Result, p *policy.Policy) *AllowNote {
	proposed := suggest.Propose(d, r, false)
	if !proposed.OK {
		return &AllowNote{Reason: proposed.Reason, Remedy: proposed.Remedy}
	}
	n := &AllowNote{Rule: text.Printable(proposed.Rule.String()), Where: "before any rule for " + proposed.Rule.Op.String() + " that denies it"}
	if p == nil {
		return n
	}
	j := p.Judge(proposed.Rule.Op, &r.Facts)
	switch rule := suggest.Obstacle(p, j); {
	case j.Action == policy.Allow:
		n.Where = fmt.Sprintf("nowhere: line %d allows it by now", p.Rules[j.Rule].Line)
	case rule != nil:
		n.Where = fmt.Sprintf("before line %d", rule.Line)
	default:
		n.Where = "anywhere in the policy"
	}
	return n
}

// escaped returns what others chose as a field of its own, where nothing can be
// confused with it.
func escaped(b []byte) string { return string(text.AppendEscaped(nil, b)) }

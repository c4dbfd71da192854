package suggest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Options are what Suggest is asked for.
type Options struct {
	Denials []Denial // the worst first

	// Measure returns what an object is now.
	Measure func(fileprops.Object) fileprops.Result

	// Base is the text of the policy to add the rules to; nil for a policy that
	// allows nothing else.
	Base []byte

	// BaseName is what messages call it.
	BaseName string

	// Name is that of the new policy. Empty stands for that of the base.
	Name string

	// Version is that of the new policy. Nil stands for the one after that of the
	// base.
	Version *policy.Version

	// Signature asks for rules by signature where there is one.
	Signature bool

	// Package returns of which package a file is, empty where that is not known. Nil:
	// it is not asked for.
	Package func(file string) string

	// Zone is that of times in comments; nil for the local one.
	Zone *time.Location

	// Gaps say in a sentence each what may be missing among the denials.
	Gaps []string
}

// Suggestion is what came of it.
type Suggestion struct {
	// Text is the new policy, or comments only when there is nothing to add.
	Text []byte

	Rules   int // rules that were added
	Helped  int // objects that they allow
	Allowed int // objects that the base allows already
	Without int // objects that no rule can allow

	// TooLarge says that the kernel would refuse the policy once it is signed,
	// with and without comments: an *policy.Error with EMSGSIZE. All of Text is
	// comments then, so that nobody loads it.
	TooLarge error

	// Notes are the comments that were left out of Text so that the policy can be
	// loaded, without those about what is allowed; nil if none were.
	Notes []byte
	// Trimmed says in a sentence what was left out of Text.
	Trimmed string

	Unknown []policy.UnknownWord // operations of rules that were added
}

// The name and version of a policy without a base.
const defaultName = "suggested"

func defaultVersion() policy.Version { return policy.Version{1, 0, 0} }

// allowsNothing is the base of a policy without a base.
const allowsNothing = `policy_name=` + defaultName + ` policy_version=0.0.0

# Nothing but what has a rule below. To add the rules to a policy that there is,
# give it with --base.
DEFAULT action=DENY
`

// addition is a rule to add and whom it is for.
type addition struct {
	rule    policy.Rule
	denials []string
	broad   bool // it allows more than one file
}

// place is a line before which a rule stands, and its text.
type place struct {
	line int
	rule string
}

// suggester collects what becomes of the denials.
type suggester struct {
	Options
	base *policy.Policy

	add     map[int][]*addition // by the line before which they go; 0: the end
	index   map[place]*addition // the same by line and text
	unknown int                 // words of the base that are not known
	signed  int                 // objects with a signature that Signature would take
	allowed []string
	without []string
	checks  []check
	result  Suggestion
}

// check is an object that the new policy has to allow.
type check struct {
	op    policy.Op
	facts policy.Facts
}

// Suggest makes a policy. An error is a *policy.Error of the base, of the name
// or of the version.
func Suggest(o Options) (*Suggestion, error) {
	s := suggester{Options: o, add: make(map[int][]*addition), index: make(map[place]*addition)}
	if s.Base == nil {
		s.Base = []byte(allowsNothing)
	}
	var err error
	var unknown []policy.UnknownWord
	if s.base, unknown, err = policy.ParseLenient(s.Base); err != nil {
		return nil, fmt.Errorf("%s: %w", s.BaseName, err)
	}
	s.unknown = len(unknown)
	if err := s.identity(o.Base == nil); err != nil {
		return nil, err
	}
	for i := range s.Denials {
		s.decide(&s.Denials[i])
	}
	s.result.Allowed, s.result.Without = len(s.allowed), len(s.without)
	if err := s.write(); err != nil {
		return nil, err
	}
	return &s.result, nil
}

// identity decides on name and version.
func (s *suggester) identity(fresh bool) error {
	if s.Name == "" {
		s.Name = s.base.Name
	}
	if err := policy.CheckName(s.Name); err != nil {
		return err
	}
	switch {
	case s.Version == nil && fresh:
		v := defaultVersion()
		s.Version = &v
	case s.Version == nil:
		v, ok := s.base.Version.Next()
		if !ok {
			return fmt.Errorf("%s has the last version there is, %v: begin again with --name", s.BaseName, s.base.Version)
		}
		s.Version = &v
	case !fresh && s.Name == s.base.Name && s.Version.Compare(s.base.Version) <= 0:
		return fmt.Errorf("version %v is not above %v of %s: the kernel would refuse the update (ESTALE)", s.Version, s.base.Version, s.BaseName)
	}
	return nil
}

// decide finds out what becomes of one denial.
func (s *suggester) decide(d *Denial) {
	r := s.Measure(d.Object)
	op, _ := policy.ParseOp(d.Op)
	j := s.base.Judge(op, &r.Facts)
	if op != policy.OpNone && j.Action == policy.Allow {
		s.allowed = append(s.allowed, fmt.Sprintf("%s; now by line %d", s.textOf(d), s.base.Rules[j.Rule].Line))
		return
	}
	p := Propose(d, &r, s.Signature)
	if !p.OK {
		s.refuse(d, p.Reason, p.Remedy)
		return
	}
	line := 0
	if rule := Obstacle(s.base, j); rule != nil {
		line = rule.Line
		if byName(rule) {
			what := "denies"
			if rule.Matches(&r.Facts) == policy.Unknown {
				what = "may deny"
			}
			s.refuse(d, fmt.Sprintf("line %d of %s %s it by name: %s", line, s.BaseName, what, text.Printable(rule.String())), "remove that line, if it is wrong")
			return
		}
	}
	if s.Signature && line > 0 && s.overrules(p.Rule.Op, line) {
		p = Propose(d, &r, false)
		if !p.OK {
			s.refuse(d, fmt.Sprintf("a rule by signature before line %d of %s would overrule those behind it that deny by name", line, s.BaseName), "order the rules by hand")
			return
		}
	}
	if !s.Signature && (r.Facts.FSVeritySignature == policy.True || r.Facts.DMVeritySignature == policy.True) {
		s.signed++
	}
	s.insert(line, p.Rule, d)
	s.checks = append(s.checks, check{p.Rule.Op, r.Facts})
	s.result.Helped++
}

// byName reports whether the rule names what it is for by a digest, or perhaps
// by a property that is not known.
func byName(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Properties, func(p policy.Property) bool { return p.Key.IsDigest() || p.Key == policy.KeyOther })
}

// overrules reports whether a rule of op in front of that line would be before
// one that denies by name.
func (s *suggester) overrules(op policy.Op, line int) bool {
	return slices.ContainsFunc(s.base.Rules, func(r policy.Rule) bool {
		return r.Line >= line && r.IsFor(op) != policy.False && r.Action == policy.Deny && byName(&r)
	})
}

// textOf says what was denied, with its package.
func (s *suggester) textOf(d *Denial) string {
	line := d.text(s.Zone)
	if s.Package != nil && !d.Object.NoFile && !d.Contained {
		if owner := s.Package(d.Object.Path); owner != "" {
			line += ", of package " + text.Printable(owner)
		}
	}
	return line
}

func (s *suggester) refuse(d *Denial, reason, remedy string) {
	s.without = append(s.without, fmt.Sprintf("%s\n  why: %s\n  what would help: %s", s.textOf(d), reason, remedy))
}

// insert adds a rule before the line, or the denial to the one that is there.
func (s *suggester) insert(line int, rule policy.Rule, d *Denial) {
	at := place{line, rule.String()}
	if a := s.index[at]; a != nil {
		a.denials = append(a.denials, s.textOf(d))
		return
	}
	a := &addition{rule: rule, denials: []string{s.textOf(d)}, broad: rule.Properties[0].Key != policy.FSVerityDigest}
	s.add[line], s.index[at] = append(s.add[line], a), a
	s.result.Rules++
	if !rule.Op.Known() {
		s.unknown++
		if u := policy.UnknownOp(rule.Op); !slices.Contains(s.result.Unknown, u) {
			s.result.Unknown = append(s.result.Unknown, u)
		}
	}
}

// verify parses what was written and judges by it what it is to allow: nobody
// should sign what does not hold.
func (s *suggester) verify(text []byte) error {
	p, unknown, err := policy.ParseLenient(text)
	if err != nil {
		return fmt.Errorf("the policy came out wrong, which is a bug: %w", err)
	}
	if want := len(s.base.Rules) + s.result.Rules; p.Name != s.Name || p.Version != *s.Version || len(p.Rules) != want || len(unknown) != s.unknown {
		return fmt.Errorf("the policy came out wrong, which is a bug: %d rules, not %d", len(p.Rules), want)
	}
	for _, c := range s.checks {
		if !allows(p, c) {
			return fmt.Errorf("the policy came out wrong, which is a bug: it does not allow a %v that it is for", c.op)
		}
	}
	return nil
}

// allows reports whether p allows what c is for. An operation that is not known
// is taken for one that the kernel has, as its records say.
func allows(p *policy.Policy, c check) bool {
	if c.op.Known() {
		return p.Judge(c.op, &c.facts).Action == policy.Allow
	}
	i := slices.IndexFunc(p.Rules, func(r policy.Rule) bool {
		return !r.Default && r.Op == c.op && r.Matches(&c.facts) != policy.False && (r.Action == policy.Deny || r.Matches(&c.facts) == policy.True)
	})
	return i >= 0 && p.Rules[i].Action == policy.Allow
}

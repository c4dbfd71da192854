package advice

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/measure"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Options are what Suggest is asked for.
type Options struct {
	Denials []Denial // the worst first

	// Measure returns what an object is now.
	Measure func(measure.Object) measure.Result

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

// suggester collects what becomes of the denials.
type suggester struct {
	Options
	base *policy.Policy

	add     map[int][]*addition // by the line before which they go; 0: the end
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
	s := suggester{Options: o, add: make(map[int][]*addition)}
	if s.Base == nil {
		s.Base = []byte(allowsNothing)
	}
	var err error
	if s.base, err = policy.Parse(s.Base); err != nil {
		return nil, fmt.Errorf("%s: %w", s.BaseName, err)
	}
	if err := s.identity(o.Base == nil); err != nil {
		return nil, err
	}
	for i := range s.Denials {
		s.place(&s.Denials[i])
	}
	s.result.Allowed, s.result.Without = len(s.allowed), len(s.without)
	s.write()
	if s.result.Rules > 0 {
		if err := s.verify(); err != nil {
			return nil, err
		}
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

// place finds out what becomes of one denial.
func (s *suggester) place(d *Denial) {
	r := s.Measure(d.Object)
	op, _ := policy.ParseOp(d.Op)
	j := s.base.Judge(op, &r.Facts)
	if op != policy.OpNone && j.Action == policy.Allow {
		s.allowed = append(s.allowed, fmt.Sprintf("%v; now by line %d", d, s.base.Rules[j.Rule].Line))
		return
	}
	p := propose(d, &r, s.Signature)
	if !p.ok {
		s.refuse(d, p.reason, p.remedy)
		return
	}
	line := 0
	if rule := obstacle(s.base, j); rule != nil {
		line = rule.Line
		if byName(rule) {
			what := "denies"
			if rule.Matches(&r.Facts) == policy.Unknown {
				what = "may deny"
			}
			s.refuse(d, fmt.Sprintf("line %d of %s %s it by name: %v", line, s.BaseName, what, rule), "remove that line, if it is wrong")
			return
		}
	}
	if s.Signature && line > 0 && s.overrules(p.rule.Op, line) {
		p = propose(d, &r, false)
		if !p.ok {
			s.refuse(d, fmt.Sprintf("a rule by signature before line %d of %s would overrule those behind it that deny by name", line, s.BaseName), "order the rules by hand")
			return
		}
	}
	s.insert(line, p.rule, d)
	s.checks = append(s.checks, check{p.rule.Op, r.Facts})
	s.result.Helped++
}

// obstacle returns the rule of an operation that denies an object, or may, and
// before which one that allows it has to stand; nil if that is the default,
// which comes after all others wherever it stands.
func obstacle(p *policy.Policy, j policy.Judgement) *policy.Rule {
	for _, i := range append(slices.Clone(j.Maybe), j.Rule) {
		if r := &p.Rules[i]; r.Action == policy.Deny && !r.Default {
			return r
		}
	}
	return nil
}

// byName reports whether the rule names what it is for by a digest.
func byName(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Properties, func(p policy.Property) bool { return p.Key.IsDigest() })
}

// overrules reports whether a rule of op in front of that line would be before
// one that denies by name.
func (s *suggester) overrules(op policy.Op, line int) bool {
	return slices.ContainsFunc(s.base.Rules, func(r policy.Rule) bool {
		return r.Line >= line && r.Op == op && r.Action == policy.Deny && byName(&r)
	})
}

func (s *suggester) refuse(d *Denial, reason, remedy string) {
	s.without = append(s.without, fmt.Sprintf("%v\n  why: %s\n  what would help: %s", d, reason, remedy))
}

// insert adds a rule before the line, or the denial to the one that is there.
func (s *suggester) insert(line int, rule policy.Rule, d *Denial) {
	text := rule.String()
	for _, a := range s.add[line] {
		if a.rule.String() == text {
			a.denials = append(a.denials, d.String())
			return
		}
	}
	s.add[line] = append(s.add[line], &addition{
		rule: rule, denials: []string{d.String()}, broad: rule.Properties[0].Key != policy.FSVerityDigest,
	})
	s.result.Rules++
}

// write writes the text: the lines of the base, with the header changed and the
// additions between, then what has no rule.
func (s *suggester) write() {
	var out []byte
	if s.result.Rules > 0 {
		lines := policy.Lines(s.Base)
		for i, line := range lines {
			number := i + 1
			out = s.appendAdditions(out, number)
			if number == s.base.Line {
				out = append(out, "policy_name="+s.Name+" policy_version="+s.Version.String()...)
				line = afterHeader(line)
				if bytes.HasPrefix(line, []byte("#")) {
					out = append(out, ' ')
				}
			}
			out = append(out, line...)
		}
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		out = s.appendAdditions(out, 0)
	}
	out = appendList(out, "Allowed by the base already:", s.allowed)
	out = appendList(out, "No rule can allow:", s.without)
	s.result.Text = appendList(out, "There may be more than this:", s.Gaps)
}

// afterHeader returns what follows the two words of the header: its comment and
// its end.
func afterHeader(line []byte) []byte {
	i := bytes.IndexAny(line, "#\r\n")
	if i < 0 {
		return nil
	}
	return line[i:]
}

// most is how many objects of one rule are listed.
const most = 20

func (s *suggester) appendAdditions(dst []byte, line int) []byte {
	for _, a := range s.add[line] {
		dst = append(dst, '\n')
		for i, d := range a.denials {
			if i == most {
				dst = appendComment(dst, "and "+strconv.Itoa(len(a.denials)-most)+" more")
				break
			}
			dst = appendComment(dst, d)
		}
		if a.broad {
			dst = appendComment(dst, breadth(a.rule.Properties[0].Key))
		}
		dst = append(append(dst, a.rule.String()...), '\n')
	}
	if line > 0 && len(s.add[line]) > 0 {
		dst = append(dst, '\n')
	}
	return dst
}

// breadth says what a rule allows that is for more than one file.
func breadth(key policy.Key) string {
	switch key {
	case policy.DMVerityRootHash:
		return "This allows all that is on the same dm-verity volume."
	case policy.DMVeritySignature:
		return "This allows all that is on any dm-verity volume with a signature."
	}
	return "This allows every file with a built-in signature."
}

func appendList(dst []byte, title string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	if len(dst) > 0 {
		dst = append(dst, '\n')
	}
	dst = appendComment(dst, title)
	for _, item := range list {
		dst = appendComment(dst, "- "+strings.ReplaceAll(item, "\n", "\n  "))
	}
	return dst
}

// appendComment appends text as comments. A line end in it is one of ours:
// untrusted text has none (quote).
func appendComment(dst []byte, text string) []byte {
	for line := range strings.SplitSeq(text, "\n") {
		dst = append(append(append(dst, "# "...), line...), '\n')
	}
	return dst
}

// verify parses what was written and judges by it what it is to allow: nobody
// should sign what does not hold.
func (s *suggester) verify() error {
	p, err := policy.Parse(s.result.Text)
	if err != nil {
		return fmt.Errorf("the policy came out wrong, which is a bug: %w", err)
	}
	if want := len(s.base.Rules) + s.result.Rules; p.Name != s.Name || p.Version != *s.Version || len(p.Rules) != want {
		return fmt.Errorf("the policy came out wrong, which is a bug: %d rules, not %d", len(p.Rules), want)
	}
	for _, c := range s.checks {
		if j := p.Judge(c.op, &c.facts); j.Action != policy.Allow {
			return fmt.Errorf("the policy came out wrong, which is a bug: it does not allow %v", &p.Rules[j.Rule])
		}
	}
	return nil
}

package policy_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy/policytest"
)

// agreeLenient compares ParseLenient with the slow parser and with strict, what
// Parse makes of the text, if it takes it.
func agreeLenient(t *testing.T, text []byte, strict *policy.Policy) {
	t.Helper()
	p, unknown, err := policy.ParseLenient(text)
	var got syscall.Errno
	if err != nil && !errors.As(err, &got) {
		t.Fatalf("ParseLenient(%q): %v", text, err)
	}
	if want := slowVerdict(text, true); got != want {
		t.Errorf("ParseLenient(%q): %v, want %v", text, err, want)
	}
	switch {
	case err != nil && strict != nil:
		t.Errorf("Parse takes %q, and ParseLenient does not", text)
	case err != nil:
		return
	case strict != nil && (len(unknown) > 0 || !cmp.Equal(p, strict)):
		t.Errorf("%q has %v: %s", text, unknown, cmp.Diff(strict, p))
	case strict == nil && len(unknown) == 0:
		t.Errorf("ParseLenient takes %q, Parse does not, and no word is named", text)
	}
	lines := policy.Lines(text)
	for _, u := range unknown {
		if line := lines[u.Line-1]; !bytes.HasPrefix(line[u.Column-1:], []byte(u.Word)) {
			t.Errorf("%q does not stand at line %d, column %d of %q", u.Word, u.Line, u.Column, text)
		}
		if strings.ContainsFunc(u.String(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("not printable: %q", u.String())
		}
	}
	written, _ := p.AppendText(nil)
	q, again, err := policy.ParseLenient(written)
	if err != nil || len(again) != len(unknown) {
		t.Fatalf("%q reads back with %v, %v", written, again, err)
	}
	if diff := cmp.Diff(p, q, cmpopts.IgnoreFields(policy.Rule{}, "Line"), cmpopts.IgnoreFields(policy.Policy{}, "Line"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q reads back as (-was +is):\n%s", written, diff)
	}
}

// unknown is text with some of its words changed to such that are not known.
func withUnknown(r *rand.Rand, text []byte) []byte {
	ops := []string{"op=READ", "op=BPF_PROG_LOAD", "op=KERNEL_READ", "op=X2"}
	properties := []string{"bpf_signature=OK", "anonymous_memory=TRUE", `intended_pathname=/usr/bin/"x"`, "x=\xff"}
	bad := []string{"op=lower", "Upper=x", "x_9=", "op=", "path=#x"}
	for i, known := range []string{"op=EXECUTE", "op=KMODULE", "boot_verified=TRUE", "dmverity_signature=FALSE"} {
		for r.IntN(3) == 0 {
			words := [][]string{ops, ops, properties, properties}[i]
			if r.IntN(20) == 0 {
				words = bad
			}
			text = bytes.Replace(text, []byte(known), []byte(words[r.IntN(len(words))]), 1)
		}
	}
	return text
}

func TestLenientAgreesWithTheSlowParser(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 0))
	accepted := 0
	for _, text := range policytest.Texts(4, 3000) {
		text = withUnknown(r, text)
		agree(t, text)
		if _, unknown, err := policy.ParseLenient(text); err == nil && len(unknown) > 0 {
			accepted++
		}
	}
	if accepted < 300 {
		t.Errorf("%d texts with unknown words are taken: too few to test with", accepted)
	}
}

func FuzzParseLenient(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 0))
	for _, text := range policytest.Texts(6, 50) {
		f.Add(withUnknown(r, text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text) })
}

const header = "policy_name=p policy_version=1.0.0\n"

func parseLenient(t *testing.T, text string) (*policy.Policy, []policy.UnknownWord) {
	t.Helper()
	p, unknown, err := policy.ParseLenient([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p, unknown
}

func TestUnknownWordsAreNamed(t *testing.T) {
	t.Parallel()
	_, unknown := parseLenient(t, header+"DEFAULT action=DENY\nop=READ  intended_pathname=/a action=ALLOW # x\nop=EXECUTE bpf_kernel=TRUE new_1=x action=ALLOW\nDEFAULT op=TOMORROW action=DENY\n")
	var got []string
	for _, u := range unknown {
		got = append(got, u.Refusal().Error())
	}
	const text = " is not known to this version; a newer or vendor kernel may take it"
	want := []string{
		`line 3, column 1: "op=READ"` + text + " (Azure Linux does) (EBADMSG)",
		`line 3, column 10: "intended_pathname=/a"` + text + " (Azure Linux does) (EBADMSG)",
		`line 4, column 12: "bpf_kernel=TRUE"` + text + " (it stands in the Hornet patches of 2026, which are pending) (EBADMSG)",
		`line 4, column 28: "new_1=x"` + text + " (EBADMSG)",
		`line 5, column 9: "op=TOMORROW"` + text + " (EBADMSG)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLenientIsNotLax(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"op=read action=ALLOW", "op=UNKNOWN action=ALLOW", "op= action=ALLOW", "READ action=ALLOW", "op=EXECUTE op=READ action=ALLOW",
		"op=EXECUTE boot_verified=MAYBE action=ALLOW", "op=EXECUTE policy_name=x action=ALLOW", "op=EXECUTE action=ALLOW action=ALLOW",
		"op=EXECUTE x action=ALLOW", "op=EXECUTE x= action=ALLOW", "op=EXECUTE X=1 action=ALLOW", "op=READ action=AUDIT", "DEFAULT op=READ x=1 action=DENY",
		"DEFAULT op=READ action=DENY\nDEFAULT op=READ action=DENY", "op=" + strings.Repeat("X", 65) + " action=ALLOW", "x=1 op=EXECUTE action=ALLOW",
	} {
		if p, _, err := policy.ParseLenient([]byte(header + "DEFAULT action=DENY\n" + rule + "\n")); !errors.Is(err, syscall.EBADMSG) {
			t.Errorf("%s: %v, %v", rule, p, err)
		}
	}
}

func TestWhatHangsOnAnUnknownWordIsNotKnown(t *testing.T) {
	t.Parallel()
	const deny = header + "DEFAULT action=DENY\n"
	for _, tt := range []struct {
		name, text string
		op         policy.Op
		want       policy.Judgement
	}{
		{"a property", deny + "op=EXECUTE intended_pathname=/a action=ALLOW", "EXECUTE", policy.Judgement{Rule: 0, Maybe: []int{1}}},
		{"a property of another operation", deny + "op=KMODULE x=1 action=ALLOW", "EXECUTE", policy.Judgement{Action: policy.Deny}},
		{"with one that does not hold", deny + "op=EXECUTE x=1 boot_verified=TRUE action=ALLOW", "EXECUTE", policy.Judgement{Action: policy.Deny}},
		{"behind the rule that decides", deny + "op=EXECUTE action=ALLOW\nop=EXECUTE x=1 action=DENY", "EXECUTE", policy.Judgement{Action: policy.Allow, Rule: 1}},
		{"it makes no difference", deny + "op=EXECUTE x=1 action=DENY", "EXECUTE", policy.Judgement{Action: policy.Deny, Maybe: []int{1}}},
		{"an operation without a rule", deny, "READ", policy.Judgement{Action: policy.Deny}},
		{"an operation", deny + "op=READ action=ALLOW", "READ", policy.Judgement{Maybe: []int{1}}},
		{"an operation that nobody has heard of", deny + "op=NEW_2 action=ALLOW", "NEW_2", policy.Judgement{Maybe: []int{1}}},
		{"a default of it", deny + "DEFAULT op=READ action=ALLOW", "READ", policy.Judgement{Maybe: []int{1}}},
		{"a default of another one", deny + "DEFAULT op=READ action=ALLOW", "EXECUTE", policy.Judgement{Action: policy.Deny}},
		{"an alias", deny + "op=KERNEL_READ action=ALLOW", "KMODULE", policy.Judgement{Maybe: []int{1}}},
		{"an alias that is not for it", deny + "op=KERNEL_READ action=ALLOW", "EXECUTE", policy.Judgement{Action: policy.Deny}},
		{"a default of an alias", header + "DEFAULT op=KERNEL_READ action=DENY\nDEFAULT op=EXECUTE action=DENY", "KMODULE", policy.Judgement{Rule: -1, Maybe: []int{0}}},
		{"its own default before that", deny + "DEFAULT op=KERNEL_READ action=ALLOW\nDEFAULT op=KMODULE action=DENY", "KMODULE", policy.Judgement{Action: policy.Deny, Rule: 2}},
		{"no default for it", header + "DEFAULT op=KERNEL_READ action=DENY\nDEFAULT op=EXECUTE action=DENY", "READ", policy.Judgement{Rule: -1}},
	} {
		p, _ := parseLenient(t, tt.text)
		facts := policy.NoFile()
		if diff := cmp.Diff(tt.want, p.Judge(tt.op, &facts), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestJudgementsHoldWhateverUnknownWordsMean makes known words of the unknown
// ones in every way: an action that was said is that of all.
func TestJudgementsHoldWhateverUnknownWordsMean(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 0))
	said := 0
	for _, text := range policytest.Texts(8, 2000) {
		p, unknown, err := policy.ParseLenient(withUnknown(r, text))
		if err != nil || len(unknown) == 0 {
			continue
		}
		facts := policy.NoFile()
		for _, op := range append(policy.Ops(), "READ", "X2") {
			j := p.Judge(op, &facts)
			if j.Action == policy.ActionNone {
				continue
			}
			said++
			for range 8 {
				q := meant(r, p)
				if got := q.Judge(op, &facts).Action; got != j.Action && op.Known() {
					text, _ := p.AppendText(nil)
					t.Fatalf("%v is %v, but %v when the words mean something:\n%s", op, j.Action, got, text)
				}
			}
		}
	}
	if said < 1000 {
		t.Errorf("%d judgements: too few to test with", said)
	}
}

// meant gives each unknown word one of its meanings: a property holds or not,
// and KERNEL_READ stands for an operation or not.
func meant(r *rand.Rand, p *policy.Policy) *policy.Policy {
	q := &policy.Policy{Name: p.Name}
	holds := r.IntN(2) == 0
	var late []policy.Rule
	for _, rule := range p.Rules {
		var known []policy.Property
		never := false
		for _, property := range rule.Properties {
			if property.Key != policy.KeyOther {
				known = append(known, property)
			} else if r.IntN(2) == 0 {
				never = true
			}
		}
		rule.Properties = known
		switch {
		case never:
		case rule.Op == "KERNEL_READ" && holds && rule.Default:
			for _, op := range policy.Ops()[1:] {
				rule.Op = op
				late = append(late, rule)
			}
		case rule.Op == "KERNEL_READ" && holds:
			for _, op := range policy.Ops()[1:] {
				rule.Op = op
				q.Rules = append(q.Rules, rule)
			}
		default:
			q.Rules = append(q.Rules, rule)
		}
	}
	for _, rule := range late {
		if own := q.Default(rule.Op); own < 0 || q.Rules[own].Op == policy.OpNone {
			q.Rules = append(q.Rules, rule)
		}
	}
	return q
}

func TestSizeOfAPolicy(t *testing.T) {
	t.Parallel()
	const most = 65535 - 1233
	for n, want := range map[int]error{0: nil, most: nil, most + 1: syscall.EMSGSIZE, 1 << 30: syscall.EMSGSIZE} {
		if err := policy.CheckSize(n); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("CheckSize(%d) = %v, want %v", n, err, want)
		}
	}
}

package policy_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy/policytest"
)

// agree compares the verdicts on one text, and what was read with what its own
// text says.
func agree(t *testing.T, text []byte) (accepted bool) {
	t.Helper()
	p, err := policy.Parse(text)
	var parse *policy.Error
	errors.As(err, &parse)
	var got syscall.Errno
	switch {
	case parse != nil:
		got = parse.Errno
		if parse.Line < 1 || parse.Column < 1 || strings.ContainsFunc(parse.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("error %q of %q", parse.Error(), text)
		}
	case err != nil || p == nil:
		t.Fatalf("Parse(%q) = %v, %v", text, p, err)
	}
	if want := slowVerdict(text, false); got != want {
		t.Errorf("Parse(%q): %v, want %v", text, err, want)
	}
	agreeLenient(t, text, p)
	if err != nil {
		return false
	}
	again, err := p.AppendText([]byte("# "))
	if err != nil {
		t.Fatal(err)
	}
	q, err := policy.Parse(append([]byte("# \n"), again[2:]...))
	if err != nil {
		t.Errorf("the text of a policy is %q: %v", again, err)
	}
	if diff := cmp.Diff(p, q, cmpopts.IgnoreFields(policy.Rule{}, "Line"), cmpopts.IgnoreFields(policy.Policy{}, "Line"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q reads back as (-was +is):\n%s", again, diff)
	}
	return true
}

func TestParseAgreesWithTheSlowParserOnTraps(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, trap := range policytest.Traps() {
		if names[trap.Name] {
			t.Errorf("two traps %q", trap.Name)
		}
		names[trap.Name] = true
		agree(t, trap.Text)
	}
}

func TestParseAgreesWithTheSlowParserOnTexts(t *testing.T) {
	t.Parallel()
	const n = 1000
	accepted := 0
	for _, text := range policytest.Texts(1, n) {
		if agree(t, text) {
			accepted++
		}
	}
	if accepted < n/4 || accepted > n*3/4 {
		t.Errorf("%d of %d texts are valid: too one-sided to test with", accepted, n)
	}
}

func FuzzParse(f *testing.F) {
	for _, trap := range policytest.Traps() {
		if len(trap.Text) < 1000 {
			f.Add(trap.Text)
		}
	}
	for _, text := range policytest.Texts(2, 50) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text) })
}

func TestParseReadsEverything(t *testing.T) {
	t.Parallel()
	got, err := policy.Parse([]byte(`# a policy
policy_name=lab policy_version=1.20.300

DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY # strict
op=EXECUTE boot_verified=TRUE action=ALLOW
op=KMODULE fsverity_digest=sha256:00FF dmverity_signature=FALSE action=DENY
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &policy.Policy{Name: "lab", Version: policy.Version{1, 20, 300}, Line: 2, Rules: []policy.Rule{
		{Default: true, Action: policy.Allow, Line: 4},
		{Default: true, Op: policy.OpExecute, Action: policy.Deny, Line: 5},
		{Op: policy.OpExecute, Properties: []policy.Property{{Key: policy.BootVerified, Value: true}}, Action: policy.Allow, Line: 6},
		{Op: policy.OpKModule, Properties: []policy.Property{
			{Key: policy.FSVerityDigest, Digest: policy.Digest{Algorithm: "sha256", Sum: []byte{0, 0xff}}}, {Key: policy.DMVeritySignature},
		}, Action: policy.Deny, Line: 7},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, _ := got.AppendText(nil)
	const wantText = `policy_name=lab policy_version=1.20.300
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
op=KMODULE fsverity_digest=sha256:00ff dmverity_signature=FALSE action=DENY
`
	if diff := cmp.Diff(wantText, string(text)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	t.Parallel()
	const header = "policy_name=p policy_version=1.0.0\n"
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "line 1, column 1: there is no header: begin with policy_name=NAME policy_version=1.0.0 (EBADMSG)"},
		{"no version", "\npolicy_name=p # x", "line 2, column 14: the header ends without policy_version= (EBADMSG)"},
		{"version too large", "policy_name=p  policy_version=1.65536.0", `line 1, column 31: "1.65536.0" is no version: it is three numbers up to 65535 with points between (ERANGE)`},
		{"no number", "policy_name=p policy_version=1.x.0", `line 1, column 30: "1.x.0" is no version: it is three numbers up to 65535 with points between (EINVAL)`},
		{"no default", header + "op=EXECUTE action=ALLOW\n", "line 2, column 1: nothing decides where no rule matches: add DEFAULT action=DENY, or a DEFAULT for every operation (EBADMSG)"},
		{"DOS line ends count once", header + "\r\n\r\nDEFAULT  action=X\r\n", `line 4, column 10: "action=X" in place of the action: a rule ends with action=ALLOW or action=DENY (EBADMSG)`},
		{"bad digest", header + "op=EXECUTE\tfsverity_digest=sha256:0 action=ALLOW", `line 2, column 12: "fsverity_digest=sha256:0" has no digest of pairs of hex digits (EINVAL)`},
		{"second default", header + "DEFAULT action=DENY\n DEFAULT action=DENY", "line 3, column 2: the same DEFAULT stands in line 2 (EBADMSG)"},
		{"no payload reaches the terminal", "\x1b[31m" + strings.Repeat("x", 1000), `line 1, column 1: "\x1b[31m` + strings.Repeat("x", 55) + `"... in place of policy_name=...: the first line is policy_name=NAME policy_version=1.0.0 (EBADMSG)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := policy.Parse([]byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestPropertyIsOneWord: what ParseProperty takes may be put into a policy, and
// is one property there.
func TestPropertyIsOneWord(t *testing.T) {
	t.Parallel()
	for _, end := range []string{" ", "\t", "\n", "\r", "#", "\x00", "\nop=EXECUTE action=ALLOW\n#"} {
		for _, text := range []string{"fsverity_digest=sha256" + end + ":00", "fsverity_digest=" + end + "sha256:00"} {
			if p, err := policy.ParseProperty(text); err == nil {
				t.Errorf("%q is taken for %q", text, p)
			}
		}
	}
	if _, err := policy.ParseProperty("fsverity_digest=\xa0\x1b:00"); err != nil {
		t.Errorf("the kernel takes any name for an algorithm: %v", err)
	}
}

func TestCheckNameKnowsWhatSecurityfsRefuses(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"lab": nil, `we"ird`: nil, "...": nil, "\xff": nil, strings.Repeat("n", 255): nil,
		"": syscall.EBADMSG, "a b": syscall.EBADMSG, "a#": syscall.EBADMSG, "a\x00": syscall.EBADMSG, "a\rb": syscall.EBADMSG,
		".": syscall.EACCES, "..": syscall.EACCES, "a/b": syscall.EACCES, strings.Repeat("n", 256): syscall.ENAMETOOLONG,
	} {
		if err := policy.CheckName(name); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("CheckName(%q) = %v, want %v", name, err, want)
		}
	}
}

func TestVersionsAreOrderedAndRaised(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v, next policy.Version
		ok      bool
	}{
		{policy.Version{}, policy.Version{0, 0, 1}, true},
		{policy.Version{1, 2, 65535}, policy.Version{1, 3, 0}, true},
		{policy.Version{1, 65535, 65535}, policy.Version{2, 0, 0}, true},
		{policy.Version{65535, 65535, 65535}, policy.Version{}, false},
	} {
		next, ok := tt.v.Next()
		if next != tt.next || ok != tt.ok || ok && tt.v.Compare(next) != -1 {
			t.Errorf("%v.Next() = %v, %v, want %v, %v", tt.v, next, ok, tt.next, tt.ok)
		}
	}
}

func TestLinesAreThoseThatErrorsCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                  nil,
		"\n":                {"\n"},
		"a\nb":              {"a\n", "b"},
		"a\r\n\r\nb\rc\n\r": {"a\r\n", "\r\n", "b\r", "c\n", "\r"},
		"a\n\x00b\n":        {"a\n"},
	} {
		var got []string
		for _, line := range policy.Lines([]byte(text)) {
			got = append(got, string(line))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

package policy_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func ExampleCheck() {
	_, findings := policy.Check([]byte(`policy_name=lab policy_version=1.0.0
DEFAULT action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
op=EXECUTE boot_verified=TRUE fsverity_signature=FALSE action=DENY
op=EXECUT action=ALLOW
`))
	for _, f := range findings {
		fmt.Printf("%d:%d: %s\n", f.Line, f.Column, f.Reason)
	}
	// Output:
	// 4:1: this rule never decides: the rule in line 3 matches whatever this one does, and stands before it
	// 5:1: "op=EXECUT" is taken by no released kernel (6.12 to 7.3)
}

func TestCheckFindsEverything(t *testing.T) {
	t.Parallel()
	const head = "policy_name=lab policy_version=1.0.0\nDEFAULT action=DENY\n"
	sum := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name, text string
		want       []string // line:column errno part
	}{
		{"good", head + "op=EXECUTE boot_verified=TRUE action=ALLOW\nop=EXECUTE dmverity_roothash=sha256:" + sum + " action=ALLOW\n", nil},
		{"empty", "", []string{"1:1 74 no header"}},
		{"no header", "op=EXECUTE action=ALLOW\nnonsense\n", []string{"1:1 74 in place of policy_name=", "2:1 74 in place of the action", "2:1 74 nothing decides"}},
		{"all mistakes, in their order", head + "op=EXECUTE boot_verified=1 action=ALLOW\nDEFAULT action=DENY\nop=EXECUTE\n", []string{
			"3:12 74 neither TRUE nor FALSE", "4:1 74 the same DEFAULT", "5:1 74 in place of the action"}},
		{"missing defaults", "policy_name=lab policy_version=1.0.0\nDEFAULT op=EXECUTE action=DENY\nDEFAULT op=POLICY action=DENY\n", []string{
			"3:1 74 no rule for FIRMWARE, KMODULE, KEXEC_IMAGE, KEXEC_INITRAMFS, X509_CERT matches"}},
		{"a default that is wrong is not missing too", "policy_name=lab policy_version=1.0.0\nDEFAULT action=MAYBE\n", []string{"2:9 74 action=MAYBE"}},
		{"name", "policy_name=a/b policy_version=1.0.0\nDEFAULT action=DENY\n", []string{"1:1 13 directory"}},
		{"words", head + "op=READ action=ALLOW\nop=EXECUTE anonymous_memory=TRUE action=ALLOW\nop=EXECUTE verified=TRUE action=ALLOW\n", []string{
			"3:1 0 Azure Linux", "4:12 0 pending", "5:12 74 no released kernel"}},
		{"shadowed by less", head + "op=EXECUTE action=ALLOW\n  op=EXECUTE boot_verified=TRUE action=DENY\n", []string{"4:3 0 the rule in line 3"}},
		{"the same again", head + "op=EXECUTE boot_verified=TRUE action=ALLOW\nop=EXECUTE boot_verified=TRUE action=DENY\n", []string{"4:1 0 the rule in line 3"}},
		{"not of another operation", head + "op=KMODULE action=ALLOW\nop=EXECUTE boot_verified=TRUE action=DENY\n", nil},
		{"shadowed by two", head + "op=EXECUTE boot_verified=TRUE action=ALLOW\nop=EXECUTE boot_verified=FALSE action=DENY\nop=EXECUTE fsverity_signature=TRUE dmverity_signature=FALSE action=ALLOW\nop=EXECUTE dmverity_signature=FALSE action=ALLOW\n", []string{
			"5:1 0 the rule in line 4", "6:1 0 one of the rules above"}},
		{"a signature has a digest", head + "op=EXECUTE fsverity_signature=TRUE action=ALLOW\nop=EXECUTE fsverity_digest=sha256:" + sum + " action=DENY\n", nil},
		{"excluding", head + "op=EXECUTE boot_verified=TRUE boot_verified=FALSE action=ALLOW\n", []string{"3:1 0 exclude each other"}},
		{"two digests", head + "op=EXECUTE fsverity_digest=sha256:" + sum + " fsverity_digest=sha256:" + strings.Repeat("cd", 32) + " action=ALLOW\n", []string{"3:1 0 exclude each other"}},
		{"verity in the initramfs", head + "op=EXECUTE boot_verified=TRUE dmverity_signature=TRUE action=ALLOW\n", []string{"3:1 0 exclude each other"}},
		{"short digest", head + "op=EXECUTE fsverity_digest=sha256:abcd action=ALLOW\n", []string{"3:1 0 has 2 bytes, and those of sha256 have 32"}},
		{"no digest", head + "op=EXECUTE dmverity_roothash=sha256: action=ALLOW\n", []string{"3:1 0 is empty"}},
		{"no such fs-verity", head + "op=EXECUTE fsverity_digest=sha1:" + strings.Repeat("ab", 20) + " action=ALLOW\n", []string{"3:1 0 sha256 and sha512"}},
		{"any dm-verity", head + "op=EXECUTE dmverity_roothash=blake2b-256:" + sum + " action=ALLOW\n", nil},
		{"too large", head + strings.Repeat("# comment\n", 7000), []string{"6427:6 90"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, findings := policy.Check([]byte(c.text))
			if len(findings) != len(c.want) {
				t.Fatalf("got %v, want %q", findings, c.want)
			}
			for i, f := range findings {
				got := fmt.Sprintf("%d:%d %d %s", f.Line, f.Column, int(f.Errno), f.Reason)
				place, part, _ := strings.Cut(c.want[i], " ")
				errno, part, _ := strings.Cut(part, " ")
				if !strings.HasPrefix(got, place) || errno != "" && !strings.HasPrefix(got, place+" "+errno+" ") || !strings.Contains(got, part) || strings.Contains(got, "\n") {
					t.Errorf("got %q, want %q", got, c.want[i])
				}
			}
		})
	}
}

func TestTooLargeIsSaidWhereItBegins(t *testing.T) {
	t.Parallel()
	text := []byte("policy_name=lab policy_version=1.0.0\nDEFAULT action=DENY\n")
	for len(text) <= policy.MaxSigned {
		text = append(text, "# 9 bytes\n"...)
	}
	_, findings := policy.Check(text)
	if len(findings) != 1 || findings[0].Errno != syscall.EMSGSIZE {
		t.Fatalf("got %v", findings)
	}
	f, offset := findings[0], 0
	for i, line := range policy.Lines(text) {
		if i+1 < f.Line {
			offset += len(line)
		}
	}
	if offset += f.Column - 1; offset != policy.MaxSigned-policy.SignatureAllowance {
		t.Errorf("%d:%d is offset %d", f.Line, f.Column, offset)
	}
}

// TestCheckRefusesWhatParseRefuses compares both over texts that nearly are
// policies.
func TestCheckRefusesWhatParseRefuses(t *testing.T) {
	t.Parallel()
	lines := []string{
		"DEFAULT action=DENY", "DEFAULT op=EXECUTE action=ALLOW", "op=EXECUTE action=ALLOW", "op=KMODULE boot_verified=TRUE action=DENY",
		"op=EXECUTE boot_verified=2 action=DENY", "DEFAULT", "# comment", "", "op=FIRMWARE fsverity_digest=sha256:zz action=ALLOW", "op=EXECUTE fsverity_digest=: action=ALLOW",
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte("policy_name=lab policy_version=1.0.0\n" + strings.Join(rapid.SliceOf(rapid.SampledFrom(lines)).Draw(t, "lines"), "\n"))
		_, err := policy.Parse(text)
		_, findings := policy.Check(text)
		var first *policy.Finding
		for i := range findings {
			if findings[i].Errno != 0 {
				first = &findings[i]
				break
			}
		}
		if (err == nil) != (first == nil) {
			t.Fatalf("Parse: %v, Check: %v", err, findings)
		}
		if wrong, ok := err.(*policy.Error); ok {
			got := policy.Error{Line: first.Line, Column: first.Column, Errno: first.Errno, Reason: first.Reason}
			if diff := cmp.Diff(*wrong, got); diff != "" {
				t.Fatalf("%s", diff)
			}
		}
	})
}

// TestRulesThatNeverDecideNeverDo judges every possible object: a rule that is said
// never to decide is never the one.
func TestRulesThatNeverDecideNeverDo(t *testing.T) {
	t.Parallel()
	digest := func(b byte) policy.Digest {
		return policy.Digest{Algorithm: "sha256", Sum: []byte(strings.Repeat(string(rune(b)), 32))}
	}
	properties := []string{"boot_verified=TRUE", "boot_verified=FALSE", "dmverity_signature=TRUE", "dmverity_signature=FALSE",
		"fsverity_signature=TRUE", "fsverity_signature=FALSE", "fsverity_digest=" + digest('a').String(), "fsverity_digest=" + digest('b').String(), "dmverity_roothash=" + digest('a').String()}
	var objects []policy.Facts
	digests := []policy.DigestFact{{Has: policy.False}, {Has: policy.True, Digest: digest('a')}, {Has: policy.True, Digest: digest('b')}, {Has: policy.True, Digest: digest('c')}}
	for bits := range 8 {
		for _, root := range digests {
			for _, file := range digests {
				b, d, f := bits&1 != 0, bits&2 != 0, bits&4 != 0
				if d && root.Has != policy.True || f && file.Has != policy.True || b && (root.Has == policy.True || file.Has == policy.True) {
					continue
				}
				objects = append(objects, policy.Facts{BootVerified: policy.TruthOf(b), DMVeritySignature: policy.TruthOf(d),
					FSVeritySignature: policy.TruthOf(f), DMVerityRootHash: root, FSVerityDigest: file})
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := "policy_name=lab policy_version=1.0.0\nDEFAULT action=DENY\n"
		for range rapid.IntRange(1, 8).Draw(t, "rules") {
			text += strings.TrimSpace("op=EXECUTE "+strings.Join(rapid.SliceOfN(rapid.SampledFrom(properties), 0, 3).Draw(t, "properties"), " ")) + " action=ALLOW\n"
		}
		p, findings := policy.Check([]byte(text))
		never := make(map[int]bool)
		for _, f := range findings {
			never[f.Line] = true
		}
		decided := make(map[int]bool)
		for _, o := range objects {
			if j := p.Judge(policy.OpExecute, &o); j.Rule >= 0 {
				decided[p.Rules[j.Rule].Line] = true
			}
		}
		for _, r := range p.Rules[1:] {
			if never[r.Line] == decided[r.Line] {
				t.Fatalf("line %d: said never to decide: %v, decides: %v\n%s", r.Line, never[r.Line], decided[r.Line], text)
			}
		}
	})
}

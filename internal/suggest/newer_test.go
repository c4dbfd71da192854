package suggest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// sealedFiles are denials of n files with a digest of the usual length each.
func sealedFiles(n int) []Denial {
	var denials []Denial
	for i := range n {
		denials = append(denials, denial(fmt.Sprintf("/sealed/%032d", i), 1))
	}
	return denials
}

// TestSuggestIsLoadableOrNoPolicy: comments give way to the kernel's limit, and
// what is above it even then is all comments.
func TestSuggestIsLoadableOrNoPolicy(t *testing.T) {
	t.Parallel()
	comment := "# " + strings.Repeat("x", 50_000) + "\n"
	base := "policy_name=p policy_version=1.0.0 # v1\nDEFAULT action=DENY # strict\n"
	for _, tt := range []struct {
		name          string
		o             Options
		trimmed, keep string // a part of Trimmed; text that stays
		tooLarge      bool
	}{
		{"few", Options{Denials: sealedFiles(100)}, "", "# /sealed/", false},
		{"many", Options{Denials: append(sealedFiles(400), denial("/tmp/x", 1))}, "what each rule is for", "# - /tmp/x", false},
		{"a base with comments", Options{Base: []byte(comment + base), Denials: sealedFiles(250)}, "all comments", "policy_name=p policy_version=1.0.1 \nDEFAULT action=DENY \nop=", false},
		{"too many", Options{Denials: append(sealedFiles(1000), denial("/signed/x", 1), denial("/tmp/x", 1))}, "", "1 of the\n# 1001 objects here have a signature", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := suggest(t, tt.o)
			p, err := policy.Parse(got.Text)
			switch {
			case tt.tooLarge != errors.Is(got.TooLarge, syscall.EMSGSIZE), tt.tooLarge != (got.TooLarge != nil):
				t.Errorf("too large: %v", got.TooLarge)
			case tt.tooLarge && err == nil:
				t.Error("what the kernel would refuse is a policy")
			case tt.tooLarge:
				for line := range bytes.Lines(got.Text) {
					if !bytes.HasPrefix(line, []byte("#")) && len(line) > 1 {
						t.Errorf("no comment: %s", line)
					}
				}
			case err != nil || policy.CheckSize(len(got.Text)) != nil || len(p.Rules) != 1+got.Rules:
				t.Errorf("%d bytes, %v", len(got.Text), err)
			}
			if !strings.Contains(string(got.Text), tt.keep) {
				t.Errorf("no %q in\n%.2000s", tt.keep, got.Text)
			}
			if (got.Trimmed == "") != (tt.trimmed == "") || !strings.Contains(got.Trimmed, tt.trimmed) {
				t.Errorf("trimmed: %q", got.Trimmed)
			}
		})
	}
}

// TestSuggestSaysElsewhereWhatItLeavesOut: what no rule can allow is not kept
// silent about when there is no room for it in the policy.
func TestSuggestSaysElsewhereWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	denials := sealedFiles(500)
	for i := range 100 {
		denials = append(denials, denial(fmt.Sprintf("/tmp/%d", i), 1))
	}
	got := suggest(t, Options{Denials: denials, Gaps: []string{"some were lost"}})
	if got.TooLarge != nil || strings.Contains(string(got.Text), "/tmp/") || strings.Count(string(got.Notes), "# - /tmp/") != 100 || !strings.Contains(string(got.Notes), "some were lost") {
		t.Errorf("%v, %q, notes:\n%.500s", got.TooLarge, got.Trimmed, got.Notes)
	}
	if _, err := policy.Parse(got.Text); err != nil {
		t.Error(err)
	}
}

// TestAnOperationThatARuleNamedCanBeNamed: words of other kernels are taken from
// their own records.
func TestAnOperationThatARuleNamedCanBeNamed(t *testing.T) {
	t.Parallel()
	const notKnown = "is not known to this version; a newer or vendor kernel may take it"
	for _, tt := range []struct {
		op    string
		named bool
		rule  bool
		want  string
	}{
		{"READ", true, true, `# "op=READ" ` + notKnown + " (Azure Linux does)\nop=READ fsverity_digest=sha256:78 action=ALLOW\n"},
		{"BPF_PROG_LOAD", false, true, "op=BPF_PROG_LOAD fsverity_digest=sha256:78 action=ALLOW\n"},
		{"UNHEARD_OF_1", true, true, "op=UNHEARD_OF_1 fsverity_digest=sha256:78 action=ALLOW\n"},
		{"UNHEARD_OF_1", false, false, `why: "op=UNHEARD_OF_1" ` + notKnown + "\n#     what would help: if rules of this kernel name it, write by hand: op=UNHEARD_OF_1 fsverity_digest=sha256:78 action=ALLOW\n"},
		{"UNKNOWN", true, false, "why: no rule can name the operation UNKNOWN\n"},
		{"no name", true, false, `why: no rule can name the operation "no name"` + "\n"},
	} {
		d := denial("/sealed/x", 1)
		d.Op, d.Named = tt.op, tt.named
		for _, base := range []string{"", "policy_name=p policy_version=1.0.0\nDEFAULT action=DENY\nop=READ intended_pathname=/x action=ALLOW\nop=READ boot_verified=TRUE action=DENY\n"} {
			o := Options{Denials: []Denial{d}}
			if base != "" {
				o.Base = []byte(base)
			}
			got := suggest(t, o)
			if !strings.Contains(string(got.Text), tt.want) || (got.Rules == 1) != tt.rule {
				t.Errorf("%s, named %v: %d rules, want %q in\n%s", tt.op, tt.named, got.Rules, tt.want, got.Text)
			}
			if tt.rule && (len(got.Unknown) != 1 || got.Unknown[0].Word != "op="+tt.op) {
				t.Errorf("%s: %v", tt.op, got.Unknown)
			}
		}
	}
}

func TestSuggestOverrulesNoDenialThatIsNotKnown(t *testing.T) {
	t.Parallel()
	const base = "policy_name=p policy_version=1.0.0\nDEFAULT action=ALLOW\nop=EXECUTE intended_pathname=/sealed/x action=DENY\n"
	got := suggest(t, Options{Base: []byte(base), Denials: []Denial{denial("/sealed/x", 1)}})
	if text := string(got.Text); got.Rules != 0 || !strings.Contains(text, "why: line 3 of base.pol may deny it by name: op=EXECUTE intended_pathname=/sealed/x action=DENY") {
		t.Errorf("%d rules:\n%s", got.Rules, text)
	}
}

// TestRemedyFitsTheError: what is advised against an error helps against it.
func TestRemedyFitsTheError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		root bool
		want string
	}{
		{syscall.EACCES, false, "run suggest as root"},
		{syscall.EPERM, false, "run suggest as root"},
		{syscall.EACCES, true, "root may not look at it from here either"},
		{syscall.ENAMETOOLONG, true, "shorter path"},
		{syscall.ENAMETOOLONG, false, "shorter path"},
		{syscall.ELOOP, true, "symbolic links"},
		{syscall.EIO, true, "file system itself fails"},
		{syscall.ENOKEY, true, "verify the file's signature"},
		{&fs.PathError{Op: "open", Path: "/x", Err: syscall.EMFILE}, true, "room for it"},
		{os.ErrNotExist, true, "/sys are mounted"},
		{nil, true, "run suggest again"},
		{syscall.EOVERFLOW, false, "run suggest again"},
	} {
		if got := unreadable(tt.err, tt.root); !strings.Contains(got, tt.want) || strings.Contains(got, "as root") != (tt.want == "run suggest as root") {
			t.Errorf("%v, root %v: %s", tt.err, tt.root, got)
		}
	}
	long := "/" + strings.Repeat("x/", 3000)
	r := fileprops.New().Measure(fileprops.Object{Path: long, Dev: "vda", Ino: 1})
	if r.State != fileprops.StateUnreadable || !errors.Is(r.Err, syscall.ENAMETOOLONG) {
		t.Errorf("a long path: %v, %v", r.State, r.Err)
	}
}

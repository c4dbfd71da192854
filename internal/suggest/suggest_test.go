package suggest

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

var update = flag.Bool("update", false, "write what comes out as what is wanted")

func digest(hexa string) policy.DigestFact {
	sum, err := hex.DecodeString(hexa)
	if err != nil {
		panic(err)
	}
	return policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: sum}}
}

// measured is what is known of the objects of these tests, by path.
func measured(o fileprops.Object) fileprops.Result {
	if o.NoFile {
		return fileprops.Result{State: fileprops.StateNoFile, Facts: policy.NoFile()}
	}
	r := fileprops.Result{State: fileprops.StateMeasured, Facts: policy.NoFile(), Path: o.Path, Verity: fileprops.VerityEnabled}
	switch {
	case strings.HasPrefix(o.Path, "/sealed/"):
		r.Facts.FSVerityDigest = digest(hex.EncodeToString([]byte(o.Path[len("/sealed/"):])))
	case strings.HasPrefix(o.Path, "/signed/"):
		r.Facts.FSVerityDigest, r.Facts.FSVeritySignature = digest("0123"), policy.True
	case strings.HasPrefix(o.Path, "/volume/"):
		r.Facts.DMVerityRootHash, r.Verity = digest("aa"), fileprops.VerityOff
	case strings.HasPrefix(o.Path, "/signed-volume/"):
		r.Facts.DMVerityRootHash, r.Facts.DMVeritySignature, r.Verity = digest("bb"), policy.True, fileprops.VerityOff
	case strings.HasPrefix(o.Path, "/tmp/"):
		r.Verity, r.NoDevice = fileprops.VerityUnsupported, true
	case strings.HasPrefix(o.Path, "/init"):
		r.Facts.BootVerified, r.NoDevice = policy.True, true
	case strings.HasPrefix(o.Path, "/old/"):
		r.Verity = fileprops.VerityUnsupported
	case strings.HasPrefix(o.Path, "/plain/"):
		r.Verity = fileprops.VerityOff
	case strings.HasPrefix(o.Path, "/gone/"):
		// The device is still there, or another one of that name.
		r = fileprops.Result{State: fileprops.StateGone, Reason: "nothing is at it", Facts: policy.Facts{DMVerityRootHash: digest("aa")}}
	case strings.HasPrefix(o.Path, "/half/"):
		r.Facts.FSVerityDigest = policy.DigestFact{}
		r.Facts.DMVerityRootHash = digest("aa")
	}
	return r
}

// denial is one of n executions of a path.
func denial(path string, n uint64) Denial {
	return Denial{
		Op: "EXECUTE", Hooks: []string{"BPRM_CHECK"}, Denied: n, Since: 1795440701244, Comms: []string{"sh"},
		Object: fileprops.Object{Path: path, Dev: "vdb", Ino: 14},
	}
}

func suggest(t *testing.T, o Options) *Suggestion {
	t.Helper()
	o.Measure, o.BaseName, o.Zone = measured, "base.pol", time.UTC
	s, err := Suggest(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuggestWritesTheNarrowestRules(t *testing.T) {
	t.Parallel()
	memory := Denial{Op: "EXECUTE", Hooks: []string{"MMAP"}, WouldDeny: 12, Object: fileprops.Object{NoFile: true}, Comms: []string{"java"}, Others: true}
	module := denial("/volume/a.ko", 1)
	module.Op = "KMODULE"
	got := suggest(t, Options{
		Denials: []Denial{denial("/sealed/a", 3), denial("/volume/a", 2), denial("/volume/b", 1), module, memory, denial("/signed/a", 1)},
		Gaps:    []string{"17 events were lost"},
	})
	const want = `policy_name=suggested policy_version=1.0.0

# Nothing but what has a rule below. To add the rules to a policy that there is,
# give it with --base.
DEFAULT action=DENY

# /sealed/a dev=vdb ino=14: denied 3 times since 2026-11-23T13:31:41.244Z, by sh
op=EXECUTE fsverity_digest=sha256:61 action=ALLOW

# /volume/a dev=vdb ino=14: denied 2 times since 2026-11-23T13:31:41.244Z, by sh
# /volume/b dev=vdb ino=14: denied once since 2026-11-23T13:31:41.244Z, by sh
# This allows all that is on the same dm-verity volume.
op=EXECUTE dmverity_roothash=sha256:aa action=ALLOW

# /volume/a.ko dev=vdb ino=14 for KMODULE: denied once since 2026-11-23T13:31:41.244Z, by sh
# This allows all that is on the same dm-verity volume.
op=KMODULE dmverity_roothash=sha256:aa action=ALLOW

# /signed/a dev=vdb ino=14: denied once since 2026-11-23T13:31:41.244Z, by sh
op=EXECUTE fsverity_digest=sha256:0123 action=ALLOW

# No rule can allow:
# - anonymous memory: would have been denied 12 times, by java and others
#     why: anonymous memory has none of the properties that a rule can ask for
#     what would help: run the program without code that it makes itself (a JIT compiler), or keep that code in a file that a rule can name

# There may be more than this:
# - 17 events were lost
`
	if diff := cmp.Diff(want, string(got.Text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Rules != 4 || got.Helped != 5 || got.Without != 1 || got.Allowed != 0 {
		t.Errorf("counts: %+v", *got)
	}
}

func TestSuggestAddsToABase(t *testing.T) {
	t.Parallel()
	base, err := os.ReadFile("testdata/base.pol")
	if err != nil {
		t.Fatal(err)
	}
	denials := []Denial{
		denial("/sealed/new", 1), denial("/init", 1), denial("/sealed/bad", 1), denial("/volume/x", 1), denial("/half/x", 1),
		{Op: "KMODULE", Hooks: []string{"KERNEL_READ"}, Object: fileprops.Object{Path: "/sealed/m", Dev: "vdb", Ino: 3}, Denied: 1},
	}
	for _, name := range []string{"base", "signature"} {
		got := suggest(t, Options{Base: base, Denials: append(denials, denial("/signed/a", 1), denial("/signed-volume/a", 1)), Signature: name == "signature"})
		file := "testdata/" + name + ".want"
		if *update {
			if err := os.WriteFile(file, got.Text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got.Text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestSuggestBySignatureOverrulesNoDenialByName(t *testing.T) {
	t.Parallel()
	const base = `policy_name=p policy_version=1.0.0
DEFAULT action=ALLOW
op=EXECUTE boot_verified=FALSE fsverity_signature=TRUE action=DENY
op=EXECUTE fsverity_digest=sha256:bad0 action=DENY
`
	got := suggest(t, Options{Base: []byte(base), Denials: []Denial{denial("/signed/a", 1)}, Signature: true})
	const want = "op=EXECUTE fsverity_digest=sha256:0123 action=ALLOW\n\nop=EXECUTE boot_verified=FALSE"
	if !strings.Contains(string(got.Text), want) || strings.Contains(string(got.Text), "fsverity_signature=TRUE action=ALLOW") {
		t.Errorf("want the digest before the rule that denies:\n%s", got.Text)
	}
}

func TestSuggestListsSomeObjectsOfARule(t *testing.T) {
	t.Parallel()
	var denials []Denial
	for i := range most + 5 {
		denials = append(denials, denial("/volume/"+strings.Repeat("x", i+1), 1))
	}
	got := suggest(t, Options{Denials: denials})
	if text := string(got.Text); got.Rules != 1 || strings.Count(text, "# /volume/") != most || !strings.Contains(text, "\n# and 5 more\n") {
		t.Errorf("got %d rules:\n%s", got.Rules, text)
	}
}

func TestSuggestSaysWhyNoRuleCanHelp(t *testing.T) {
	t.Parallel()
	module := Denial{Op: "KMODULE", Hooks: []string{"KERNEL_LOAD"}, Object: fileprops.Object{NoFile: true, Data: true}, Denied: 1}
	odd := denial("/sealed/x", 1)
	odd.Op = "UNKNOWN"
	odder := denial("/sealed/x", 1)
	odder.Op = "NEW_OP\naction=ALLOW"
	for _, tt := range []struct {
		name        string
		denial      Denial
		why, remedy string
	}{
		{"tmpfs", denial("/tmp/x", 1), "neither fs-verity nor dm-verity", "move the file"},
		{"a file without fs-verity", denial("/plain/my program's", 1), "no fs-verity digest", `fsverity enable $'/plain/my program\'s'`},
		{"a file system without fs-verity", denial("/old/x", 1), "no fs-verity digest", "switch on fs-verity for the file system on vdb"},
		{"the initramfs", denial("/init", 1), "boot_verified=TRUE", "by hand"},
		{"gone", denial("/gone/x", 1), "nothing is at it", "while the process runs"},
		{"data from memory", module, "came without a file", "finit_module"},
		{"no operation", odd, "cannot name the operation UNKNOWN", "DEFAULT"},
		{"an operation of tomorrow", odder, `the operation "NEW_OP\naction=ALLOW"`, "DEFAULT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := suggest(t, Options{Denials: []Denial{tt.denial}})
			text := string(got.Text)
			if !strings.Contains(strings.ReplaceAll(text, "no rule can name", "cannot name"), tt.why) || !strings.Contains(text, tt.remedy) || got.Rules != 0 || got.Without != 1 {
				t.Errorf("got %+v:\n%s", *got, text)
			}
			for line := range strings.Lines(text) {
				if !strings.HasPrefix(line, "# ") {
					t.Errorf("not a comment: %q", line)
				}
			}
		})
	}
}

func TestSuggestRefusesWhatTheKernelWould(t *testing.T) {
	t.Parallel()
	version := func(a, b, c uint16) *policy.Version { return &policy.Version{a, b, c} }
	const base = "policy_name=p policy_version=1.2.3\nDEFAULT action=DENY\n"
	for _, tt := range []struct {
		name string
		o    Options
		want string
		is   error
	}{
		{"a base that is none", Options{Base: []byte("x")}, `base.pol: line 1, column 1: "x" in place of policy_name=`, syscall.EBADMSG},
		{"an empty base", Options{Base: []byte{}}, "base.pol: line 1, column 1: there is no header", syscall.EBADMSG},
		{"a name with a blank", Options{Name: "a b"}, "is no name of a policy", syscall.EBADMSG},
		{"a name that begins a rule", Options{Name: "a\nDEFAULT"}, "is no name of a policy", syscall.EBADMSG},
		{"a name with a slash", Options{Name: "a/b"}, "is no name of a policy", syscall.EACCES},
		{"the same version", Options{Base: []byte(base), Version: version(1, 2, 3)}, "is not above 1.2.3 of base.pol", nil},
		{"no version left", Options{Base: []byte("policy_name=p policy_version=65535.65535.65535\nDEFAULT action=DENY\n")}, "the last version there is", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.o.Measure, tt.o.BaseName = measured, "base.pol"
			s, err := Suggest(tt.o)
			if s != nil || err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, %v, want %q", s, err, tt.want)
			}
		})
	}
	for _, o := range []Options{{Base: []byte(base), Version: version(1, 2, 4)}, {Base: []byte(base), Version: version(0, 0, 1), Name: "q"}, {Version: version(0, 0, 0)}} {
		o.Denials = []Denial{denial("/sealed/a", 1)}
		if got := suggest(t, o); !strings.Contains(string(got.Text), " policy_version="+o.Version.String()+"\n") {
			t.Errorf("version %v:\n%s", o.Version, got.Text)
		}
	}
}

// TestNobodyCanSmuggleARule gives any bytes for everything that those who are
// denied can choose: the policy has the rules that it should, and no others.
func TestNobodyCanSmuggleARule(t *testing.T) {
	t.Parallel()
	nasty := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"\nop=EXECUTE action=ALLOW\n", "\rop=EXECUTE action=ALLOW\r", "\x00", "\"\nDEFAULT action=ALLOW", "\u2028", "\xff\n", "#", "'\\\n",
	}))
	rapid.Check(t, func(t *rapid.T) {
		var denials []Denial
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			d := denial(rapid.SampledFrom([]string{"/sealed/", "/tmp/", "/plain/", "/old/", "/volume/", "", "/gone/"}).Draw(t, "folder")+nasty.Draw(t, "path"), 1)
			d.Comms, d.Object.Dev, d.Op = []string{nasty.Draw(t, "comm")}, nasty.Draw(t, "dev"), rapid.OneOf(rapid.Just("EXECUTE"), nasty).Draw(t, "op")
			denials = append(denials, d)
		}
		s, err := Suggest(Options{Denials: denials, Measure: measured, BaseName: "base"})
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(s.Text) || strings.ContainsFunc(string(s.Text), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Fatalf("not printable: %q", s.Text)
		}
		p, err := policy.Parse(s.Text)
		if s.Rules == 0 {
			if !errors.Is(err, syscall.EBADMSG) {
				t.Fatalf("a policy out of nothing: %v\n%s", err, s.Text)
			}
			return
		}
		if err != nil || len(p.Rules) != 1+s.Rules {
			t.Fatalf("%v\n%s", err, s.Text)
		}
		for _, r := range p.Rules[1:] {
			if r.Default || len(r.Properties) != 1 || !r.Properties[0].Key.IsDigest() {
				t.Fatalf("%v in\n%s", &r, s.Text)
			}
		}
	})
}

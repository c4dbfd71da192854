package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// lab is a policy that a kernel has, with the digest of its blob.
const (
	labText = `# The policy of the lab.
policy_name=lab policy_version=1.0.0
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
DEFAULT op=KMODULE action=ALLOW

op=EXECUTE boot_verified=TRUE action=ALLOW
op=KMODULE boot_verified=FALSE action=DENY
op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW
op=EXECUTE fsverity_digest=sha256:626164 action=DENY
`
	labDigest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of abc
)

// securityfs is that of a kernel in which lab is active.
func securityfs(t *testing.T) *host.Securityfs {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"lsm": "ipe", "ipe/policies/lab/policy": labText, "ipe/policies/lab/active": "1",
		"ipe/policies/lab/version": "1.0.0", "ipe/policies/lab/pkcs7": "abc",
	} {
		file := filepath.Join(root, "kernel/security", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &host.Securityfs{Root: root}
}

// access decodes a record about a path.
func decode(t *testing.T, op, hook, object, rule string) *ipe.Event {
	t.Helper()
	ev := new(ipe.Event)
	text := `audit(1795440701.244:47): ipe_op=` + op + ` ipe_hook=` + hook + ` enforcing=1 pid=570 comm="sh" ` + object + ` rule="` + rule + `"`
	if class := new(ipe.Decoder).Decode(ev, ipe.TypeAccess, []byte(text)); class != ipe.ClassIPE || ev.Kind != ipe.KindAccess {
		t.Fatalf("%s: %v, %v", text, class, ev.Kind)
	}
	return ev
}

func file(path string) string { return `path="` + path + `" dev="vdb" ino=14` }

func TestExplainSaysWhichRuleDecidedAndWhy(t *testing.T) {
	t.Parallel()
	fs := securityfs(t)
	dir := fs.Root + "/kernel/security/ipe/policies/lab/policy"
	e := Explainer{Measure: measured, Securityfs: fs}
	const none = `path=? dev=? ino=?`
	for _, tt := range []struct {
		name   string
		ev     *ipe.Event
		policy ipe.Policy
		want   string // what follows the sentences
	}{
		{"a default", decode(t, "EXECUTE", "BPRM_CHECK", file("/sealed/new"), "DEFAULT op=EXECUTE action=DENY"), lab(), `
  decided by    DEFAULT op=EXECUTE action=DENY
                the default for EXECUTE: no other rule of the policy matched
  policy        lab 1.0.0
                ` + labDigest + `
                line 4 of FILE
  asked before  line 7: op=EXECUTE boot_verified=TRUE action=ALLOW
                  did not match: boot_verified=FALSE
                line 9: op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW
                  did not match: no dmverity_roothash
                line 10: op=EXECUTE fsverity_digest=sha256:626164 action=DENY
                  did not match: fsverity_digest=sha256:6e6577
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, fsverity_digest=sha256:6e6577, fsverity_signature=FALSE
  allowed by    op=EXECUTE fsverity_digest=sha256:6e6577 action=ALLOW
                  anywhere in the policy
`},
		{"a rule with a digest", decode(t, "EXECUTE", "MMAP", file("/sealed/bad"), `op=EXECUTE fsverity_digest="sha256":626164 action=DENY`), lab(), `
  decided by    op=EXECUTE fsverity_digest="sha256":626164 action=DENY
                everything that it asks for held
  policy        lab 1.0.0
                ` + labDigest + `
                line 10 of FILE
  asked before  line 7: op=EXECUTE boot_verified=TRUE action=ALLOW
                  did not match: boot_verified=FALSE
                line 9: op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW
                  did not match: no dmverity_roothash
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, fsverity_digest=sha256:626164, fsverity_signature=FALSE
  allowed by    op=EXECUTE fsverity_digest=sha256:626164 action=ALLOW
                  before line 10
`},
		{"what cannot be known", decode(t, "EXECUTE", "BPRM_CHECK", file("/gone/x"), "DEFAULT op=EXECUTE action=DENY"), lab(), `
  decided by    DEFAULT op=EXECUTE action=DENY
                the default for EXECUTE: no other rule of the policy matched
  policy        lab 1.0.0
                ` + labDigest + `
                line 4 of FILE
  asked before  line 7: op=EXECUTE boot_verified=TRUE action=ALLOW
                  did not match; boot_verified is not known now: nothing is at it
                line 9: op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW
                  did not match: dmverity_roothash=sha256:aa
                line 10: op=EXECUTE fsverity_digest=sha256:626164 action=DENY
                  did not match; fsverity_digest is not known now: nothing is at it
  object now    nothing is at it
                dmverity_roothash=sha256:aa
  no rule helps nothing is at it
                if it was in a container or chroot, run suggest while the process runs; else let it be denied once more while the file is there
`},
		{"what would match by now", decode(t, "EXECUTE", "BPRM_CHECK", file("/init"), "DEFAULT op=EXECUTE action=DENY"), lab(), `
  decided by    DEFAULT op=EXECUTE action=DENY
                the default for EXECUTE: no other rule of the policy matched
  policy        lab 1.0.0
                ` + labDigest + `
                line 4 of FILE
  asked before  line 7: op=EXECUTE boot_verified=TRUE action=ALLOW
                  did not match then, but would now: the object has changed since
                line 9: op=EXECUTE dmverity_roothash=sha256:00ff action=ALLOW
                  did not match: no dmverity_roothash
                line 10: op=EXECUTE fsverity_digest=sha256:626164 action=DENY
                  did not match: no fsverity_digest
  object now    boot_verified=TRUE, no dmverity_roothash, dmverity_signature=FALSE, no fsverity_digest, fsverity_signature=FALSE
  no rule helps it is in the initramfs, and boot_verified=TRUE, the only property that it has, would allow all of that
                if all of the initramfs is meant, write the rule by hand
`},
		{"the global default, of an event that names no policy", decode(t, "FIRMWARE", "KERNEL_LOAD", none, "DEFAULT action=ALLOW"), ipe.Policy{}, `
  decided by    DEFAULT action=ALLOW
                the default for all operations: no rule for FIRMWARE matched, and it has no default of its own
  policy        lab 1.0.0
                ` + labDigest + `
                line 3 of FILE
                which policy judged is not known; this is the one that is active here now
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, no fsverity_digest, fsverity_signature=FALSE
`},
		{"a rule of another policy", decode(t, "KMODULE", "KERNEL_LOAD", none, "DEFAULT op=KMODULE action=DENY"), ipe.Policy{}, `
  decided by    DEFAULT op=KMODULE action=DENY
                the default for KMODULE: no other rule of the policy matched
  policy        which policy judged is not known: the rule does not stand in lab 1.0.0, so another policy judged
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, no fsverity_digest, fsverity_signature=FALSE
  no rule helps the data came without a file, so no property holds
                load the module from its file, with finit_module(2)
`},
		{"another version by now", decode(t, "KMODULE", "KERNEL_LOAD", none, "DEFAULT op=KMODULE action=ALLOW"), ipe.Policy{Name: []byte("lab"), Version: []byte("0.9.0")}, `
  decided by    DEFAULT op=KMODULE action=ALLOW
                the default for KMODULE: no other rule of the policy matched
  policy        lab 0.9.0
                its text is not known: FILE is version 1.0.0 by now, not 0.9.0
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, no fsverity_digest, fsverity_signature=FALSE
`},
		{"a policy with a name like a path", decode(t, "KMODULE", "KERNEL_LOAD", none, "DEFAULT op=KMODULE action=ALLOW"), ipe.Policy{Name: []byte("../\x1b")}, `
  decided by    DEFAULT op=KMODULE action=ALLOW
                the default for KMODULE: no other rule of the policy matched
  policy        ../\x1b
                its text is not known: this kernel has no policy of that name
  object now    boot_verified=FALSE, no dmverity_roothash, dmverity_signature=FALSE, no fsverity_digest, fsverity_signature=FALSE
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ev := *tt.ev
			ev.ActivePolicy = tt.policy
			x := e.Explain(&ev)
			got := strings.ReplaceAll(string(x.AppendText(nil)), dir, "FILE")
			got = strings.TrimPrefix(got, strings.Join(x.Summary, "\n"))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func lab() ipe.Policy {
	return ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0"), Digest: []byte(labDigest)}
}

func TestARuleWithoutPropertiesIsNoDefault(t *testing.T) {
	t.Parallel()
	ev := decode(t, "POLICY", "KERNEL_LOAD", `path=? dev=? ino=?`, "op=POLICY action=DENY")
	decided := ruleOf(ev)
	for text, want := range map[string]bool{
		"op=POLICY action=DENY": true, "DEFAULT op=POLICY action=DENY": false, "DEFAULT action=DENY": false,
		"op=POLICY action=ALLOW": false, "op=KMODULE action=DENY": false, "op=POLICY boot_verified=TRUE action=DENY": false,
	} {
		p, err := policy.Parse([]byte("policy_name=p policy_version=1.0.0\n" + text + "\nDEFAULT op=X509_CERT action=ALLOW\n" + defaults(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got := sameRule(&p.Rules[0], &decided); got != want {
			t.Errorf("%s is the rule: %v, want %v", text, got, want)
		}
	}
}

// defaults returns a default for all operations, if the rule is none itself.
func defaults(rule string) string {
	if rule == "DEFAULT action=DENY" {
		return ""
	}
	return "DEFAULT action=ALLOW\n"
}

func TestExplainKnowsNothingOfOtherHosts(t *testing.T) {
	t.Parallel()
	e := Explainer{Measure: measured, Securityfs: securityfs(t)}
	elsewhere := e.Elsewhere("web\x1b1")
	ev := decode(t, "EXECUTE", "BPRM_CHECK", file("/sealed/x"), "DEFAULT op=EXECUTE action=DENY")
	ev.ActivePolicy = lab()
	x := elsewhere.Explain(ev)
	const reason = `it was on another host, "web\x1b1"`
	if x.Policy.File != "" || x.Policy.Note != "its text is not known: "+reason || x.Object.Facts != nil || x.Allow.Reason != reason {
		t.Errorf("got %+v, %+v, %+v", x.Policy, x.Object, x.Allow)
	}
}

func TestSummarySaysWhatHappened(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		record uint16
		text   string
		want   string
	}{
		{
			"permissive", 1420, `audit(1.000:1): ipe_op=KMODULE ipe_hook=KERNEL_READ enforcing=0 pid=1 comm="modprobe" path="/a.ko" dev="vda" ino=3 rule="DEFAULT action=DENY"`,
			`modprobe (pid 1) wanted to load /a.ko as a kernel module. The kernel let it, because IPE is permissive; enforcing, it would not have.`,
		},
		{
			"a check", 1420, `audit(1.000:1): ipe_op=EXECUTE ipe_hook=BPRM_CREDS_FOR_EXEC enforcing=1 pid=1 comm=1B path="/a" dev="vda" ino=3 rule="DEFAULT action=ALLOW"`,
			`"\x1b" (pid 1) wanted to know whether it may execute /a. The kernel let it, as the policy says. Nothing was executed: an interpreter asked whether it may (AT_EXECVE_CHECK).`,
		},
		{
			"data", 1420, `audit(1.000:1): ipe_op=KEXEC_IMAGE ipe_hook=KERNEL_LOAD enforcing=1 pid=1 comm="kexec" path=? dev=? ino=? rule="DEFAULT action=DENY"`,
			`kexec (pid 1) wanted to load data without a file as the next kernel (kexec). The kernel did not let it (EACCES).`,
		},
		{
			"an operation of tomorrow", 1420, `audit(1.000:1): ipe_op=NEW ipe_hook=NEW enforcing=1 pid=1 comm="x" path="/a" dev="vda" ino=3 rule="DEFAULT action=DENY"`,
			`x (pid 1) wanted to do with /a what IPE calls NEW. The kernel did not let it (EACCES).`,
		},
		{
			"loaded", 1422, `audit(1.000:1): policy_name="l"ab" policy_version=1.0.0 policy_digest=sha256:00 auid=4294967295 ses=4294967295 lsm=ipe res=1 errno=0`,
			`The kernel took the policy "l\"ab" 1.0.0. It judges by it once it is activated, or at once if it is an update of the active one.`,
		},
		{
			"refused", 1422, `audit(1.000:1): policy_name=? policy_version=? policy_digest=? auid=0 ses=1 lsm=ipe res=0 errno=-126`,
			`The kernel refused a policy, by the user who logged in as uid 0. Which one, the record does not tell. ENOKEY: the key that signed it is in none of the keyrings that the kernel trusts for this.`,
		},
		{
			"too large", 1422, `audit(1.000:1): policy_name=? policy_version=? policy_digest=? auid=4294967295 ses=1 lsm=ipe res=0 errno=-90`,
			`The kernel refused a policy. Which one, the record does not tell. EMSGSIZE: it has more than 65535 bytes with its signature; leave out comments, or allow more with one rule.`,
		},
		{
			"damaged", 1420, `audit(1.000:1): ipe_op=EXECUTE ipe_hook=` + "\x1b",
			`This is a record of IPE that cannot be read: it is damaged, or of a kernel that is not known yet. Its text: audit(1.000:1): ipe_op=EXECUTE ipe_hook=\x1b`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ev ipe.Event
			new(ipe.Decoder).Decode(&ev, tt.record, []byte(tt.text))
			if diff := cmp.Diff(tt.want, strings.Join(summary(&ev), " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestARefusalIsNoLossOfAnybodyElse(t *testing.T) {
	t.Parallel()
	got := strings.Join(summary(&ipe.Event{
		Kind: ipe.KindLost, Has: ipe.HasCount, Count: 1, Stage: []byte(ipe.StageSink), Sink: []byte("siem"),
	}), " ")
	if want := `The receiver of the sink siem refused 1 event for good. That is no loss but for this sink: the spool has what it refused.`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestExplainReadsPoliciesOfOtherKernels: a policy of the kernel is explained
// although some of its words are not known.
func TestExplainReadsPoliciesOfOtherKernels(t *testing.T) {
	t.Parallel()
	dir := securityfs(t).Root
	const text = `policy_name=lab policy_version=1.0.0
DEFAULT action=DENY
op=KERNEL_READ boot_verified=TRUE action=ALLOW
op=READ intended_pathname=/usr/bin/x action=ALLOW
op=READ intended_pathname=/etc/shadow action=DENY
op=BPF_PROG_LOAD bpf_signature=OK bpf_keyring=secondary action=DENY
`
	if err := os.WriteFile(filepath.Join(dir, "kernel/security/ipe/policies/lab/policy"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e := Explainer{Measure: measured, Securityfs: &host.Securityfs{Root: dir}}
	for _, tt := range []struct {
		op, hook, object, rule string
		want                   []string
	}{
		{"READ", "OPEN", file("/sealed/x"), `READ intended_pathname="/etc/shadow" action=DENY`, []string{
			`sh (pid 570) wanted to read /sealed/x.`,
			"line 5 of ", "line 4: op=READ intended_pathname=/usr/bin/x action=ALLOW", "did not match; intended_pathname is not known to this version",
			"allowed by    op=READ fsverity_digest=sha256:78 action=ALLOW", "before line 5",
		}},
		{"BPF_PROG_LOAD", "BPF_PROG_LOAD", "path=? dev=? ino=?", "op=BPF_PROG_LOAD bpf_signature=OK bpf_keyring=secondary action=DENY", []string{
			"wanted to load data without a file as a BPF program", "line 6 of ", "no rule helps the data came without a file",
		}},
		{"KMODULE", "KERNEL_READ", file("/sealed/x"), "DEFAULT action=DENY", []string{
			"line 2 of ", "line 3: op=KERNEL_READ boot_verified=TRUE action=ALLOW", "did not match: boot_verified=FALSE",
		}},
	} {
		ev := decode(t, tt.op, tt.hook, tt.object, tt.rule)
		x := e.Explain(ev)
		got := string(x.AppendText(nil))
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", tt.rule, want, got)
			}
		}
		if strings.Contains(got, "no rule can name") || strings.Contains(got, "another policy judged") {
			t.Errorf("%s:\n%s", tt.rule, got)
		}
	}
}

// measured is what is known of the objects of these tests: those below /sealed have
// the rest of their path as digest, and the others none.
func measured(o fileprops.Object) fileprops.Result {
	if o.NoFile {
		return fileprops.Result{State: fileprops.StateNoFile, Facts: policy.NoFile()}
	}
	r := fileprops.Result{State: fileprops.StateMeasured, Facts: policy.NoFile(), Path: o.Path, Verity: fileprops.VerityEnabled}
	name, sealed := strings.CutPrefix(o.Path, "/sealed/")
	switch {
	case sealed:
		r.Facts.FSVerityDigest = digest(name)
	case strings.HasPrefix(o.Path, "/init"):
		r.Facts.BootVerified, r.NoDevice = policy.True, true
	case strings.HasPrefix(o.Path, "/gone/"):
		// The device is still there, or another one of that name.
		return fileprops.Result{State: fileprops.StateGone, Reason: "nothing is at it", Facts: policy.Facts{DMVerityRootHash: digest("\xaa")}}
	default:
		r.Verity = fileprops.VerityOff
	}
	return r
}

func digest(sum string) policy.DigestFact {
	return policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: []byte(sum)}}
}

func TestExplainSaysWhoAsked(t *testing.T) {
	t.Parallel()
	ev := decode(t, "EXECUTE", "BPRM_CHECK", file("/sealed/x"), "DEFAULT op=EXECUTE action=DENY")
	ev.Has |= ipe.HasUID | ipe.HasEUID | ipe.HasAUID | ipe.HasSES | ipe.HasPPID | ipe.HasExit
	ev.UID, ev.EUID, ev.AUID, ev.SES, ev.PPID, ev.Exit = 33, 0, 1000, 3, 1, -13
	ev.Caller.Exe, ev.TTY, ev.Proctitle, ev.Unit, ev.Cgroup = []byte("/usr/bin/bash"), []byte("pts0"), []byte("bash -c \x1b x"), []byte("nginx.service"), []byte("/system.slice/nginx.service")
	ev.Syscall, ev.Success, ev.Context = []byte("execve"), ipe.False, ipe.ContextAudit|ipe.ContextParent
	e := Explainer{
		Measure: measured, Securityfs: securityfs(t),
		User:    func(uid uint32) string { return map[uint32]string{0: "root", 33: "www-data"}[uid] },
		Package: func(file string) string { return map[string]string{"/usr/bin/bash": "bash 5.2"}[file] },
	}
	x := e.Explain(ev)
	const want = `  asked by      user www-data (33), acting as root (0), logged in as 1000, session 3, terminal pts0
                program /usr/bin/bash, pid 570, child of pid 1
                command line: bash -c \x1b x
                unit nginx.service
                cgroup /system.slice/nginx.service, that of its parent: the process itself was gone
                system call execve, which failed: EACCES
  packages      of the program: bash 5.2
`
	if got := string(x.AppendText(nil)); !strings.Contains(got, want) {
		t.Errorf("no\n%s in\n%s", want, got)
	}
	ev.Container = []byte("0123")
	if x = e.Explain(ev); x.Packages != nil {
		t.Errorf("the paths of a container are not those of the host: %+v", x.Packages)
	}
	other := e.Elsewhere("there")
	x = other.Explain(ev)
	if got := string(x.AppendText(nil)); !strings.Contains(got, "user 33, acting as 0, logged in as 1000") || strings.Contains(got, "packages") {
		t.Errorf("on another host:\n%s", got)
	}
}

package vm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	ipepolicy "github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// TestOperatorsLoop goes the way of an operator, on real kernels: what is denied
// is recorded in permissive mode, a policy is suggested, signed, loaded and
// enforced, and then what was suggested runs and what was refused is denied.
func TestOperatorsLoop(t *testing.T) {
	l := newLab(t)
	if !l.Verity {
		t.Skip("no file system with fs-verity: needs mkfs.ext4 of the package e2fsprogs")
	}
	onKernels(t, l, func(t *testing.T, k *vm.Kernel) {
		t.Parallel()
		s := &session{lab: l, run: &run{kernel: k}}
		s.begin(t, "")
		operate(t, s)
	})
}

// target is something to map executable.
type target struct {
	path   string
	chroot string // in another root directory than ours
	helped bool   // a rule can allow it
	why    string // or else, why not

	// What it was cannot be found out any more, so nobody can predict what a
	// policy does with it.
	unknown bool
}

// paths returns the paths of some of the targets, in order.
func paths(targets []target, which func(target) bool) []string {
	var list []string
	for _, target := range targets {
		if which(target) {
			list = append(list, target.path)
		}
	}
	slices.Sort(list)
	return list
}

// operate is the whole loop in one guest.
func operate(t *testing.T, s *session) {
	volume, _ := s.mountSealed(t)
	disk := string(s.act(t, "disk", vm.DiskEmpty).Path)
	wantErrno(t, "mount", s.act(t, "mount", disk, "/mnt", "ext4"), 0)
	dev := path.Base(disk)

	seal := func(file string) []byte {
		s.put(t, file, append(vm.Program(), path.Base(file)...))
		d := s.act(t, "verity", file)
		wantErrno(t, "fs-verity", d, 0)
		return d.Digest
	}
	const nasty = "/mnt/my\nop=EXECUTE action=ALLOW"
	digest, nastyDigest := seal("/mnt/sealed"), seal(nasty)
	seal("/mnt/inside")
	signedDigest, signedVolume := s.sealSigned(t, seal)
	for _, file := range []string{"/mnt/plain", "/mnt/changed", "/mnt/gone", "/tmp/program"} {
		s.put(t, file, vm.Program())
	}
	targets := []target{
		{path: "/mnt/sealed", helped: true},
		{path: nasty, helped: true},
		{path: volume, helped: true},
		{path: signedFile, helped: true},
		{path: signedVolume, helped: true},
		{path: "/mnt/plain", why: "it has no fs-verity digest and is not on a dm-verity volume"},
		{path: "/mnt/changed", why: `/mnt/changed was written after it was judged`, unknown: true},
		{path: "/mnt/gone", why: `nothing is at /mnt/gone`, unknown: true},
		{path: "/inside", chroot: "/mnt", why: `nothing is at /inside, as seen from here`, unknown: true},
		{path: "/tmp/program", why: "tmpfs has neither fs-verity nor dm-verity"},
		{path: "", why: "anonymous memory has none of the properties"},
	}

	s.load(t, "lab", "1.0.0", strict...)
	s.activate(t, "lab")
	s.enforce(t, false)
	for _, target := range targets {
		wantErrno(t, "permissive, "+target.path, s.mapTarget(t, target), 0)
		if ev := s.next(t); ev["verdict"] != "would_deny" {
			t.Fatalf("mapping %q came to %v", target.path, ev)
		}
	}
	all := func(target) bool { return true }
	s.predicts(t, paths(targets, all), nil)
	s.busybox(t, "sleep", "1") // more than the clocks of records and files differ by
	s.put(t, "/mnt/changed", append(vm.Program(), 0))
	s.busybox(t, "rm", "/mnt/gone")

	text := s.suggest(t, "--base", ipeDir+"policies/lab/policy")
	checkSuggestion(t, text, targets, []string{
		fmt.Sprintf("op=EXECUTE fsverity_digest=sha256:%x action=ALLOW", digest),
		fmt.Sprintf("op=EXECUTE fsverity_digest=sha256:%x action=ALLOW", nastyDigest),
		fmt.Sprintf("op=EXECUTE fsverity_digest=sha256:%x action=ALLOW", signedDigest),
		fmt.Sprintf("op=EXECUTE dmverity_roothash=sha256:%x action=ALLOW", s.lab.SealedRoot), // of both volumes
	}, dev)

	s.put(t, "/run/candidate.pol", []byte(text))
	s.predicts(t, paths(targets, func(t target) bool { return !t.helped && !t.unknown }), paths(targets, func(t target) bool { return t.unknown }),
		"--policy", "/run/candidate.pol")

	blob := s.sign(t, text)
	must(t, s.write(t, "policies/lab/update", blob))
	old := s.loaded["lab"]
	s.expect(t, s.wasLoaded("lab", "1.0.1", blob), s.wasActivated("lab", old))
	s.enforce(t, true)
	for _, target := range targets {
		if target.path == "/mnt/gone" {
			continue
		}
		want := syscall.Errno(0)
		if !target.helped {
			want = syscall.EACCES
		}
		wantErrno(t, "enforcing, "+target.path, s.mapTarget(t, target), want)
		if target.helped {
			continue
		}
		ev := s.next(t)
		if ev["verdict"] != "denied" {
			t.Fatalf("mapping %q came to %v", target.path, ev)
		}
		if target.path == "/mnt/plain" {
			s.explains(t, ev)
		}
	}
	s.allowBySignature(t, signedFile, signedVolume)
}

// signedFile is a file with a built-in signature.
const signedFile = "/mnt/signed"

// sealSigned makes that file, and mounts the volume once more, with a signature
// of its root hash.
func (s *session) sealSigned(t *testing.T, seal func(string) []byte) (digest []byte, program string) {
	t.Helper()
	s.busybox(t, "mkdir", "/mnt/twin")
	digest = seal("/mnt/twin/" + path.Base(signedFile))                // of the same content
	formatted := append([]byte("FSVerity\x01\x00\x20\x00"), digest...) // struct fsverity_formatted_digest
	signature, err := s.lab.Key.SignDetached(formatted)
	if err != nil {
		t.Fatal(err)
	}
	wantErrno(t, "trust", s.actCall(t, s.lab.Key.Certificate, nil, "trust", ".fs-verity"), 0)
	s.put(t, signedFile, append(vm.Program(), path.Base(signedFile)...))
	wantErrno(t, "fs-verity", s.actCall(t, signature, nil, "verity", signedFile, "signed"), 0)

	root := fmt.Sprintf("%x", s.lab.SealedRoot)
	if signature, err = s.lab.Key.SignDetached([]byte(root)); err != nil {
		t.Fatal(err)
	}
	disk := string(s.act(t, "disk", vm.DiskSealed).Path)
	wantErrno(t, "dm-verity", s.actCall(t, signature, nil, "dm-verity", "signed", disk, fmt.Sprint(vm.SealedBlocks), root, "signed"), 0)
	wantErrno(t, "mount", s.act(t, "mount-ro", "/dev/dm-1", "/run/signed", "ext4"), 0)
	return digest, "/run/signed/program"
}

// allowBySignature asks for rules by signature, and enforces them.
func (s *session) allowBySignature(t *testing.T, files ...string) {
	t.Helper()
	s.put(t, "/run/strict.pol", []byte(policy("signatures", "1.9.9", strict...)))
	text := s.suggest(t, "--signature", "--base", "/run/strict.pol")
	for _, rule := range []string{"op=EXECUTE fsverity_signature=TRUE action=ALLOW", "op=EXECUTE dmverity_signature=TRUE action=ALLOW"} {
		if !strings.Contains(text, "\n"+rule+"\n") {
			t.Errorf("there is no rule %s", rule)
		}
	}
	blob := s.sign(t, text)
	must(t, s.write(t, "new_policy", blob))
	s.expect(t, s.wasLoaded("signatures", "1.9.10", blob))
	s.activate(t, "signatures")
	for _, file := range files {
		wantErrno(t, file, s.act(t, "mmap", file), 0)
	}
	wantErrno(t, "the plain file", s.act(t, "mmap", "/mnt/plain"), syscall.EACCES)
	if ev := s.next(t); ev["path"] != "/mnt/plain" {
		t.Errorf("after the plain file came %v", ev)
	}
}

// busybox runs one of its commands.
func (s *session) busybox(t *testing.T, args ...string) {
	t.Helper()
	if p, exit := s.finish(t, &wire.Call{Argv: words(append([]string{"/bin/busybox"}, args...)...)}); exit != 0 {
		t.Fatalf("%q: exit status %d: %s", args, exit, p.Stderr())
	}
}

// mapTarget maps a target executable.
func (s *session) mapTarget(t *testing.T, target target) did {
	t.Helper()
	switch {
	case target.chroot != "":
		return s.act(t, "chroot", target.chroot, target.path)
	case target.path == "":
		return s.act(t, "mmap")
	}
	return s.act(t, "mmap", target.path)
}

// ask runs a command of the daemon's that asks it, and returns its results.
func (s *session) ask(t *testing.T, args ...string) (stdout []byte, exit int) {
	t.Helper()
	p, exit := s.finish(t, &wire.Call{Argv: words(append([]string{"/bin/ipe-auditd"}, args...)...)})
	t.Logf("%q ended with %d\n%s%s", args, exit, p.Stdout(), p.Stderr())
	return p.Stdout(), exit
}

// predicts demands of readiness the paths of what would be denied, and of what
// that cannot be said.
func (s *session) predicts(t *testing.T, denied, unknown []string, args ...string) {
	t.Helper()
	out, exit := s.ask(t, append([]string{"readiness", "--json", "--socket", apiSocket}, args...)...)
	type object struct{ Path string }
	var answer struct{ Denied, Unknown []object }
	if err := json.Unmarshal(out, &answer); err != nil || exit != 1 {
		t.Fatalf("readiness ended with %d, %v", exit, err)
	}
	distinct := func(objects []object) []string {
		var list []string
		for _, o := range objects {
			list = append(list, o.Path)
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	if diff := cmp.Diff(denied, distinct(answer.Denied)); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(unknown, distinct(answer.Unknown)); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

func (s *session) suggest(t *testing.T, args ...string) string {
	t.Helper()
	text, exit := s.ask(t, append([]string{"suggest", "--socket", apiSocket}, args...)...)
	if exit != 0 {
		t.Fatalf("suggest ended with %d", exit)
	}
	return string(text)
}

// checkSuggestion demands the lines of strict, these rules behind them, and a
// reason for every other target.
func checkSuggestion(t *testing.T, text string, targets []target, rules []string, dev string) {
	t.Helper()
	p, err := ipepolicy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "lab" || p.Version != (ipepolicy.Version{1, 0, 1}) {
		t.Errorf("header: %s %v", p.Name, p.Version)
	}
	var got []string
	for i := range p.Rules {
		got = append(got, p.Rules[i].String())
	}
	want := map[string]bool{}
	for _, rule := range append(rules, strict...) {
		want[rule] = true
	}
	have := map[string]bool{}
	for _, rule := range got {
		have[rule] = true
	}
	if diff := cmp.Diff(want, have); diff != "" || len(got) != len(want) {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	for _, target := range targets {
		if !strings.Contains(text, target.why) {
			t.Errorf("not said: %s", target.why)
		}
	}
	if want := "# - /mnt/plain dev=" + dev + " ino="; !strings.Contains(text, want) || !strings.Contains(text, ": would have been denied once since ") {
		t.Errorf("the comments do not name the plain file on %s", dev)
	}
}

// explains checks what explain says of the denial of the plain file.
func (s *session) explains(t *testing.T, ev event) {
	t.Helper()
	id := fmt.Sprintf("%v:%v", ev["spool"], ev["seq"])
	out, exit := s.ask(t, "explain", "--socket", apiSocket, id)
	if exit != 0 {
		t.Fatalf("explain ended with %d", exit)
	}
	for _, want := range []string{
		`wanted to map /mnt/plain as executable code.`,
		"  policy        lab 1.0.1\n",
		"line 3 of /sys/kernel/security/ipe/policies/lab/policy\n",
		"line 4: op=EXECUTE boot_verified=TRUE action=ALLOW\n                  did not match: boot_verified=FALSE\n",
		"dmverity_roothash=sha256:" + fmt.Sprintf("%x", s.lab.SealedRoot) + " action=ALLOW\n                  did not match: no dmverity_roothash\n",
		"did not match: no fsverity_digest\n",
		"  no rule helps it has no fs-verity digest",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("explain does not say %q", want)
		}
	}
	if bytes.Contains(out, []byte("which policy judged is not known")) {
		t.Error("explain does not know which policy judged")
	}
}

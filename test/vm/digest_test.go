package vm_test

import (
	"fmt"
	"path"
	"slices"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

// verityDigests runs a file that a rule names by its digest. The kernel prints
// such a rule with quotes inside of its quotes, and the digest in upper case.
func verityDigests(t *testing.T, s *session) {
	if !s.lab.Verity {
		t.Skip("no file system with fs-verity: needs mkfs.ext4 of the package e2fsprogs")
	}
	disk := string(s.act(t, "disk", vm.DiskEmpty).Path)
	wantErrno(t, "mount", s.act(t, "mount", disk, "/mnt", "ext4"), 0)
	dev := path.Base(disk)
	good, bad := "/mnt/good", "/mnt/bad \"quoted\""
	goodIno, badIno := s.put(t, good, vm.Program()), s.put(t, bad, append(vm.Program(), 0))
	digest := func(file string) []byte {
		d := s.act(t, "verity", file)
		if d.Errno != 0 {
			t.Fatalf("fs-verity: %v", syscall.Errno(d.Errno))
		}
		return d.Digest
	}
	goodDigest, badDigest := digest(good), digest(bad)
	s.load(t, "digests", "2.5.0", append(slices.Clone(strict),
		fmt.Sprintf("op=EXECUTE fsverity_digest=sha256:%x action=ALLOW", goodDigest),
		fmt.Sprintf("op=EXECUTE fsverity_digest=sha256:%x fsverity_signature=FALSE action=DENY", badDigest))...)
	s.activate(t, "digests")

	d := s.act(t, "mmap", bad)
	wantErrno(t, "mmap of the bad file", d, s.refused())
	s.expect(t, s.denied(d.PID, "MMAP", bad, badIno).with("dev", dev, "rule_kind", "rule",
		"rule", fmt.Sprintf(`op=EXECUTE fsverity_digest="sha256":%X fsverity_signature=FALSE action=DENY`, badDigest),
		"rule_properties", []string{fmt.Sprintf("fsverity_digest=sha256:%x", badDigest), "fsverity_signature=FALSE"}))

	d = s.allowed(t, "mmap", good)
	s.expect(t, s.denied(d.PID, "MMAP", good, goodIno).with("dev", dev, "rule_kind", "rule", "verdict", "allowed", "action", "ALLOW",
		"rule", fmt.Sprintf(`op=EXECUTE fsverity_digest="sha256":%X action=ALLOW`, goodDigest),
		"rule_properties", []string{fmt.Sprintf("fsverity_digest=sha256:%x", goodDigest)}))
	s.audited(t)
	s.quiet(t)
}

// allowed does one action that is permitted while allowed accesses are
// recorded. The next event is its own; audited ends that.
func (s *session) allowed(t *testing.T, args ...string) did {
	t.Helper()
	must(t, s.write(t, "success_audit", []byte("1")))
	d := s.act(t, args...)
	wantErrno(t, fmt.Sprint(args), d, 0)
	s.actStarted(t)
	return d
}

func (s *session) audited(t *testing.T) {
	t.Helper()
	must(t, s.write(t, "success_audit", []byte("0")))
	s.actStarted(t)
}

// actStarted takes the two events of the start of act: by init, and by the ELF
// loader.
func (s *session) actStarted(t *testing.T) {
	t.Helper()
	for _, hook := range []string{"BPRM_CHECK", "MMAP"} {
		if ev := s.next(t); ev["path"] != "/init" || ev["ipe_hook"] != hook || ev["verdict"] != "allowed" {
			t.Errorf("the start of act is %v", ev)
		}
	}
}

// rootHash runs a program from a device that a rule names by the root hash of
// its tree.
func rootHash(t *testing.T, s *session) {
	file, ino := s.mountSealed(t)
	root := fmt.Sprintf("%x", s.lab.SealedRoot)
	s.load(t, "sealed", "2.6.0", append(slices.Clone(strict), "op=EXECUTE dmverity_roothash=sha256:"+root+" action=ALLOW")...)

	d := s.act(t, "mmap", file)
	wantErrno(t, "mmap before the rule", d, s.refused())
	s.expect(t, s.denied(d.PID, "MMAP", file, ino).with("dev", "dm-0"))
	s.activate(t, "sealed")
	d = s.allowed(t, "mmap", file)
	s.expect(t, s.denied(d.PID, "MMAP", file, ino).with("dev", "dm-0", "rule_kind", "rule", "verdict", "allowed", "action", "ALLOW",
		"rule", fmt.Sprintf(`op=EXECUTE dmverity_roothash="sha256":%X action=ALLOW`, s.lab.SealedRoot),
		"rule_properties", []string{"dmverity_roothash=sha256:" + root}))
	s.audited(t)
	s.quiet(t)
}

// mountSealed mounts the disk for dm-verity and returns the program on it. Where
// that cannot be the test is skipped.
func (s *session) mountSealed(t *testing.T) (file string, ino uint64) {
	t.Helper()
	if !s.lab.Verity {
		t.Skip("no file system for dm-verity: needs mkfs.ext4 of the package e2fsprogs")
	}
	s.loadModules(t, "reed_solomon", "dax", "dm-mod", "dm-bufio", "dm-verity")
	root := fmt.Sprintf("%x", s.lab.SealedRoot)
	disk := string(s.act(t, "disk", vm.DiskSealed).Path)
	wantErrno(t, "dm-verity", s.act(t, "dm-verity", "sealed", disk, fmt.Sprint(vm.SealedBlocks), root), 0)
	wantErrno(t, "mount", s.act(t, "mount-ro", "/dev/dm-0", "/run/sealed", "ext4"), 0)
	const program = "/run/sealed/program"
	return program, s.act(t, "ino", program).Ino
}

// Package debian runs ipe-auditd as a service: on Debian 13, with systemd and
// journald as they are, under an unmodified kernel whose IPE enforces.
//
//	go test ./test/vm/debian -vm -v                    # Debian's 6.12
//	go test ./test/vm/debian -vm -vm.kernel=newest -v  # or 6.18, or a vmlinuz
//
// Without -vm the tests that need a guest skip. They need root, and tools:
// where something is missing they skip as well and say what.
//
// # The guest
//
// Debian is made by mmdebstrap from the host's own mirror, once, and kept in
// the cache directory of test/vm. For each run the packages under test are
// installed into a copy of it by dpkg, and the result is sealed: an ext4 with
// the hash tree of dm-verity behind it ([Seal]). The guest mounts it below an
// overlay whose upper layer is a disk of its own.
//
// IPE's policy permits execution of files of the sealed disk and of the
// initramfs, and denies all else. It is active before systemd starts, as it is
// on a host that takes IPE seriously: all of Debian runs under enforcement, and
// a denial is caused by anything that was written since.
//
// # Control
//
// An agent in the guest runs programs for the test (test/vm/wire).
// It is up early in the boot, so a test can see the rest of it.
//
// # What it refuses to do
//
// It changes nothing on the host: packages are installed into a folder, in
// namespaces of their own, and no guest outlives its test.
package debian

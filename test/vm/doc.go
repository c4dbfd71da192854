// Package vm runs ipe-auditd on real kernels with IPE, in QEMU: unmodified
// ones from Debian's archives, with policies signed by a key of one's own.
//
//	go test ./test/vm -vm                    # Debian's 6.12
//	go test ./test/vm -vm -vm.kernel=newest  # or 6.18, or a vmlinuz
//	go test ./test/vm -vm -vm.kernel=all -timeout 1h
//	go run ./test/vm/try                     # a shell in the guest, events as they happen
//
// What a new kernel says becomes captures, goldens of the decoder, and a row in
// docs/kernels.md by
//
//	go test ./test/vm -vm -vm.kernel=7.4 -update -timeout 20m
//
// Without -vm the tests that need a guest skip; where QEMU or another tool is
// missing they skip as well and say which.
//
// # How a kernel is made to believe us
//
// IPE takes policies signed by a key in the kernel's platform keyring, and the
// kernel fills that keyring from the UEFI variable db
// (security/integrity/platform_certs/load_uefi.c), whether Secure Boot is on
// or not. [NewKey] makes a throw-away certificate, [VariableStore] writes it
// as db into a copy of the firmware's variable store, and [Boot] starts the
// guest with that store. [Lab] does all of it.
//
// # The guest
//
// It is one initramfs: busybox, the daemon, and test/vm/guest as /init. Files
// of the initramfs are boot_verified=TRUE to IPE, everything in /tmp is not:
// so the tools go on working under a policy that denies all else. Init runs
// programs for the test and passes their output on ([Guest.Start]); what the
// daemon printed is compared with what was done.
//
// # Memory
//
// A [Process] keeps all that its program has printed; what its methods return
// are copies.
//
// # What it refuses to do
//
// It changes nothing on the host: packages are unpacked, not installed, and
// apt works on a state of its own in the cache directory. No guest outlives
// its test, also when the test is killed.
package vm

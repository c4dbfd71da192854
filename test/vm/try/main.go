// Command try leaves a shell in a guest whose kernel enforces IPE, with the
// daemon's events on the same terminal:
//
//	go run ./test/vm/try            # Debian's 6.12
//	go run ./test/vm/try newest     # or 6.18, or a vmlinuz
//
// Try busybox true, then cp /bin/busybox /tmp/true and /tmp/true. The command
// poweroff -f ends it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

func main() {
	version := "6.12"
	if len(os.Args) > 1 {
		version = os.Args[1]
	}
	if err := run(version); err != nil {
		fmt.Fprintln(os.Stderr, "try:", err)
		os.Exit(1)
	}
}

// policy denies the execution of what is not from the initramfs.
const policy = `policy_name=try policy_version=1.0.0
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
`

// script activates the policy, follows the events, and leaves a shell. All of
// it is on the console.
const script = `
exec </dev/ttyS0 >/dev/ttyS0 2>&1
cd /sys/kernel/security/ipe || exit
ipe-auditd --debug &
cat /root/policy >new_policy && echo 1 >policies/try/active && cd /
echo 'IPE enforces: only files of the initramfs may be executed.'
echo 'Try: cp /bin/busybox /tmp/true; /tmp/true      End: poweroff -f'
exec setsid cttyhack sh -l
`

func run(version string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "ipe-auditd-try-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lab, err := vm.NewLab(dir, "", "auto")
	if err != nil {
		return err
	}
	fetching, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	kernel, err := vm.FindKernel(fetching, lab.Cache, version)
	if err != nil {
		return err
	}
	blob, err := lab.Key.Sign(policy)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "try: booting %s\r\n", kernel.Release)
	guest, err := lab.Boot(ctx, kernel, "", dir, true)
	if err != nil {
		return err
	}
	defer guest.Close()
	env := []string{"PATH=/bin", "HOME=/root", "TERM=" + os.Getenv("TERM"), "PS1=guest# "}
	for _, call := range []wire.Call{
		{Argv: argv("/bin/busybox", "--install", "-s", "/bin")},
		{Argv: argv("/bin/act", "put", "/root/policy", "0600"), Stdin: blob},
		{Argv: argv("/bin/sh", "-c", script), Env: env},
	} {
		p, err := guest.Start(ctx, &call)
		if err != nil {
			return err
		}
		if _, err := p.Wait(ctx); err != nil {
			break // the guest was powered off, or we are to end
		}
	}
	return nil
}

func argv(words ...string) [][]byte {
	var v [][]byte
	for _, w := range words {
		v = append(v, []byte(w))
	}
	return v
}

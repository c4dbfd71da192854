// Command try leaves a shell in a guest whose kernel enforces IPE, with a daemon that
// has a spool and a feed and shows its events on the same terminal:
//
//	go run ./test/vm/try            # Debian's 6.12
//	go run ./test/vm/try newest     # or 6.18, or a vmlinuz
//
// It prints what to try. The command poweroff -f ends it.
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
const policy = `policy_name=try policy_version=%s
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
`

// script starts the daemon as its service would, with a spool and a feed and the
// events on the console, activates the policy as soon as the daemon listens, and
// leaves a shell. All of it is on the console.
const script = `
exec </dev/ttyS0 >/dev/ttyS0 2>&1
mkdir -p -m 0755 /var/lib /run
mkdir -p -m 0700 /var/lib/ipe-auditd /run/ipe-auditd
STATE_DIRECTORY=/var/lib/ipe-auditd RUNTIME_DIRECTORY=/run/ipe-auditd ipe-auditd &
until ipe-auditd status >/dev/null 2>&1 || [ -S /run/ipe-auditd/api.sock ]; do sleep 1; done
cd /sys/kernel/security/ipe || exit
cat /root/try-1.0.0.p7b >new_policy && echo 1 >policies/try/active
sleep 1
cat <<'END'

IPE enforces: only files of the initramfs may be executed. Try

  cp /bin/busybox /tmp/true; /tmp/true      a denial
  echo 0 >enforce; /tmp/true                permissive: it runs, and would have been denied
  cat /root/try-1.1.0.p7b >policies/try/update
  echo nonsense >new_policy                 since 6.16 a record, before only an error
  echo 1 >success_audit; true               what is allowed is recorded too

and ask what happened:

  ipe-auditd tail --no-follow --verdict denied
  ipe-auditd explain last                   which rule decided, and what would allow it
  ipe-auditd check /tmp/true /bin/busybox   would they be allowed now
  ipe-auditd report
  ipe-auditd readiness
  ipe-auditd suggest
  ipe-auditd check-policy policies/try/policy
  ipe-auditd status
  ipe-auditd doctor
  ipe-auditd config show
  poweroff -f                               the end

END
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
	calls := []wire.Call{{Argv: argv("/bin/busybox", "--install", "-s", "/bin")}}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		blob, err := lab.Key.Sign(fmt.Sprintf(policy, version))
		if err != nil {
			return err
		}
		calls = append(calls, wire.Call{Argv: argv("/bin/act", "put", "/root/try-"+version+".p7b", "0600"), Stdin: blob})
	}
	env := []string{"PATH=/bin", "HOME=/root", "TERM=" + os.Getenv("TERM"), "PS1=guest# "}
	calls = append(calls, wire.Call{Argv: argv("/bin/sh", "-c", script), Env: env})
	fmt.Fprintf(os.Stderr, "try: booting %s\r\n", kernel.Release)
	guest, err := lab.Boot(ctx, kernel, "", dir, true)
	if err != nil {
		return err
	}
	defer guest.Close()
	for _, call := range calls {
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

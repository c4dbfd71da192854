//go:build linux && amd64

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// capAuditControl is CAP_AUDIT_CONTROL of uapi/linux/capability.h.
const capAuditControl = 30

// activate SOCKET UID PROGRAM... is what a service manager does with a socket
// that UID alone may connect to: it listens, and when somebody connects it
// starts the program, with the socket, until that ends. The program has one
// capability, CAP_AUDIT_CONTROL, and a network of its own. A line on standard
// output says that it listens.
func activate(args []string, _ *wire.Result) error {
	uid, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	os.Remove(args[0])
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: args[0], Net: "unix"})
	if err != nil {
		return before("listen", err)
	}
	if err := os.Chown(args[0], uid, 0); err != nil {
		return before("chown", err)
	}
	if err := os.Chmod(args[0], 0o600); err != nil {
		return before("chmod", err)
	}
	file, err := l.File()
	if err != nil {
		return before("dup", err)
	}
	fmt.Println("listening")
	for {
		poll := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(time.Hour.Milliseconds())); err != nil || n < 1 {
			continue
		}
		// LISTEN_PID is that of the shell, and so of what it becomes.
		cmd := exec.Command("/bin/busybox", append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, args[2:]...)...)
		cmd.Env = []string{"LISTEN_FDS=1"}
		cmd.ExtraFiles = []*os.File{file}
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWNET,
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{capAuditControl},
		}
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("helper: %w", err)
		}
	}
}

//go:build linux && amd64

package main

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// landlock NAME PATH gives up the right to write anything and to execute what
// is not below /tmp. It tries to write NAME, which Landlock refuses, and
// becomes the program PATH.
func landlock(args []string, _ *wire.Result) error {
	const rights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	handled := uint64(rights) // struct landlock_ruleset_attr of the first ABI
	rules, err := landlockCall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0, 0)
	if err != nil {
		return before("landlock_create_ruleset", err)
	}
	dir, err := unix.Open("/tmp", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_EXECUTE, Parent_fd: int32(dir)}
	if _, err := landlockCall(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0); err != nil {
		return before("landlock_add_rule", err)
	}
	if _, err := landlockCall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0, 0); err != nil {
		return before("landlock_restrict_self", err)
	}
	if _, err := unix.Open(args[0], unix.O_WRONLY|unix.O_CLOEXEC, 0); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("write %q: %v, want EACCES", args[0], err)
	}
	return execFile(args[1:], nil)
}

func landlockCall(number, a, b, c, d uintptr) (uintptr, error) {
	n, _, errno := unix.Syscall6(number, a, b, c, d, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

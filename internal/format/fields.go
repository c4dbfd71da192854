package format

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// fields is what the keys of an event say.
type fields struct {
	*ipe.Event
	*Identity
}

// rawText is the record as received, where it is asked for or all there is.
func rawText(ev *ipe.Event, c *Context) []byte {
	if c.Raw || ev.Kind == ipe.KindUnparsed {
		return ev.Raw
	}
	return nil
}

// errorName returns the name of a failure, such as EBADMSG. It is empty when
// there was none, and for numbers that Linux has no name for. The kernel prints
// the number with a minus sign; a tree that leaves it out means the same.
func errorName(ev *ipe.Event) string {
	if ev.Has&ipe.HasErrno == 0 {
		return ""
	}
	n := ev.Errno
	if n < 0 {
		n = -n
	}
	if syscall.Errno(n) == unix.EOPNOTSUPP {
		return "EOPNOTSUPP" // and not ENOTSUP, which the kernel does not know
	}
	return unix.ErrnoName(syscall.Errno(n))
}

package netlinkaudit

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Conditions of [Listen] and [FileConn] that somebody can do something about,
// for use with errors.Is. Each message says what.
var (
	// ErrPermission: the kernel did not let us join the group (EPERM from
	// audit_multicast_bind, kernel/audit.c).
	ErrPermission = errors.New("not permitted: run it as root, or with CAP_AUDIT_READ, in the initial user namespace, or let systemd pass the socket (ListenNetlink=audit 1)")

	// ErrUnavailable: there is no NETLINK_AUDIT (EPROTONOSUPPORT).
	ErrUnavailable = errors.New("this kernel has no audit: boot it without audit=0, and with CONFIG_AUDIT")

	// ErrForeignNamespace: an own socket would never hear anything, since the
	// group is delivered in the initial network namespace alone
	// (kauditd_send_multicast_skb, kernel/audit.c).
	ErrForeignNamespace = errors.New("not in the initial network namespace, where alone the kernel delivers audit records: use the network of the host, or let systemd pass the socket (ListenNetlink=audit 1)")

	// ErrNotAudit: the inherited descriptor is not an audit socket.
	ErrNotAudit = errors.New("the inherited descriptor is not a NETLINK_AUDIT socket: pass one that is (systemd: ListenNetlink=audit 1)")

	// ErrNotJoined: the inherited socket is not in the group.
	ErrNotJoined = errors.New("the inherited socket has not joined the audit multicast group: ask for group 1 (systemd: ListenNetlink=audit 1)")
)

// OpError is the error of every function and method of this package.
//
// Err is, or wraps, one of the sentinels of this package, [os.ErrClosed],
// [os.ErrDeadlineExceeded] or an [*os.SyscallError]; use errors.Is and
// errors.As.
type OpError struct {
	Op  string // what was being done: "join group", "receive", ...
	Err error
}

// Error implements error.
func (e *OpError) Error() string { return "audit socket: " + e.Op + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *OpError) Unwrap() error { return e.Err }

// opError returns err as an error of the operation op, nil if err is nil. A
// library's wrapping around a failed system call is taken off: it says again
// what op says.
func opError(op string, err error) error {
	if err == nil {
		return nil
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys
	}
	return &OpError{Op: op, Err: err}
}

// openError is opError for a failure to open a socket.
func openError(err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return because("open", ErrUnavailable, err)
	}
	return opError("open", err)
}

// joinError is opError for a failure to join the group.
func joinError(err error) error {
	if errors.Is(err, unix.EPERM) {
		return because("join group", ErrPermission, err)
	}
	return opError("join group", err)
}

// because returns err as an error of the operation op that is also sentinel.
func because(op string, sentinel, err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys
	}
	return &OpError{Op: op, Err: fmt.Errorf("%w (%w)", sentinel, err)}
}

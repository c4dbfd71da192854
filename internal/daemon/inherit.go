package daemon

import (
	"errors"
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Inherited are the open files that a service manager passed to us (sd_listen_fds(3)).
// Each may be nil.
type Inherited struct {
	Audit        *os.File // the audit socket: ListenNetlink=audit 1
	Kmsg         *os.File // OpenFile=/dev/kmsg:kmsg:read-only,graceful
	Enforce      *os.File // OpenFile=/sys/kernel/security/ipe/enforce:enforce:read-only,graceful
	SuccessAudit *os.File // OpenFile=/sys/kernel/security/ipe/success_audit:success_audit:read-only,graceful
}

// InheritedFiles takes what the service manager passed. It removes the
// environment variables, so it may be called once.
func InheritedFiles() (Inherited, error) {
	var in Inherited
	var errs []error
	for _, f := range activation.Files(true) {
		slot := &in.Audit
		switch f.Name() {
		case "kmsg":
			slot = &in.Kmsg
		case "enforce":
			slot = &in.Enforce
		case "success_audit":
			slot = &in.SuccessAudit
		}
		if *slot != nil {
			errs = append(errs, fmt.Errorf("inherited descriptor %d (%s): there is one of its kind already", f.Fd(), f.Name()))
			f.Close()
			continue
		}
		*slot = f
	}
	if in.Kmsg != nil {
		f, err := nonBlocking(in.Kmsg)
		if err != nil {
			errs = append(errs, err)
		} else {
			in.Kmsg = f
		}
	}
	if err := errors.Join(errs...); err != nil {
		in.Close()
		return Inherited{}, err
	}
	return in, nil
}

// nonBlocking returns f as a file that Go's poller watches. os.File decides
// that when it is made, from O_NONBLOCK.
func nonBlocking(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f.Close()
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Close closes what is still open.
func (in Inherited) Close() {
	for _, f := range []*os.File{in.Audit, in.Kmsg, in.Enforce, in.SuccessAudit} {
		if f != nil {
			f.Close()
		}
	}
}

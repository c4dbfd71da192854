package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// socket returns how the daemon hears the kernel; nil where none runs, or it
// does not say.
func (f *facts) socket() *api.Socket {
	if f.Daemon == nil {
		return nil
	}
	return f.Daemon.Socket
}

// checkSocket looks whether there is a way to the audit group. A kernel without
// audit and a foreign namespace are the business of other checks.
func checkSocket(f *facts) []Finding {
	if s := f.socket(); s != nil {
		if s.Inherited {
			return ok("the daemon has inherited its socket, in which records wait while it restarts")
		}
		return ok("the daemon has a socket of its own, with CAP_AUDIT_READ; what happens while it restarts is not heard")
	}
	const advice = "give the service CAP_AUDIT_READ in the initial user namespace, or enable ipe-auditd.socket"
	switch err := f.own.err; {
	case err == nil:
		return ok("this user may listen to the audit group")
	case errors.Is(err, netlinkaudit.ErrUnavailable), errors.Is(err, netlinkaudit.ErrForeignNamespace):
		return nil
	case errors.Is(err, netlinkaudit.ErrPermission) && f.euid != 0:
		return cannotTell("whether the service may listen", "CAP_AUDIT_READ, which this user lacks", nil)
	default:
		return failure(advice, "%v", err)
	}
}

// checkReceiveBuffer looks whether the socket's buffer is what was asked for.
func checkReceiveBuffer(f *facts) []Finding {
	s := f.socket()
	switch {
	case s == nil && f.own.err != nil:
		return cannotTell("which receive buffer the service gets", "a running daemon, or the right to listen", nil)
	case s == nil && !f.own.met:
		return warning("give the service CAP_NET_ADMIN, enable ipe-auditd.socket, or raise net.core.rmem_max",
			"this user gets a receive buffer of %s, less than source.receive_buffer, so that bursts are lost earlier", units.Size(f.own.buffer).Short())
	case s == nil:
		return ok("this user gets a receive buffer of %s", units.Size(f.own.buffer).Short())
	case s.Buffer < s.Asked && s.Inherited:
		return warning(fmt.Sprintf("set ReceiveBuffer=%d in ipe-auditd.socket and restart that unit", s.Asked),
			"the socket unit gave a receive buffer of %s, less than the %s of source.receive_buffer, so that bursts are lost earlier", units.Size(s.Buffer).Short(), units.Size(s.Asked).Short())
	case s.Buffer < s.Asked:
		return warning("give the service CAP_NET_ADMIN, enable ipe-auditd.socket, or raise net.core.rmem_max",
			"the kernel granted a receive buffer of %s, less than the %s of source.receive_buffer, so that bursts are lost earlier", units.Size(s.Buffer).Short(), units.Size(s.Asked).Short())
	}
	return ok("the daemon has a receive buffer of %s", units.Size(s.Buffer).Short())
}

// namespaces finds out in which network namespaces we and the daemon are.
func (s source) namespaces(daemon *api.Status) (initial, same known[bool]) {
	in, seen := s.inInit()
	initial.value = in
	if !seen {
		initial.err = errors.New("/proc/sys/net is hidden")
	}
	if daemon == nil {
		return initial, known[bool]{value: true}
	}
	ours, err := os.Readlink(filepath.Join(s.root, "proc/self/ns/net"))
	theirs, daemonErr := os.Readlink(filepath.Join(s.root, "proc", fmt.Sprint(daemon.PID), "ns/net"))
	return initial, known[bool]{ours == theirs, errors.Join(err, daemonErr)}
}

// checkNamespace looks for a socket that would hear nothing, without an error
// (kauditd_send_multicast_skb, kernel/audit.c, sends in the initial network
// namespace alone).
func checkNamespace(f *facts) []Finding {
	const advice = "use the network of the host, or enable ipe-auditd.socket"
	s := f.socket()
	switch {
	case s != nil && s.Inherited:
		return ok("the daemon's socket is where the service manager opened it")
	case s != nil && f.same.err != nil:
		return cannotTell("whether the daemon is in the initial network namespace", "the right to look at its process", f.same.err)
	case f.initial.err != nil:
		return cannotTell("whether this is the initial network namespace", "/proc without subset=pid", f.initial.err)
	case s != nil && !f.same.value && f.initial.value:
		return failure(advice, "the daemon is in another network namespace than the initial one, where alone the kernel delivers records")
	case s != nil && !f.same.value:
		return cannotTell("whether the daemon is in the initial network namespace", "doctor to be in it", nil)
	case !f.initial.value:
		return failure(advice, "this is not the initial network namespace, where alone the kernel delivers records")
	}
	return ok("in the initial network namespace")
}

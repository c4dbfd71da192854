package netlinkaudit

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// control runs f on the descriptor of c.
func control(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// setFilter makes the kernel refuse messages of other types before they are
// queued.
func setFilter(s netSocket, types []uint16) error {
	prog, err := bpf.Assemble(typeFilter(types))
	if err != nil {
		return err
	}
	return s.SetBPF(prog)
}

// attachFilter is setFilter for a descriptor.
func attachFilter(fd int, types []uint16) error {
	prog, err := bpf.Assemble(typeFilter(types))
	if err != nil {
		return err
	}
	raw := make([]unix.SockFilter, len(prog))
	for i, op := range prog {
		raw[i] = unix.SockFilter{Code: op.Op, Jt: op.Jt, Jf: op.Jf, K: op.K}
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]}))
}

// typeFilter returns a program that accepts a message if its nlmsg_type is
// among types.
func typeFilter(types []uint16) []bpf.Instruction {
	// struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type; ... }: the type is
	// two bytes at offset 4, in the byte order of the machine.
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: 4, Size: 2}}
	for _, t := range types {
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: swapToBig(t), SkipTrue: 1},
			// The value is how many bytes of the message to keep.
			bpf.RetConstant{Val: math.MaxUint32},
		)
	}
	return append(prog, bpf.RetConstant{Val: 0})
}

// swapToBig returns what BPF, which loads big-endian, sees of t in memory.
func swapToBig(t uint16) uint32 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], t)
	return uint32(binary.BigEndian.Uint16(b[:]))
}

// verifyInherited returns nil if s is a netlink socket of the protocol proto
// and in the group.
func verifyInherited(s netSocket, proto int) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return opError("adopt", err)
	}
	return control(raw, func(fd int) error {
		for _, o := range []struct{ opt, want int }{
			{unix.SO_DOMAIN, unix.AF_NETLINK},
			{unix.SO_PROTOCOL, proto},
		} {
			got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o.opt)
			if err != nil {
				return because("adopt", ErrNotAudit, os.NewSyscallError("getsockopt", err))
			}
			if got != o.want {
				return &OpError{Op: "adopt", Err: ErrNotAudit}
			}
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			return opError("adopt", os.NewSyscallError("getsockname", err))
		}
		// nl_groups shows the first 32 groups, however they were joined
		// (netlink_getname, net/netlink/af_netlink.c).
		nl, ok := sa.(*unix.SockaddrNetlink)
		if !ok || nl.Groups&(1<<(groupReadLog-1)) == 0 {
			return &OpError{Op: "adopt", Err: ErrNotJoined}
		}
		return nil
	})
}

// raiseReadBuffer makes the receive buffer of fd want bytes large, or as large
// as we may, but never smaller than it is. It returns the size it has then.
func raiseReadBuffer(fd, want int) (int, error) {
	got, err := readBuffer(fd)
	if err != nil || got >= want {
		return got, err
	}
	want = min(want, math.MaxInt32/2) // as the kernel does: __sock_set_rcvbuf, net/core/sock.c
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		// SO_RCVBUF silently takes rmem_max if want is more, and so would shrink
		// a buffer that had been made by force. Somebody else's socket tells
		// what it would give.
		if granted, err := grantable(want); err != nil || granted <= got {
			return got, err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
			return got, os.NewSyscallError("setsockopt", err)
		}
	}
	return readBuffer(fd)
}

// readBuffer returns the size of the receive buffer of fd, in the unit in which
// it is set: the kernel returns the double.
func readBuffer(fd int) (int, error) {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return n / 2, os.NewSyscallError("getsockopt", err)
}

// grantable returns the size of the receive buffer that SO_RCVBUF makes when
// asked for want.
func grantable(want int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	return readBuffer(fd)
}

// InInitialNamespace reports whether the process is in the initial network
// namespace, where alone a socket of its own hears anything. known is false where
// /proc/sys/net does not tell: see [Conn.NamespaceVerified].
func InInitialNamespace() (initial, known bool) { return initialNetNS("/proc/sys/net/core") }

// initialNetNS reports whether the process is in the initial network namespace,
// by what is in core, its /proc/sys/net/core; known is false if that does not
// tell. The cookie of a namespace does not: it is no fixed number.
func initialNetNS(core string) (initial, known bool) {
	// net/core/sysctl_net_core.c: netns_core_table is registered in every
	// namespace, net_core_table in init_net alone.
	if _, err := os.Stat(filepath.Join(core, "somaxconn")); err != nil {
		return false, false // nothing to be seen, so absence says nothing
	}
	_, err := os.Stat(filepath.Join(core, "netdev_max_backlog"))
	return err == nil, err == nil || errors.Is(err, os.ErrNotExist)
}

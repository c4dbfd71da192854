package audittest

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// groups is AUDIT_NLGRP_READLOG as nl_groups has it. On NETLINK_USERSOCK group 1
// stands in for it.
const groups = 1 << (unix.AUDIT_NLGRP_READLOG - 1)

// Sender sends messages from user space: its port id is never 0.
type Sender struct {
	fd   int
	port uint32
	buf  []byte
}

// Forger returns a Sender for the real audit group. It needs CAP_NET_ADMIN to
// send.
func Forger() (*Sender, error) { return newSender(unix.NETLINK_AUDIT) }

// newSender returns a Sender for the protocol proto in the network namespace of
// the calling thread.
func newSender(proto int) (*Sender, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Sender{fd: fd}
	if err := s.init(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sender) init() error {
	if err := unix.Bind(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.port = sa.(*unix.SockaddrNetlink).Pid

	// A multicast is always a unicast too (netlink_sendmsg). Ours goes to
	// ourselves, where a filter throws it away: the kernel would answer it with
	// an error, and where nobody listens sending would fail.
	reject := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err = unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(reject)), Filter: &reject[0]})
	return os.NewSyscallError("setsockopt", err)
}

// Port returns the port id of the Sender, which listeners see as nl_pid.
func (s *Sender) Port() uint32 { return s.port }

// Multicast sends a message of type typ to the group. When it returns, every
// listener has the message in its queue, has refused it by its filter, or has
// dropped it and counted that.
func (s *Sender) Multicast(typ uint16, payload string) error {
	return s.send(s.message(typ, payload), &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: s.port, Groups: groups})
}

// Unicast sends a message of type typ to the one socket with the port id port.
func (s *Sender) Unicast(port uint32, typ uint16, payload string) error {
	return s.send(s.message(typ, payload), &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port})
}

// Raw sends datagram to the group as it is, netlink header included or not.
func (s *Sender) Raw(datagram []byte) error {
	return s.send(datagram, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: s.port, Groups: groups})
}

// Close closes the socket of the Sender.
func (s *Sender) Close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

// message returns the datagram as the kernel would have made it: nlmsg_len is
// the length of the datagram, which is not padded; flags, seq and pid are 0.
func (s *Sender) message(typ uint16, payload string) []byte {
	n := unix.NLMSG_HDRLEN + len(payload)
	b := append(s.buf[:0], make([]byte, unix.NLMSG_HDRLEN)...)
	binary.NativeEndian.PutUint32(b, uint32(n))
	binary.NativeEndian.PutUint16(b[4:], typ)
	s.buf = append(b, payload...)
	return s.buf
}

func (s *Sender) send(b []byte, to *unix.SockaddrNetlink) error {
	for {
		err := unix.Sendto(s.fd, b, 0, to)
		if err != unix.EINTR {
			return os.NewSyscallError("sendto", err)
		}
	}
}

package audittest

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// TypeUserAVC is the one type that the kernel relays even with audit_enabled=0.
const TypeUserAVC = 1107 // AUDIT_USER_AVC

// Relay makes the kernel multicast records to the real audit group.
type Relay struct {
	fd  int
	buf []byte
}

// NewRelay opens a Relay.
func NewRelay() (*Relay, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &Relay{fd: fd}, nil
}

// Send makes the kernel send a record of type [TypeUserAVC] whose text has
// msg='text' in it. It has been accepted when Send returns; the kernel's audit
// thread multicasts it some time later, in the order of the calls. Send needs
// CAP_AUDIT_WRITE in the initial user namespace.
func (r *Relay) Send(text string) error {
	// The kernel overwrites the last byte with a NUL (audit_receive_msg).
	n := unix.NLMSG_HDRLEN + len(text) + 1
	b := append(r.buf[:0], make([]byte, unix.NLMSG_HDRLEN)...)
	binary.NativeEndian.PutUint32(b, uint32(n))
	binary.NativeEndian.PutUint16(b[4:], TypeUserAVC)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	r.buf = append(append(b, text...), 0)

	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(r.fd, r.buf, 0, kernel); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	return r.acknowledged()
}

// acknowledged reads the kernel's answer to the last message.
func (r *Relay) acknowledged() error {
	// struct nlmsghdr, then struct nlmsgerr, which begins with the error.
	var b [512]byte
	n, _, err := unix.Recvfrom(r.fd, b[:], 0)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(r.fd, b[:], 0)
	}
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if typ := binary.NativeEndian.Uint16(b[4:]); n < unix.NLMSG_HDRLEN+4 || typ != unix.NLMSG_ERROR {
		return fmt.Errorf("relay: answer of type %d and %d bytes", typ, n)
	}
	if errno := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); errno != 0 {
		return os.NewSyscallError("audit", unix.Errno(-errno))
	}
	return nil
}

// Close closes the Relay.
func (r *Relay) Close() error { return os.NewSyscallError("close", unix.Close(r.fd)) }

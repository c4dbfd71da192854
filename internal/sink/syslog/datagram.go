package syslog

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/nonblock"
	"golang.org/x/sys/unix"
)

const (
	// maxUDP is what UDP carries over IPv4; over IPv6 it would be 20 bytes more.
	maxUDP = 65507

	// unixOverhead is what the kernel wants free in the send buffer beside the
	// message: unix_dgram_sendmsg in net/unix/af_unix.c.
	unixOverhead = 32
)

// datagram is a connected datagram socket. It is connected so that the kernel
// can tell of a peer that is gone, and when the queue of a local one has room.
type datagram struct {
	net.Conn
	raw    syscall.RawConn
	sender *nonblock.Writer
	msg    []byte // that is being sent; owned by the runner's goroutine
	short  []byte // the last message that was shortened
	sink   *Sink  // counts
}

func (s *Sink) dialDatagram(ctx context.Context, network string) (conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, s.config.Target)
	if err != nil {
		return nil, err
	}
	c := &datagram{Conn: nc, sink: s}
	dc := nc.(nonblock.Conn)
	if c.raw, err = dc.SyscallConn(); err == nil {
		c.sender, err = nonblock.New(dc, func(fd int) error {
			return unix.Send(fd, c.msg, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// write sends the message, shortened if it is too long for this socket.
func (c *datagram) write(ctx context.Context, msg []byte, _ identity) error {
	err := c.send(ctx, msg)
	if !errors.Is(err, unix.EMSGSIZE) {
		return err
	}
	limit, lerr := c.limit()
	if lerr != nil {
		return lerr
	}
	// A path may take less than its transport; then half of it, and so on.
	for limit = min(limit, len(msg)-1); limit >= LeastMessage && errors.Is(err, unix.EMSGSIZE); limit /= 2 {
		c.short = shorten(c.short[:0], msg, limit)
		err = c.send(ctx, c.short)
	}
	if err == nil {
		c.sink.shortened.Add(1)
	}
	return err
}

// limit returns how long a message may be.
func (c *datagram) limit() (n int, err error) {
	if c.LocalAddr().Network() == "udp" {
		return maxUDP, nil
	}
	n, err = c.option(unix.SO_SNDBUF)
	return n - unixOverhead, err
}

// option returns a socket option.
func (c *datagram) option(name int) (n int, err error) {
	cerr := c.raw.Control(func(fd uintptr) {
		n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, name)
	})
	return n, errors.Join(cerr, os.NewSyscallError("getsockopt", err))
}

// send sends one datagram.
func (c *datagram) send(ctx context.Context, msg []byte) error {
	c.msg = msg
	err := c.sender.Do(ctx, 0)
	c.msg = nil
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError("send", errno)
	}
	return err
}

// flush asks whether the kernel has heard that something was refused. It would
// say so at the next message too, instead of sending it, but what was refused
// would then count as delivered.
func (c *datagram) flush(context.Context) error {
	code, err := c.option(unix.SO_ERROR)
	if err == nil && code != 0 {
		err = os.NewSyscallError("send", syscall.Errno(code))
	}
	return err
}

func (c *datagram) close() error { return c.Conn.Close() }

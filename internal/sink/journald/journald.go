package journald

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nonblock"
)

// DefaultPath is where journald listens for native datagrams
// (systemd-journald.service(8), FILES).
const DefaultPath = "/run/systemd/journal/socket"

// Sink delivers to one journald. It follows the contract of [sink.Sink].
type Sink struct {
	path string
	conn atomic.Pointer[conn] // nil while closed
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink that sends to the socket at path, or at [DefaultPath] if
// path is empty. It does not connect yet.
func New(path string) *Sink {
	if path == "" {
		path = DefaultPath
	}
	return &Sink{path: path}
}

// Open connects to journald. It fails if nobody listens.
func (s *Sink) Open(ctx context.Context) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unixgram", s.path)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	c, err := newConn(nc.(*net.UnixConn))
	if err != nil {
		nc.Close()
		return fmt.Errorf("open journal %q: %w", s.path, err)
	}
	if old := s.conn.Swap(c); old != nil {
		old.Close()
	}
	return nil
}

// Write hands e.Bytes to journald, and waits as long as its queue is full. When
// it returns nil, journald has accepted the entry.
func (s *Sink) Write(ctx context.Context, e *sink.Entry) error {
	c := s.conn.Load()
	if c == nil {
		return fmt.Errorf("write to journal: %w", os.ErrClosed)
	}
	err := c.send(ctx, e.Bytes, nil)
	if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
		err = c.sendFile(ctx, e.Bytes)
	}
	if err != nil {
		return fmt.Errorf("write to journal %q: %w", s.path, err)
	}
	return nil
}

// Flush has nothing to do: what Write accepted is delivered.
func (s *Sink) Flush(context.Context) error {
	if s.conn.Load() == nil {
		return fmt.Errorf("flush to journal: %w", os.ErrClosed)
	}
	return nil
}

// Close disconnects. A Write that waits in another goroutine fails.
func (s *Sink) Close() error {
	if c := s.conn.Swap(nil); c != nil {
		return c.Close()
	}
	return nil
}

// A conn is a connected socket. It is connected so that the kernel can tell
// when the peer's queue has room again (unix_dgram_poll in
// net/unix/af_unix.c): an unconnected one always counts as writable.
type conn struct {
	*net.UnixConn
	sender *nonblock.Writer

	data, rights []byte // that are being sent; owned by the goroutine that writes
}

func newConn(nc *net.UnixConn) (c *conn, err error) {
	c = &conn{UnixConn: nc}
	c.sender, err = nonblock.New(nc, func(fd int) error {
		return syscall.Sendmsg(fd, c.data, c.rights, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	})
	return c, err
}

// send sends one datagram.
func (c *conn) send(ctx context.Context, data, rights []byte) error {
	c.data, c.rights = data, rights
	err := c.sender.Do(ctx, 0)
	c.data, c.rights = nil, nil
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError("sendmsg", errno)
	}
	return err
}

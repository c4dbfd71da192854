package journald

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
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
	raw syscall.RawConn

	// What attempt sends and how it ended; owned by the goroutine that writes.
	data, rights []byte
	wait         bool // let the poller wait while the queue is full
	err          error
	attempt      func(fd uintptr) bool // made once: a closure per entry would allocate
}

func newConn(nc *net.UnixConn) (*conn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{UnixConn: nc, raw: raw}
	c.attempt = func(fd uintptr) bool {
		for {
			c.err = syscall.Sendmsg(int(fd), c.data, c.rights, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
			if c.err != syscall.EINTR {
				return c.err != syscall.EAGAIN || !c.wait
			}
		}
	}
	return c, nil
}

// send sends one datagram. It costs nothing but the system call unless the
// queue is full; only then it arranges for ctx to interrupt it.
func (c *conn) send(ctx context.Context, data, rights []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.data, c.rights = data, rights
	defer func() { c.data, c.rights = nil, nil }()
	err := c.try(false)
	if err != syscall.EAGAIN {
		return err
	}

	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.SetWriteDeadline(time.Unix(1, 0)) // long ago
		close(interrupted)
	})
	err = c.try(true)
	if !stop() {
		<-interrupted
		c.SetWriteDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
	}
	return err
}

// try makes one attempt, or with wait as many as it takes.
func (c *conn) try(wait bool) error {
	c.wait = wait
	if err := c.raw.Write(c.attempt); err != nil {
		return err
	}
	if c.err != nil && c.err != syscall.EAGAIN {
		return os.NewSyscallError("sendmsg", c.err)
	}
	return c.err
}

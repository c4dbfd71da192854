package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

const (
	// maxPending is how many bytes are collected before they are flushed
	// without being asked to. The runner's batches are hardly larger.
	maxPending = 512 << 10

	// settleTime is how long a connection must have lasted before anything
	// counts as delivered over it.
	settleTime = time.Second

	// userTimeout is when a peer that acknowledges nothing, or whose window
	// stays closed, is given up: TCP_USER_TIMEOUT of tcp(7). Keepalive probes
	// follow it too.
	userTimeout = 2 * time.Minute

	// The pauses between two looks at the queue. A peer that reads acknowledges
	// at once, one that does not may delay that by 40 ms.
	minPause = 50 * time.Microsecond
	maxPause = 50 * time.Millisecond
)

var errPeerClosed = errors.New("the peer closed the connection")

// stream is a TCP connection, with TLS or without.
type stream struct {
	// Set by dialStream.
	tcp    *net.TCPConn
	raw    syscall.RawConn
	tls    *tls.Conn // nil without TLS
	io     io.ReadWriter
	begun  time.Time
	settle time.Duration

	alive context.Context // ends when the reading goroutine does
	end   context.CancelFunc

	// Set by the reading goroutine before it closes ended.
	ended   chan struct{}
	endErr  error
	endTime time.Time

	unflushed atomic.Bool // something may be on its way

	// Owned by the runner's goroutine.
	sink    *Sink // its history and what else outlives a connection
	history *history
	failed  error // of an earlier flush: a frame may be torn
	rest    bool  // of what has to be sent again, all that was sent on this one is taken
	timer   *time.Timer
	inspect func(fd uintptr) // look, made once: a closure per call would allocate
	queued  int              // bytes that the peer's kernel has not acknowledged
	hungUp  bool             // FIN or RST has arrived
	lookErr error
	poll    [1]unix.PollFd
}

func (s *Sink) dialStream(ctx context.Context) (conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4,
	}}
	nc, err := d.DialContext(ctx, "tcp", s.config.Target)
	if err != nil {
		return nil, err
	}
	c := &stream{tcp: nc.(*net.TCPConn), begun: time.Now(), settle: s.settle, ended: make(chan struct{}),
		sink: s, history: &s.history, timer: time.NewTimer(0)}
	c.alive, c.end = context.WithCancel(context.Background())
	c.io, c.inspect = c.tcp, c.look
	if err := c.prepare(); err != nil {
		nc.Close()
		return nil, err
	}
	if s.config.Network == TLS {
		if err := c.handshake(ctx, &s.config); err != nil {
			nc.Close()
			return nil, err
		}
	}
	s.history.reset()
	go c.read()
	return c, nil
}

func (c *stream) prepare() error {
	var err error
	if c.raw, err = c.tcp.SyscallConn(); err != nil {
		return err
	}
	cerr := c.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	return errors.Join(cerr, os.NewSyscallError("setsockopt", err))
}

// read reads what a syslog receiver has no reason to send, until the connection
// ends: nothing else would tell of that between events. For TLS it is what
// handles alerts and renewed keys.
func (c *stream) read() {
	defer c.end()
	defer close(c.ended)
	buf := make([]byte, 512)
	var err error
	for err == nil {
		_, err = c.io.Read(buf)
	}
	if errors.Is(err, io.EOF) {
		err = errPeerClosed
	}
	c.endErr, c.endTime = err, time.Now()
	c.tcp.SetWriteDeadline(longAgo) // a peer may end its half and still not read ours
}

// gone reports whether the connection has ended.
func (c *stream) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// write collects the message.
func (c *stream) write(ctx context.Context, msg []byte, id identity) error {
	if c.failed != nil {
		return c.failed
	}
	if c.gone() {
		return c.fail(c.endErr)
	}
	c.unflushed.Store(true)
	c.history.add(msg, id)
	if c.history.pending() < maxPending {
		return nil
	}
	return c.flush(ctx)
}

// flush sends what was collected, and before that what has to be sent again, and
// waits until it is acknowledged.
func (c *stream) flush(ctx context.Context) error {
	if c.failed != nil {
		return c.failed
	}
	if c.history.unsent() == 0 {
		if c.gone() && c.history.recent(c.endTime) {
			return c.fail(c.endErr)
		}
		return nil
	}
	if err := c.deliver(ctx); err != nil {
		return c.fail(err)
	}
	return nil
}

// confirm flushes, and waits until the connection has lasted long enough behind the
// last message.
func (c *stream) confirm(ctx context.Context) error {
	err := c.flush(ctx)
	for err == nil {
		wait := c.sink.acks.wait(time.Now())
		if wait == 0 {
			return nil
		}
		if err = c.last(ctx, wait); err != nil {
			return c.fail(err)
		}
	}
	return err
}

// fail makes every later call return err too.
func (c *stream) fail(err error) error {
	at := time.Now()
	if c.gone() {
		at = c.endTime
	}
	h, s := c.history, &c.sink.bisection
	if i := h.older(at.Add(-c.settle)); i > 0 && !h.again() && !(s.found && h.marks[i-1].id == s.candidate) {
		s.remember(h.message(i - 1))
	}
	h.broken(at, c.rest)
	c.sink.acks.broken(at)
	if h.again() {
		s.fails = max(s.fails, 1)
	}
	c.failed = err
	return err
}

func (c *stream) deliver(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := interrupt(ctx, c.tcp)
	err := c.deliverAll(ctx)
	if !stop() && err == nil {
		err = ctx.Err() // it came too late to interrupt anything but the next write
	}
	if err != nil {
		return err
	}
	c.unflushed.Store(false)
	return nil
}

// deliverAll delivers what is not sent on this connection, as many messages at once
// as the bisection allows.
func (c *stream) deliverAll(ctx context.Context) error {
	h, s := c.history, &c.sink.bisection
	for h.unsent() > 0 {
		i, n := h.next, s.batch(h.unsent())
		id := h.marks[i].id
		if i >= h.sent && c.sink.isGivenUp(id) || s.found && s.rejected && id == s.candidate {
			c.sink.giveUp(i)
			continue
		}
		var err error
		if s.found && id == s.candidate {
			n, err = 1, c.try(ctx, i)
		} else if err = c.send(ctx, h.between(i, i+n)); err == nil && s.careful() {
			err = c.last(ctx, c.settle)
		}
		switch {
		case err == nil:
		case !c.gone() || ctx.Err() != nil || !byPeer(err):
			return err
		case s.found && id == s.candidate:
			return err // try has judged it
		default:
			if s.failed(n, id); s.fails == 1 {
				return err
			}
			c.rest = true
			return fmt.Errorf("%w: %w", sink.ErrBisecting, err)
		}
		c.sink.resent.Add(uint64(max(0, min(i+n, h.sent)-i)))
		fresh := i + n - max(i, h.sent)
		h.delivered(n, time.Now())
		if s.careful() {
			s.passed()
			s.remember(h.message(i + n - 1))
		} else if fresh > 0 {
			c.sink.acks.add(time.Now(), fresh)
		}
	}
	if s.careful() {
		c.sink.acks.resent()
		s.reset()
	}
	return nil
}

// try sends the candidate, message i, in the way that bisection describes.
func (c *stream) try(ctx context.Context, i int) error {
	h, s := c.history, &c.sink.bisection
	control := s.control(h, i)
	err := c.last(ctx, someTime(c.settle/2))
	if err == nil && control != nil {
		if err = c.send(ctx, h.frame(nil, control)); err == nil {
			err = c.last(ctx, someTime(c.settle/2))
		}
		if err != nil {
			s.taken = nil // who knows whether it was taken
		} else {
			s.remember(control)
		}
	}
	if err != nil {
		s.restart()
		return err
	}
	alive := time.Since(c.begun)
	msg := h.message(i)
	size := len(msg)
	if s.limit > 0 {
		msg = shorten(nil, msg, s.limit)
	}
	sent := time.Now()
	if err = c.send(ctx, h.frame(nil, msg)); err == nil {
		err = c.last(ctx, c.settle)
	}
	switch {
	case err == nil:
		if s.limit > 0 {
			c.sink.learn(s.limit)
			h.replace(i, msg)
		}
		s.dropCandidate()
		return nil
	case control == nil || !c.gone() || ctx.Err() != nil || !byPeer(err):
		return err
	}
	s.countFailure(c.endTime.Sub(sent), alive, size)
	c.rest = true
	return fmt.Errorf("%w: %w", sink.ErrBisecting, err)
}

// byPeer reports whether it was the peer's will that a connection ended.
func byPeer(err error) bool {
	var alert tls.AlertError
	return errors.Is(err, errPeerClosed) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &alert)
}

// last waits for that time, and fails if the connection ends meanwhile.
func (c *stream) last(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	c.timer.Reset(d)
	select {
	case <-c.timer.C:
		return nil
	case <-c.ended:
		return c.endErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send sends frames and waits until they are acknowledged, or until the write
// deadline has passed.
func (c *stream) send(ctx context.Context, frames []byte) error {
	if _, err := c.io.Write(frames); err != nil {
		return c.reason(ctx, err)
	}
	return c.acknowledged(ctx)
}

// reason returns why a write failed. What the reader met tells more than "broken
// pipe": a TLS alert, for example.
func (c *stream) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// Our deadline is set by the end of ctx or of the reader only, and after any
	// other error of the socket nothing can block the reader.
	select {
	case <-c.ended:
		return c.endErr
	case <-ctx.Done():
		return err
	}
}

// acknowledged waits until the peer's kernel has everything and the connection
// has lasted long enough.
func (c *stream) acknowledged(ctx context.Context) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if err := errors.Join(c.raw.Control(c.inspect), c.lookErr); err != nil {
			return err
		}
		if c.hungUp {
			return c.reason(ctx, errPeerClosed)
		}
		if c.queued == 0 && !c.gone() && time.Since(c.begun) >= c.settle {
			return nil
		}
		c.timer.Reset(pause)
		select {
		case <-c.timer.C:
		case <-c.ended:
			return c.endErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look asks the kernel how the connection is: first what is not acknowledged,
// then whether the peer has ended it, for only in this order an empty queue and
// a live connection prove that everything arrived while it lived. The reader
// would tell of the end too, but later.
func (c *stream) look(fd uintptr) {
	c.queued, c.lookErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if c.lookErr != nil {
		c.lookErr = os.NewSyscallError("ioctl", c.lookErr)
		return
	}
	c.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}
	// Also without a time to wait a signal, such as the runtime sends to itself,
	// ends poll(2) where nothing is to be reported (do_poll, fs/select.c).
	n, err := unix.Poll(c.poll[:], 0)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(c.poll[:], 0)
	}
	c.hungUp, c.lookErr = n > 0, os.NewSyscallError("poll", err)
}

// close ends the connection. If all was delivered, TLS says farewell, for which
// there is room then. A write that begins meanwhile may fill that room and hold
// the lock of its direction: tls.Conn.Close passes over the farewell then, where
// CloseWrite would wait.
func (c *stream) close() (err error) {
	if c.tls != nil && !c.unflushed.Load() {
		c.tls.Close() // its error is that of the farewell
	} else {
		err = c.tcp.Close()
	}
	<-c.ended
	return err
}

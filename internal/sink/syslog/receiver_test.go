package syslog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver stands in for a syslog server that can end, begin again and stop
// reading. It takes one connection after the other, so that what it got has one
// order. It works in one goroutine from newReceiver to the end of the test.
type receiver struct {
	t       testing.TB
	network string
	tls     *tls.Config // nil without TLS
	address string
	work    chan func() // what the goroutine is to do next

	reading gate // held by a test that wants no reading

	mu     sync.Mutex
	socket io.Closer     // nil when ended
	conn   net.Conn      // the stream that is read
	ending chan struct{} // closed by end: what waits for the gate gives up
	done   chan struct{} // closed when nothing is read any more
	got    [][]byte
	torn   error
	more   chan struct{} // closed and replaced when something was got
}

func newReceiver(t testing.TB, network string) *receiver {
	r := &receiver{t: t, network: network, address: "127.0.0.1:0", reading: make(gate, 1),
		work: make(chan func()), more: make(chan struct{})}
	if network == Unix {
		r.address = t.TempDir() + "/log"
	}
	go func() {
		for f := range r.work {
			f()
		}
	}()
	t.Cleanup(func() {
		r.end()
		close(r.work)
	})
	return r
}

// begun returns a receiver that has begun.
func begun(t testing.TB, network string) *receiver {
	r := newReceiver(t, network)
	r.begin()
	return r
}

// begin listens, always at the same address.
func (r *receiver) begin() {
	ending, done := make(chan struct{}), make(chan struct{})
	var err error
	var serve func()
	var socket io.Closer
	switch r.network {
	case TCP, TLS:
		var l net.Listener
		if l, err = net.Listen("tcp", r.address); err == nil {
			socket, r.address = l, l.Addr().String()
			serve = func() { r.serve(l, ending) }
		}
	case UDP:
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", r.address); err == nil {
			socket, r.address = c, c.LocalAddr().String()
			serve = func() { r.readDatagrams(c.(syscall.Conn), ending) }
		}
	case Unix:
		os.Remove(r.address)
		var c *net.UnixConn
		if c, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.address}); err == nil {
			socket = c
			serve = func() { r.readDatagrams(c, ending) }
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.socket, r.ending, r.done = socket, ending, done
	r.mu.Unlock()
	r.work <- func() {
		defer close(done)
		serve()
	}
}

// end is what the kernel does to a receiver that is killed, except that a
// datagram socket is emptied first: what is in there cannot be known.
func (r *receiver) end() {
	r.mu.Lock()
	socket, ending, done := r.socket, r.ending, r.done
	r.socket = nil
	if socket == nil {
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	if c, ok := socket.(*net.UnixConn); ok {
		for deadline := time.Now().Add(patience); unread(c) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				r.t.Errorf("waited %v for the receiver to read what is in its socket", patience)
				break
			}
		}
	}
	close(ending)
	// A process that another test starts has copies of all descriptors until it
	// executes; one that holds this socket still listens.
	syscall.ForkLock.Lock()
	socket.Close()
	syscall.ForkLock.Unlock()
	r.mu.Lock()
	if r.conn != nil {
		r.conn.Close()
	}
	r.mu.Unlock()
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Errorf("waited %v for the receiver to end", patience)
	}
}

// unread returns the length of the next datagram in the queue.
func unread(c *net.UnixConn) (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	}
	return n
}

func (r *receiver) serve(l net.Listener, ending <-chan struct{}) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c = &gated{c, r.reading, ending}
		if r.tls != nil {
			c = tls.Server(c, r.tls)
		}
		r.mu.Lock()
		r.conn = c
		ended := r.socket == nil
		r.mu.Unlock()
		if !ended {
			r.readFrames(c)
		}
		c.Close()
	}
}

// gate is a lock that can be waited for with other things.
type gate chan struct{}

func (g gate) Lock()   { g <- struct{}{} }
func (g gate) Unlock() { <-g }

// gated is a connection that reads only while the gate is free.
type gated struct {
	net.Conn
	gate   gate
	ending <-chan struct{}
}

func (g *gated) Read(b []byte) (int, error) {
	n, err := readGated(g.Conn.(syscall.Conn), g.gate, g.ending, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// readGated takes the gate only while it reads, not while there is nothing. It
// waits for the gate outside of RawConn.Read: Close waits for whoever is inside,
// and a test may close what it does not let be read.
func readGated(c syscall.Conn, gate gate, ending <-chan struct{}, b []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	for {
		held := false // by a test
		rerr := raw.Read(func(fd uintptr) bool {
			select {
			case gate <- struct{}{}:
				defer gate.Unlock()
			default:
				held = true
				return true
			}
			n, err = syscall.Read(int(fd), b)
			return !errors.Is(err, syscall.EAGAIN)
		})
		if !held {
			return max(n, 0), errors.Join(rerr, err)
		}
		select {
		case gate <- struct{}{}:
			gate.Unlock()
		case <-ending:
			return 0, net.ErrClosed
		}
	}
}

// readFrames notes whole frames. One that the end of the connection tore is no
// fault; one without a proper length is.
func (r *receiver) readFrames(in io.Reader) {
	b := bufio.NewReaderSize(in, 1<<10)
	for {
		length, err := b.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(length[:len(length)-1])
		if err != nil || n <= 0 || length[0] == '0' {
			r.mu.Lock()
			r.torn = fmt.Errorf("no length: %.40q", length)
			r.mu.Unlock()
			return
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(b, msg); err != nil {
			return
		}
		r.note(msg)
	}
}

func (r *receiver) readDatagrams(c syscall.Conn, ending <-chan struct{}) {
	buf := make([]byte, 1<<20)
	for {
		n, err := readGated(c, r.reading, ending, buf)
		if err != nil || n == 0 { // 0: shut down
			return
		}
		r.note(bytes.Clone(buf[:n]))
	}
}

func (r *receiver) note(msg []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, msg)
	close(r.more)
	r.more = make(chan struct{})
}

func (r *receiver) entries() ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.got...), r.torn
}

// wait returns the messages once there are n.
func (r *receiver) wait(n int) [][]byte {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		got, more, torn := r.got, r.more, r.torn
		r.mu.Unlock()
		if torn != nil {
			r.t.Fatal(torn)
		}
		if len(got) >= n {
			return got
		}
		select {
		case <-more:
		case <-timeout:
			r.t.Fatalf("waited %v for %d messages, got %d", patience, n, len(got))
		}
	}
}

// sink returns a sink that sends to r, and whose connections count from the
// first moment.
func (r *receiver) sink() *Sink { return newSink(r.t, Config{Network: r.network, Target: r.address}) }

func newSink(t testing.TB, o Config) *Sink {
	t.Helper()
	s, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.settle, s.acks.while = 0, 0
	t.Cleanup(func() {
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		await(t, "Close", closed)
	})
	return s
}

func open(t testing.TB, s *Sink) {
	t.Helper()
	if err := s.Open(limited(t)); err != nil {
		t.Fatal(err)
	}
}

// deliver writes and flushes messages.
func deliver(s *Sink, msgs ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range msgs {
		if err := s.Write(ctx, &sink.Entry{Bytes: []byte(m)}); err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

func mustDeliver(t testing.TB, s *Sink, msgs ...string) {
	t.Helper()
	if err := deliver(s, msgs...); err != nil {
		t.Fatal(err)
	}
}

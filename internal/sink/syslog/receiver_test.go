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

	reading sync.Mutex // held by a test that wants no reading

	mu     sync.Mutex
	socket io.Closer // nil when ended
	conn   net.Conn  // the stream that is read
	done   chan struct{}
	got    [][]byte
	torn   error
	more   chan struct{} // closed and replaced when something was got
}

func newReceiver(t testing.TB, network string) *receiver {
	r := &receiver{t: t, network: network, address: "127.0.0.1:0",
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
	done := make(chan struct{})
	var err error
	var serve func()
	var socket io.Closer
	switch r.network {
	case TCP, TLS:
		var l net.Listener
		if l, err = net.Listen("tcp", r.address); err == nil {
			socket, r.address = l, l.Addr().String()
			serve = func() { r.serve(l) }
		}
	case UDP:
		var c net.PacketConn
		if c, err = net.ListenPacket("udp", r.address); err == nil {
			socket, r.address = c, c.LocalAddr().String()
			serve = func() { r.readDatagrams(c.(syscall.Conn)) }
		}
	case Unix:
		os.Remove(r.address)
		var c *net.UnixConn
		if c, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.address}); err == nil {
			socket = c
			serve = func() { r.readDatagrams(c) }
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.socket, r.done = socket, done
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
	socket, done := r.socket, r.done
	r.socket = nil
	if socket == nil {
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	if c, ok := socket.(*net.UnixConn); ok {
		for unread(c) > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	socket.Close()
	r.mu.Lock()
	if r.conn != nil {
		r.conn.Close()
	}
	r.mu.Unlock()
	<-done
}

// unread returns the length of the next datagram in the queue.
func unread(c *net.UnixConn) (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	}
	return n
}

func (r *receiver) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c = &gated{c, &r.reading}
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

// gated is a connection that reads only while the gate is free.
type gated struct {
	net.Conn
	gate *sync.Mutex
}

func (g *gated) Read(b []byte) (int, error) {
	n, err := readGated(g.Conn.(syscall.Conn), g.gate, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// readGated takes the gate only while it reads, not while there is nothing.
func readGated(c syscall.Conn, gate *sync.Mutex, b []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	rerr := raw.Read(func(fd uintptr) bool {
		gate.Lock()
		defer gate.Unlock()
		n, err = syscall.Read(int(fd), b)
		return !errors.Is(err, syscall.EAGAIN)
	})
	return max(n, 0), errors.Join(rerr, err)
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

func (r *receiver) readDatagrams(c syscall.Conn) {
	buf := make([]byte, 1<<20)
	for {
		n, err := readGated(c, &r.reading, buf)
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
	timeout := time.After(20 * time.Second)
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
			r.t.Fatalf("%d of %d messages arrived", len(got), n)
		}
	}
}

// sink returns a sink that sends to r, and whose connections count from the
// first moment.
func (r *receiver) sink() *Sink { return newSink(r.t, Options{Network: r.network, Address: r.address}) }

func newSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.settle = 0
	t.Cleanup(func() { s.Close() })
	return s
}

func open(t testing.TB, s *Sink) {
	t.Helper()
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// deliver writes and flushes messages.
func deliver(s *Sink, msgs ...string) error {
	ctx := context.Background()
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

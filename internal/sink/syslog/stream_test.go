package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gosyslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func texts(msgs [][]byte) (all []string) {
	for _, m := range msgs {
		all = append(all, string(m))
	}
	return all
}

func checkGot(t *testing.T, r *receiver, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, texts(r.wait(len(want)))); diff != "" {
		t.Errorf("messages -want +got:\n%s", diff)
	}
}

func TestStreamCountsOctets(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	msgs := []string{"a", "two\nlines\n", "5 12345", "é\x00\xff", strings.Repeat("x", 100_000), "\r\n"}
	mustDeliver(t, s, msgs...)
	checkGot(t, r, msgs...)
}

// A parser of somebody else reads the very bytes of the stream.
func TestStreamIsReadByAnotherParser(t *testing.T) {
	t.Parallel()
	l := listen(t)
	s := newSink(t, Config{Network: TCP, Target: l.Addr().String()})
	open(t, s)
	c := accept(t, l)
	f := rfc5424Func(t)
	for i := range 50 {
		check(t, s.Write(limited(t), message(t, f, i+1)))
	}
	check(t, s.Flush(limited(t)))
	check(t, s.Close())
	seq := 0
	octetcounting.NewParser(gosyslog.WithListener(func(res *gosyslog.Result) {
		if res.Error != nil {
			t.Error(res.Error)
			return
		}
		seq++
		got := (*res.Message.(*rfc5424.SyslogMessage).StructuredData)["ipe@32473"]
		if got["seq"] != fmt.Sprint(seq) || got["path_hex"] != "2F746D702F610A225D5CFF" {
			t.Errorf("message %d: got %v", seq, got)
		}
	})).Parse(c)
	if seq != 50 {
		t.Errorf("%d of 50 messages were read", seq)
	}
}

// What the peer's kernel has is not delivered if the receiver turns us down.
func TestConnectionMustLast(t *testing.T) {
	t.Parallel()
	l := listen(t)
	s := newSink(t, Config{Network: TCP, Target: l.Addr().String()})
	s.settle = settleTime
	open(t, s)
	c := accept(t, l)
	check(t, s.Write(limited(t), &sink.Entry{Bytes: []byte("one")}))
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush(limited(t)) }()
	b := make([]byte, 5)
	if _, err := c.Read(b); err != nil || string(b) != "3 one" {
		t.Fatalf("got %q, %v", b, err)
	}
	c.Close()
	if err := await(t, "Flush to notice the end", flushed); !errors.Is(err, errPeerClosed) {
		t.Errorf("got %v, want errPeerClosed", err)
	}
}

func TestLastingConnectionCounts(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	s.settle = 50 * time.Millisecond
	begin := time.Now()
	open(t, s)
	mustDeliver(t, s, "one")
	if d := time.Since(begin); d < s.settle {
		t.Errorf("delivered after %v, want not before %v", d, s.settle)
	}
}

// Flush waits for the peer's kernel, not only for room in ours.
func TestFlushWaitsForTheAcknowledgement(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one")
	r.wait(1)
	check(t, s.conn.(*stream).tcp.SetWriteBuffer(400_000))
	r.reading.Lock()
	long := strings.Repeat("x", 200_000) // more than the window of a receiver that reads nothing
	check(t, s.Write(limited(t), &sink.Entry{Bytes: []byte(long)}))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := s.Flush(ctx)
	r.reading.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

// A batch that no buffer takes blocks in the middle of sending.
func TestSendingIsUnblocked(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, network := range []string{TCP, TLS} {
		for _, how := range []string{"context", "Close"} {
			t.Run(network+" by "+how, func(t *testing.T) {
				t.Parallel()
				r := newReceiver(t, network)
				o := Config{Network: network}
				if network == TLS {
					r.tls, o.CA = p.server(t), p.ca
				}
				r.begin()
				o.Target = r.address
				s := newSink(t, o)
				open(t, s)
				mustDeliver(t, s, "one")
				r.wait(1)
				r.reading.Lock()
				defer r.reading.Unlock()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				sent := make(chan error, 1)
				go func() { sent <- s.Write(ctx, &sink.Entry{Bytes: make([]byte, 32<<20)}) }()
				select {
				case err := <-sent:
					t.Fatalf("got %v, want it to block", err)
				case <-time.After(100 * time.Millisecond): // so that it is under way; either way must pass
				}
				if how == "Close" {
					closed := make(chan error, 1)
					go func() { closed <- s.Close() }()
					await(t, "Close to return", closed)
				}
				cancel()
				if err := await(t, "Write to return", sent); err == nil {
					t.Error("got nil, want an error")
				}
			})
		}
	}
}

// Its end sets a deadline that the next write, with another context, would meet.
func TestContextThatEndsLastFailsItsOwnFlush(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := s.conn.(*stream)
	c.inspect = func(fd uintptr) {
		c.look(fd)
		cancel()
	}
	check(t, s.Write(ctx, &sink.Entry{Bytes: []byte("one")}))
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestClosedBeforeFlushIsSentOnce(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	check(t, s.Write(limited(t), &sink.Entry{Bytes: []byte("one")}))
	check(t, s.Close())
	open(t, s)
	mustDeliver(t, s, "one", "two")
	mustDeliver(t, s, "three")
	checkGot(t, r, "one", "two", "three")
}

// The kernel knows of the end of a connection before our reader does.
func TestEndIsNoticedBeforeTheReader(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one")
	r.wait(1)
	c := s.conn.(*stream)
	slow := &stream{raw: c.raw, timer: c.timer, ended: make(chan struct{})}
	slow.inspect = slow.look
	check(t, slow.acknowledged(limited(t)))
	r.end()
	await(t, "the sink to read the end", c.ended)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := slow.acknowledged(ctx); !errors.Is(err, errPeerClosed) {
		t.Errorf("got %v, want errPeerClosed", err)
	}
}

func TestWriteFailsWhenThePeerEndedBefore(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one")
	r.wait(1)
	r.end()
	await(t, "the sink to read the end", s.conn.(*stream).ended)
	if err := deliver(s, "two"); !errors.Is(err, errPeerClosed) {
		t.Errorf("got %v, want errPeerClosed", err)
	}
	if err := s.Flush(limited(t)); err == nil {
		t.Error("Flush after a failure returned nil")
	}
}

// The kernel of a receiver that is killed acknowledged what it never read.
func TestUnreadMessagesAreSentAgain(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one", "two")
	checkGot(t, r, "one", "two")
	r.reading.Lock()
	mustDeliver(t, s, "three")
	mustDeliver(t, s, "four", "five")
	ended := s.conn.(*stream).ended
	r.mu.Lock()
	check(t, r.conn.(*gated).Conn.(*net.TCPConn).SetLinger(0))
	r.conn.Close() // before anything was read of it
	r.mu.Unlock()
	await(t, "the sink to read the reset", ended)
	r.reading.Unlock()
	if err := deliver(s, "six"); err == nil {
		t.Fatal("delivered on a connection that was reset")
	}
	check(t, s.Close())
	open(t, s)
	mustDeliver(t, s, "six")
	checkGot(t, r, "one", "two", "one", "two", "three", "four", "five", "six")

	check(t, s.Close()) // by our choice: nothing is sent again
	open(t, s)
	mustDeliver(t, s, "seven")
	if got := texts(r.wait(9)); got[8] != "seven" {
		t.Errorf("after a reopening got %q, want seven", got[8:])
	}
}

func TestCloseUnblocksOpen(t *testing.T) {
	t.Parallel()
	l := listen(t) // and nobody shakes hands
	s := newSink(t, Config{Network: TLS, Target: l.Addr().String()})
	opened := make(chan error, 1)
	go func() { opened <- s.Open(limited(t)) }()
	accept(t, l)
	check(t, s.Close())
	if err := await(t, "Open to notice Close", opened); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want os.ErrClosed", err)
	}
}

func TestStreamOptionsAreSet(t *testing.T) {
	t.Parallel()
	r := begun(t, TCP)
	s := r.sink()
	open(t, s)
	raw := s.conn.(*stream).raw
	for _, o := range []struct{ level, name, want int }{
		{syscall.IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, 120_000},
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30},
	} {
		check(t, raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), o.level, o.name); err != nil || got != o.want {
				t.Errorf("option %d: got %d, %v, want %d", o.name, got, err, o.want)
			}
		}))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   Config
		want string
	}{
		{Config{}, "network"},
		{Config{Network: "http", Target: "a:1"}, "network"},
		{Config{Network: Unix, Target: "log"}, "absolute"},
		{Config{Network: TCP, Target: "host"}, "host:port"},
		{Config{Network: TCP, Target: "a:1", CA: "/x"}, "want tls"},
		{Config{Network: TLS, Target: "a:1", Cert: "/x"}, "both"},
	} {
		if _, err := New(&tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error that says %q", tt.in, err, tt.want)
		}
	}
}

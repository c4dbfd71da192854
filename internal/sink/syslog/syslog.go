package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// openTimeout limits what Open may take for finding the address, connecting and
// the handshake together.
const openTimeout = 30 * time.Second

// The networks that Config.Network may name.
const (
	Unix = "unix"
	UDP  = "udp"
	TCP  = "tcp"
	TLS  = "tls"
)

// The framings of streams that Config.Framing may name.
const (
	Octet = "octet" // octet counting: length, blank, message (RFC 6587 section 3.4.1)
	LF    = "lf"    // message, newline (section 3.4.2)
)

// Sink sends entries to one receiver. It follows the contract of [sink.Sink].
type Sink struct {
	// Set by New.
	config Config
	settle time.Duration // how long a connection must have lasted to count

	// refuse is told of each message that was given up because the receiver ends
	// every connection on which it is sent, and shorten from which length on it did
	// so with long ones. They are called from the runner's goroutine.
	refuse  func(sink.Refused)
	shorten func(octets int)

	// Owned by the runner's goroutine.
	history   history
	bisection bisection
	dropped   *identity // the last message that was given up, nil if there is none
	learned   int       // how long messages the receiver takes, if that was found out
	short     []byte    // the last message that was shortened

	acks acks

	shortened, resent, refused atomic.Uint64

	mu     sync.Mutex
	cancel context.CancelCauseFunc // ends the Open under way, nil if there is none
	conn   conn                    // nil when not open
}

var _ sink.Resender = (*Sink)(nil)

// conn is one connection, or one connected socket.
type conn interface {
	write(ctx context.Context, msg []byte, id identity) error
	flush(ctx context.Context) error

	// close makes the others return. It is called once, by any goroutine.
	close() error
}

// New returns a sink, not open. It touches neither files nor the network.
func New(c *Config) (*Sink, error) {
	switch c.Network {
	case Unix:
		if !filepath.IsAbs(c.Target) {
			return nil, fmt.Errorf("address %q: want the absolute path of a socket", c.Target)
		}
	case UDP, TCP, TLS:
		if _, _, err := net.SplitHostPort(c.Target); err != nil {
			return nil, fmt.Errorf("address %q: want host:port", c.Target)
		}
	default:
		return nil, fmt.Errorf("network %q: want unix, udp, tcp or tls", c.Network)
	}
	stream := c.Network == TCP || c.Network == TLS
	switch {
	case c.Framing != "" && !stream:
		return nil, fmt.Errorf("framing on network %q: want tcp or tls", c.Network)
	case c.Framing != "" && c.Framing != Octet && c.Framing != LF:
		return nil, fmt.Errorf("framing %q: want octet or lf", c.Framing)
	case c.MaxMessage != 0 && c.MaxMessage < LeastMessage:
		return nil, fmt.Errorf("a limit of %d octets for messages: want %d or more", c.MaxMessage, LeastMessage)
	case c.Network != TLS && (c.CA != "" || c.Cert != "" || c.Key != ""):
		return nil, fmt.Errorf("certificates on network %q: want tls", c.Network)
	case (c.Cert == "") != (c.Key == ""):
		return nil, errors.New("want both a certificate and its key, or neither")
	}
	return &Sink{
		config: *c, settle: settleTime, history: history{lf: c.Framing == LF}, acks: acks{while: settleTime},
		refuse: func(sink.Refused) {}, shorten: func(int) {},
	}, nil
}

// Open connects, and gives up after 30 seconds. Over UDP that says nothing about
// the receiver.
func (s *Sink) Open(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, openTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	s.mu.Lock()
	if s.conn != nil {
		s.mu.Unlock()
		return nil
	}
	s.cancel = cancel
	s.mu.Unlock()

	c, err := s.connect(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	if err == nil && ctx.Err() != nil {
		c.close()
		err = ctx.Err()
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("connect to %s: %w", s, err)
	}
	s.conn = c
	return nil
}

func (s *Sink) connect(ctx context.Context) (conn, error) {
	switch s.config.Network {
	case Unix:
		return s.dialDatagram(ctx, "unixgram")
	case UDP:
		return s.dialDatagram(ctx, "udp")
	default:
		return s.dialStream(ctx)
	}
}

// Write sends the entry, or collects it on a stream, where it flushes once much
// has come together.
func (s *Sink) Write(ctx context.Context, e *sink.Entry) error {
	c := s.current()
	if c == nil {
		return os.ErrClosed
	}
	msg := e.Bytes
	if limit := s.limit(); limit > 0 && len(msg) > limit {
		s.short = shorten(s.short[:0], msg, limit)
		s.shortened.Add(1)
		msg = s.short
	}
	if err := c.write(ctx, msg, identify(e)); err != nil {
		return fmt.Errorf("send to %s: %w", s, err)
	}
	return nil
}

// Flush returns nil when everything is delivered, in the sense of the package
// comment. On a stream it waits for that until ctx ends, Close is called, or the
// connection is given up.
func (s *Sink) Flush(ctx context.Context) error {
	c := s.current()
	if c == nil {
		return os.ErrClosed
	}
	if err := c.flush(ctx); err != nil {
		return fmt.Errorf("send to %s: %w", s, err)
	}
	return nil
}

// Alive returns a context that ends with the connection, if messages may have to be
// sent again then.
func (s *Sink) Alive() context.Context {
	c, ok := s.current().(*stream)
	if !ok || c.gone() && !c.history.recent(c.endTime) {
		return nil
	}
	return c.alive
}

// Confirm is Flush, and on a stream waits until the connection has lasted for a
// second behind the last message.
func (s *Sink) Confirm(ctx context.Context) error {
	c, ok := s.current().(*stream)
	if !ok {
		return s.Flush(ctx)
	}
	if err := c.confirm(ctx); err != nil {
		return fmt.Errorf("send to %s: %w", s, err)
	}
	return nil
}

// Undelivered returns how many messages that Flush has passed are not known to be
// taken, and how many were given up, on a stream.
func (s *Sink) Undelivered() uint64 { return s.acks.undelivered(time.Now()) }

// Counters returns what was shortened, sent again and given up since New.
func (s *Sink) Counters() []sink.Counter {
	return []sink.Counter{
		{Name: "shortened", Help: "Messages that were too long and were shortened, each attempt to send one counted.", Count: s.shortened.Load()},
		{Name: "resent", Help: "Messages sent again because the receiver ended the connection and may not have read them.", Count: s.resent.Load()},
		{Name: "refused", Help: "Events given up because the receiver ends every connection on which they are sent.", Count: s.refused.Load()},
	}
}

// limit returns how long a message may be, 0 if there is no limit.
func (s *Sink) limit() int {
	if s.learned > 0 {
		return s.learned // below the other one
	}
	return int(s.config.MaxMessage)
}

// learn notes that the receiver takes messages of that length, and no longer ones.
func (s *Sink) learn(limit int) {
	s.shortened.Add(1)
	s.learned = limit
	s.shorten(limit)
}

// isGivenUp reports whether a message was given up that the runner writes again
// because something behind it failed.
func (s *Sink) isGivenUp(id identity) bool { return s.dropped != nil && *s.dropped == id }

// giveUp drops message i of the history, and tells it unless that was done.
func (s *Sink) giveUp(i int) {
	id := s.history.marks[i].id
	if !s.isGivenUp(id) {
		s.dropped = &id
		s.refused.Add(1)
		s.acks.gaveUp(i < s.history.sent)
		s.refuse(sink.Refused{
			Kind: id.kind, Stage: id.stage, Cursor: id.cursor,
			Reason: "it ends every connection on which it is sent",
		})
		s.bisection.dropCandidate()
	}
	s.history.replace(i, nil)
}

// Close disconnects.
func (s *Sink) Close() error {
	s.mu.Lock()
	c := s.conn
	s.conn = nil
	if s.cancel != nil {
		s.cancel(os.ErrClosed)
	}
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.close()
}

// String returns the address as in the configuration.
func (s *Sink) String() string { return s.config.Network + "://" + s.config.Target }

func (s *Sink) current() conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// interrupt makes blocked and later writes of c fail when ctx ends, until stop
// is called.
func interrupt(ctx context.Context, c net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.SetWriteDeadline(longAgo) })
}

var longAgo = time.Unix(1, 0)

package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// openTimeout limits what Open may take for finding the address, connecting and
// the handshake together.
const openTimeout = 30 * time.Second

// The networks that Options.Network may name.
const (
	Unix = "unix"
	UDP  = "udp"
	TCP  = "tcp"
	TLS  = "tls"
)

// The framings of streams that Options.Framing may name.
const (
	Octet = "octet" // octet counting: length, blank, message (RFC 6587 section 3.4.1)
	LF    = "lf"    // message, newline (section 3.4.2)
)

// Options says where to send. Network and Address are needed.
type Options struct {
	Network string // Unix, UDP, TCP or TLS
	Address string // absolute path of a datagram socket for Unix, else host:port

	// MaxMessage is how long a message may be, in octets, without what frames it; a
	// longer one is shortened. At least LeastMessage; 0 for as long as the socket
	// takes, which is no limit on a stream.
	MaxMessage int

	// Framing is how messages are told apart on a stream; empty for Octet.
	Framing string

	// Files in PEM, for TLS only.
	CA   string // who signs the server's certificate; empty: whom the system trusts
	Cert string // our own certificate, and those that lead to its authority; empty: none
	Key  string // the private key of Cert
}

// Sink sends entries to one receiver. It follows the contract of [sink.Sink].
type Sink struct {
	// Set by New.
	options Options
	settle  time.Duration // how long a connection must have lasted to count

	// Owned by the runner's goroutine.
	history history
	short   []byte // the last message that was shortened

	mu     sync.Mutex
	cancel context.CancelCauseFunc // ends the Open under way, nil if there is none
	conn   conn                    // nil when not open
}

var _ sink.Sink = (*Sink)(nil)

// conn is one connection, or one connected socket.
type conn interface {
	write(ctx context.Context, msg []byte) error
	flush(ctx context.Context) error

	// close makes the others return. It is called once, by any goroutine.
	close() error
}

// New returns a sink, not open. It touches neither files nor the network.
func New(o Options) (*Sink, error) {
	switch o.Network {
	case Unix:
		if !filepath.IsAbs(o.Address) {
			return nil, fmt.Errorf("address %q: want the absolute path of a socket", o.Address)
		}
	case UDP, TCP, TLS:
		if _, _, err := net.SplitHostPort(o.Address); err != nil {
			return nil, fmt.Errorf("address %q: want host:port", o.Address)
		}
	default:
		return nil, fmt.Errorf("network %q: want unix, udp, tcp or tls", o.Network)
	}
	stream := o.Network == TCP || o.Network == TLS
	switch {
	case o.Framing != "" && !stream:
		return nil, fmt.Errorf("framing on network %q: want tcp or tls", o.Network)
	case o.Framing != "" && o.Framing != Octet && o.Framing != LF:
		return nil, fmt.Errorf("framing %q: want octet or lf", o.Framing)
	case o.MaxMessage != 0 && o.MaxMessage < LeastMessage:
		return nil, fmt.Errorf("a limit of %d octets for messages: want %d or more", o.MaxMessage, LeastMessage)
	case o.Network != TLS && (o.CA != "" || o.Cert != "" || o.Key != ""):
		return nil, fmt.Errorf("certificates on network %q: want tls", o.Network)
	case (o.Cert == "") != (o.Key == ""):
		return nil, errors.New("want both a certificate and its key, or neither")
	}
	return &Sink{options: o, settle: settleTime, history: history{lf: o.Framing == LF}}, nil
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
	switch s.options.Network {
	case Unix:
		return dialDatagram(ctx, "unixgram", s.options.Address)
	case UDP:
		return dialDatagram(ctx, "udp", s.options.Address)
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
	if limit := s.options.MaxMessage; limit > 0 && len(msg) > limit {
		s.short = shorten(s.short[:0], msg, limit)
		msg = s.short
	}
	if err := c.write(ctx, msg); err != nil {
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
func (s *Sink) String() string { return s.options.Network + "://" + s.options.Address }

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

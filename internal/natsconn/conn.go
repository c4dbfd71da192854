package natsconn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
)

// Schemes of servers.
const (
	Plain = "nats"
	TLS   = "tls"
)

// Port is that of a server where none is given.
const Port = "4222"

// CheckStream says what is wrong with the name of a stream, or returns nil.
func CheckStream(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`.*>/\`, r) }) {
		return fmt.Errorf("%q is not the name of a stream; use letters, digits, - and _", name)
	}
	return nil
}

// How a server that is silent is noticed: within a minute.
const (
	pingInterval = 20 * time.Second
	pingsMissed  = 2
)

// Options say where to connect to, and as whom. Servers and Timeout are needed.
type Options struct {
	Name    string   // of the client, for the server's operator
	Servers []string // URLs of one scheme, nats or tls; those of one cluster

	Credentials string      // file with a JWT and its key; empty: none
	Files       certs.Files // with tls
	Timeout     time.Duration

	// Pending is the most messages that are published and not acknowledged; 0 for the
	// client's default.
	Pending int
}

// Conn is a connection.
type Conn struct {
	NATS      *nats.Conn
	JetStream jetstream.JetStream

	ended context.Context // with the connection

	mu  sync.Mutex
	err error // the last that the server told without being asked
	raw net.Conn
}

// Dial connects to one of the servers.
func Dial(ctx context.Context, o *Options) (*Conn, error) {
	c := new(Conn)
	var end context.CancelFunc
	c.ended, end = context.WithCancel(context.Background())
	n := nats.GetDefaultOptions()
	n.Name, n.Servers, n.Timeout = o.Name, o.Servers, o.Timeout
	n.AllowReconnect, n.IgnoreDiscoveredServers = false, true
	n.PingInterval, n.MaxPingsOut = pingInterval, pingsMissed
	n.ClosedCB = func(*nats.Conn) { end() }
	n.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
	}
	if len(o.Servers) > 0 && strings.HasPrefix(o.Servers[0], TLS+"://") {
		config, err := o.Files.Client("")
		if err != nil {
			return nil, err
		}
		n.Secure, n.TLSConfig = true, config
	}
	if o.Credentials != "" {
		if err := secret(o.Credentials); err != nil {
			return nil, err
		}
		if err := nats.UserCredentials(o.Credentials)(&n); err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := &dialer{ctx: ctx, conn: c}
	n.CustomDialer, n.SkipHostLookup = d, true // DialContext looks it up
	stop := context.AfterFunc(ctx, c.Cut)
	var err error
	c.NATS, err = n.Connect()
	if !stop() && err == nil {
		c.NATS.Close()
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		if d.err != nil && errors.Is(err, nats.ErrNoServers) {
			err = d.err // which says more
		}
		return nil, err
	}
	options := []jetstream.JetStreamOpt{jetstream.WithDefaultTimeout(o.Timeout)}
	if o.Pending > 0 {
		options = append(options, jetstream.WithPublishAsyncMaxPending(o.Pending))
	}
	if c.JetStream, err = jetstream.New(c.NATS, options...); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dialer connects until a context ends, and keeps what it made.
type dialer struct {
	ctx  context.Context
	conn *Conn
	err  error
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(d.ctx, network, address)
	if err != nil {
		d.err = err
		return nil, err
	}
	d.err = nil
	d.conn.mu.Lock()
	defer d.conn.mu.Unlock()
	d.conn.raw = raw
	if d.ctx.Err() != nil {
		raw.Close()
	}
	return raw, nil
}

// Cut ends the connection under everything that uses it, which fails then. Close is to
// be called nevertheless.
func (c *Conn) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		c.raw.Close()
	}
}

// Closed returns a channel that is closed when the connection has ended.
func (c *Conn) Closed() <-chan struct{} { return c.ended.Done() }

// Err returns the last error that the server told without being asked: that something
// is not permitted.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection. It may be called by any goroutine, and again.
func (c *Conn) Close() {
	c.Cut()
	c.NATS.Close()
}

// secret returns an error unless a file is its owner's alone.
func secret(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("credentials: %w", err)
	case info.Mode().Type() != 0:
		return fmt.Errorf("credentials: %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("credentials: %s has mode %04o, so others may use the key in it; chmod 0600", path, info.Mode().Perm()&fs.ModePerm)
	}
	return nil
}

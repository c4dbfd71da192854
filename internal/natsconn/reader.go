package natsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// dialTimeout is how long a reader waits for a server, and for each answer of it.
	dialTimeout = 10 * time.Second

	// pulled is how many messages a reader asks for at a time.
	pulled = 1000
)

// Place is a stream, and how to get to it.
type Place struct {
	Options
	Stream string
}

// IsPlace reports whether a name is a URL that ParsePlace is for.
func IsPlace(name string) bool {
	return strings.HasPrefix(name, Plain+"://") || strings.HasPrefix(name, TLS+"://")
}

// ParsePlace reads nats://HOST:PORT/STREAM or tls://HOST:PORT/STREAM. The port need not
// be there; USER:PASSWORD@ or TOKEN@ may stand before the host. The parameters
// credentials, ca, cert and key behind a question mark are files.
func ParsePlace(s string) (*Place, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("not the URL of a stream; write nats://HOST:PORT/STREAM")
	}
	shown := u.Redacted()
	stream := strings.TrimPrefix(u.Path, "/")
	if stream == "" {
		return nil, fmt.Errorf("%s names no stream; write %s://%s/STREAM", shown, u.Scheme, u.Host)
	}
	if err := CheckStream(stream); err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	p := &Place{Stream: stream, Options: Options{Name: "ipe-auditd", Timeout: dialTimeout}}
	for key, values := range u.Query() {
		files := map[string]*string{"credentials": &p.Credentials, "ca": &p.Files.CA, "cert": &p.Files.Cert, "key": &p.Files.Key}
		file := files[key]
		switch {
		case file == nil:
			return nil, fmt.Errorf("%s: unknown parameter %q; there are credentials, ca, cert and key", shown, key)
		case u.Scheme != TLS && key != "credentials":
			return nil, fmt.Errorf("%s: %s is for TLS; write tls://", shown, key)
		}
		if *file, err = filepath.Abs(values[0]); err != nil {
			return nil, err
		}
	}
	if (p.Files.Cert == "") != (p.Files.Key == "") {
		return nil, fmt.Errorf("%s: cert and key belong together", shown)
	}
	port := u.Port()
	if port == "" {
		port = Port
	}
	server := url.URL{Scheme: u.Scheme, User: u.User, Host: net.JoinHostPort(u.Hostname(), port)}
	p.Servers = []string{server.String()}
	return p, nil
}

// String returns the place without what is secret in it.
func (p *Place) String() string {
	u, err := url.Parse(p.Servers[0])
	if err != nil {
		return "stream " + p.Stream
	}
	u.User = nil
	return "stream " + p.Stream + " at " + u.String()
}

// From says where a reader begins. The zero value is the oldest message.
type From struct {
	Since time.Time // with what the stream received since then
	After uint64    // behind the message of that number
}

// Message is one of a stream.
type Message struct {
	Data     []byte
	Number   uint64    // of the stream's own
	Received time.Time // by the stream
}

// Reader reads the messages of a stream in their order, up to those that were there when
// it was opened, or with follow also those to come. One goroutine may use it, but for
// Close. A connection that ends is an error.
type Reader struct {
	place  string
	conn   *Conn
	stream jetstream.Stream
	it     jetstream.MessagesContext // nil: there is nothing
	follow bool
	last   uint64 // the newest message when it was opened

	caughtUp bool // that one was returned
}

// NewReader connects to the server, until ctx ends.
func NewReader(ctx context.Context, p *Place, from From, follow bool) (*Reader, error) {
	c, err := Dial(ctx, &p.Options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	r := &Reader{place: p.String(), conn: c, follow: follow}
	if err := r.open(ctx, p, from); err != nil {
		c.Close()
		if told := c.Err(); told != nil {
			err = fmt.Errorf("%w (the server says: %w)", err, told)
		}
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context, p *Place, from From) (err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	r.stream, err = r.conn.JetStream.Stream(ctx, p.Stream)
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("nobody there knows of streams (%w)", err)
	}
	if err != nil {
		return err
	}
	state := r.stream.CachedInfo().State
	r.last = state.LastSeq
	if r.caughtUp = state.Msgs == 0; r.caughtUp && !r.follow {
		return nil
	}
	config := jetstream.OrderedConsumerConfig{}
	switch {
	case !from.Since.IsZero() && from.After == 0:
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Since
	case from.After > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.After+1
	}
	consumer, err := r.stream.OrderedConsumer(ctx, config)
	if err != nil {
		return err
	}
	if info := consumer.CachedInfo(); info != nil && info.NumPending == 0 {
		if r.caughtUp = true; !r.follow {
			return nil
		}
	}
	r.it, err = consumer.Messages(jetstream.PullMaxMessages(pulled))
	return err
}

// String returns the place.
func (r *Reader) String() string { return r.place }

// CaughtUp reports whether everything that was there when the reader was opened has
// been returned.
func (r *Reader) CaughtUp() bool { return r.caughtUp }

// Next returns the next message, whose data the caller may keep. The error is io.EOF
// behind the last one.
func (r *Reader) Next(ctx context.Context) (*Message, error) {
	if r.it == nil || r.caughtUp && !r.follow {
		return nil, io.EOF
	}
	for {
		m, err := r.wait(ctx)
		switch {
		case err == nil:
			at, err := m.Metadata()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.place, err)
			}
			r.caughtUp = r.caughtUp || at.Sequence.Stream >= r.last || at.NumPending == 0
			return &Message{m.Data(), at.Sequence.Stream, at.Timestamp}, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) && r.follow && r.caughtUp:
			continue
		case errors.Is(err, context.DeadlineExceeded):
			// The messages that are missing may have been removed meanwhile.
			if gone, gerr := r.removed(ctx); gone {
				if r.caughtUp = true; r.follow {
					continue
				}
				return nil, io.EOF
			} else if gerr == nil {
				err = errors.New("the server sends nothing more")
			}
		}
		return nil, fmt.Errorf("%s broke off: %w", r.place, err)
	}
}

// wait waits a while for a message.
func (r *Reader) wait(ctx context.Context) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(r.conn.ended, cancel)()
	m, err := r.it.Next(jetstream.NextContext(ctx))
	if err != nil && r.conn.NATS.IsClosed() {
		err = errors.New("the connection has ended")
	}
	return m, err
}

// removed reports whether nothing is left of what was there when it was opened.
func (r *Reader) removed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	info, err := r.stream.Info(ctx)
	return err == nil && (info.State.Msgs == 0 || info.State.FirstSeq > r.last), err
}

// Close ends the reading.
func (r *Reader) Close() {
	if r.it != nil {
		r.it.Stop()
	}
	r.conn.Close()
}

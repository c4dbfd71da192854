package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Options say where to publish. Servers, Stream, Subject, Batch and Timeout are needed.
type Options struct {
	Servers []string // URLs of one cluster, all nats:// or all tls://
	Stream  string
	Subject string // with placeholders, which Form fills in; here it is what the stream must take
	Create  bool   // make the stream if it is not there
	JSON    bool   // payloads are JSON, and may be shortened

	Credentials string // file; empty: none
	Files       certs.Files
	Timeout     time.Duration // of an Open, and of a Flush of at most Batch messages
	Batch       int           // the most messages that are on their way

	// Refused is told of what was given up, or may not have been kept, and Warn what is
	// dubious about the stream, once. They are called from the runner's goroutine, and
	// may be nil.
	Refused func(sink.Refused)
	Warn    func(string)
}

// Sink publishes to one stream. It follows the contract of [sink.Sink].
type Sink struct {
	options Options
	began   int64 // when New was called, milliseconds since 1970 UTC

	// Owned by the runner's goroutine.
	buf      []byte // of the messages, one behind the other
	messages []message
	short    []byte
	limit    int             // of a message with its headers, in bytes; 0: none is known
	lost     []sink.Refused  // by the Flush under way
	tried    map[string]bool // ids that were published, but are not known to be in the stream
	warned   map[string]bool

	shortened, refused, duplicates atomic.Uint64

	mu     sync.Mutex
	cancel context.CancelCauseFunc // ends the Open under way, nil if there is none
	conn   *natsconn.Conn          // nil when not open
}

// message is one that was written and not flushed.
type message struct {
	begin, end int // in buf
	origin
}

// origin is which event a message is.
type origin struct {
	kind   ipe.Kind
	stage  string // of a KindLost
	cursor sink.Cursor
	recent bool // it happened since New
}

// New returns a sink, not open. It touches neither files nor the network.
func New(o Options) (*Sink, error) {
	if _, err := parseSubject(o.Subject); err != nil {
		return nil, err
	}
	if len(o.Servers) == 0 || o.Stream == "" || o.Batch < 1 || o.Timeout <= 0 {
		return nil, errors.New("want servers, a stream, a batch of at least one message, and a time limit")
	}
	return &Sink{options: o, began: time.Now().UnixMilli(), tried: make(map[string]bool), warned: make(map[string]bool)}, nil
}

// Open connects, and looks at the stream.
func (s *Sink) Open(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, s.options.Timeout)
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

	s.buf, s.messages = s.buf[:0], s.messages[:0]
	c, err := s.connect(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	if err == nil && ctx.Err() != nil {
		c.Close()
		err = ctx.Err()
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
		return fmt.Errorf("connect to %s: %w", s, err)
	}
	s.conn = c
	return nil
}

func (s *Sink) connect(ctx context.Context) (*natsconn.Conn, error) {
	c, err := natsconn.Dial(ctx, s.options.conn())
	if err != nil {
		return nil, err
	}
	stream, warnings, err := s.options.lookAtStream(ctx, c, s.options.Create)
	if err != nil {
		c.Close()
		return nil, err
	}
	for _, w := range warnings {
		if !s.warned[w] && s.options.Warn != nil {
			s.options.Warn(w)
		}
		s.warned[w] = true
	}
	s.limit = int(c.NATS.MaxPayload())
	if n := int(stream.MaxMsgSize); n > 0 && (s.limit == 0 || n < s.limit) {
		s.limit = n
	}
	return c, nil
}

func (o *Options) conn() *natsconn.Options {
	return &natsconn.Options{
		Name: "ipe-auditd", Servers: o.Servers, Credentials: o.Credentials, Files: o.Files,
		Timeout: o.Timeout, Pending: o.Batch + 1,
	}
}

// Write keeps a copy of the message until the next Flush.
func (s *Sink) Write(_ context.Context, e *sink.Entry) error {
	if s.current() == nil {
		return os.ErrClosed
	}
	if _, _, _, err := split(e.Bytes); err != nil {
		return err
	}
	o := origin{cursor: e.Cursor}
	if ev := e.Event; ev != nil {
		o.kind = ev.Kind
		o.recent = ev.Has&ipe.HasStamp != 0 && ev.Time >= s.began
		if ev.Kind == ipe.KindLost {
			o.stage = string(ev.Stage)
		}
	}
	begin := len(s.buf)
	s.buf = append(s.buf, e.Bytes...)
	s.messages = append(s.messages, message{begin, len(s.buf), o})
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
	if c != nil {
		c.Close()
	}
	return nil
}

// Undelivered returns how many events were given up.
func (s *Sink) Undelivered() uint64 { return s.refused.Load() }

// Counters returns what was shortened, given up and already there since New.
func (s *Sink) Counters() []sink.Counter {
	return []sink.Counter{
		{Name: "shortened", Help: "Messages that were too long and were shortened, each attempt to send one counted.", Count: s.shortened.Load()},
		{Name: "refused", Help: "Events given up because they are larger than the server takes.", Count: s.refused.Load()},
		{Name: "duplicates", Help: "Messages that the stream had already, by their id.", Count: s.duplicates.Load()},
	}
}

// String returns the stream and its servers.
func (s *Sink) String() string {
	return "stream " + s.options.Stream + " at " + strings.Join(s.options.Servers, ", ")
}

func (s *Sink) current() *natsconn.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

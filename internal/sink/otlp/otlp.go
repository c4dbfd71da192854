package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Options say where to send. Endpoint, Batch and Timeout are needed.
type Options struct {
	Endpoint string // the URL that is posted to
	Gzip     bool
	Batch    int           // the most records of one request
	Timeout  time.Duration // of one request

	HeadersFile string // headers of each request; empty: none
	Files       certs.Files
	Version     string // of ipe-auditd

	// Refused is told of what the receiver refused for good. It is called from the
	// runner's goroutine, and may be nil.
	Refused func(sink.Refused)
}

// Sink sends entries to one receiver. It follows the contract of [sink.Sink].
type Sink struct {
	options Options

	// Owned by the runner's goroutine.
	batch     batch
	request   []byte
	notBefore time.Time // what Retry-After said

	rejected atomic.Uint64
	reread   atomic.Bool // files are to be read again

	mu     sync.Mutex
	end    context.CancelCauseFunc // ends the Open, or what was opened; nil when there is none
	until  context.Context         // that it ends
	client *client                 // nil when not open
}

// origin is which event a record is.
type origin struct {
	kind   ipe.Kind
	stage  string // of a KindLost
	cursor sink.Cursor
}

func originOf(e *sink.Entry) origin {
	o := origin{cursor: e.Cursor}
	if e.Event != nil {
		o.kind = e.Event.Kind
		if o.kind == ipe.KindLost {
			o.stage = string(e.Event.Stage)
		}
	}
	return o
}

// tellsOfThis reports whether the event says that a receiver did not take others.
func (o *origin) tellsOfThis() bool { return o.kind == ipe.KindLost && o.stage == ipe.StageSink }

// New returns a sink, not open. It touches neither files nor the network.
func New(o Options) (*Sink, error) {
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("endpoint %q: want http:// or https:// and a host", o.Endpoint)
	case o.Batch < 1 || o.Timeout <= 0:
		return nil, errors.New("want a batch of at least one record, and a time limit")
	}
	return &Sink{options: o}, nil
}

// Open waits if the receiver has asked to be left alone, and reads the files. It does
// not connect: the first request does.
func (s *Sink) Open(ctx context.Context) error {
	s.mu.Lock()
	if s.client != nil {
		s.mu.Unlock()
		return nil
	}
	until, end := context.WithCancelCause(context.Background())
	s.until, s.end = until, end
	s.mu.Unlock()

	s.batch.reset()
	var c *client
	err := pause(ctx, until, time.Until(s.notBefore))
	if err == nil {
		s.reread.Store(false) // what Reopen asks for from here on is another time
		c, err = newClient(&s.options)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && until.Err() != nil {
		err = context.Cause(until)
	}
	if err != nil {
		end(os.ErrClosed)
		s.end = nil
		if c != nil {
			c.close()
		}
		return err
	}
	s.client = c
	return nil
}

// pause waits for d, and returns why it could not.
func pause(ctx, until context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-until.Done():
		return context.Cause(until)
	}
}

// Write keeps a copy of the record until the next Flush.
func (s *Sink) Write(_ context.Context, e *sink.Entry) error {
	if s.current() == nil {
		return os.ErrClosed
	}
	return s.batch.add(e.Bytes, originOf(e))
}

// Flush sends what was written, in requests of at most Options.Batch records. It
// returns nil when each record was taken, or was given up and told.
func (s *Sink) Flush(ctx context.Context) error {
	c := s.current()
	if c == nil {
		return os.ErrClosed
	}
	if s.reread.Swap(false) {
		var err error
		if c, err = s.renew(c); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.until, func() { cancel(os.ErrClosed) })()

	f := flush{sink: s, client: c}
	if err := f.all(ctx, s.batch.records); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("send to %s: %w", s, err)
	}
	f.tell() // now that none of it comes again
	s.batch.reset()
	return nil
}

// renew reads the files again.
func (s *Sink) renew(old *client) (*client, error) {
	c, err := newClient(&s.options)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		c.close()
		return nil, os.ErrClosed
	}
	old.close()
	s.client = c
	return c, nil
}

// Reopen has the files read again before the next request. It may be called from any
// goroutine.
func (s *Sink) Reopen() { s.reread.Store(true) }

// Close ends a request under way, and the connection.
func (s *Sink) Close() error {
	s.mu.Lock()
	c, end := s.client, s.end
	s.client, s.end = nil, nil
	s.mu.Unlock()
	if end != nil {
		end(os.ErrClosed)
	}
	if c != nil {
		c.close()
	}
	return nil
}

// Undelivered returns how many events were given up.
func (s *Sink) Undelivered() uint64 { return s.rejected.Load() }

// Counters returns what the receiver refused since New.
func (s *Sink) Counters() []sink.Counter {
	return []sink.Counter{{Name: "refused", Help: "Events given up because the receiver refuses them for good.", Count: s.rejected.Load()}}
}

// String returns the endpoint, without what may be a secret in it.
func (s *Sink) String() string { return shown(s.options.Endpoint) }

// shown returns a URL without its query.
func shown(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "the endpoint"
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}

func (s *Sink) current() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

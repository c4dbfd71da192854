package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

const (
	// maxBuffer is how many bytes are collected before they are written without
	// being asked to.
	maxBuffer = 256 << 10

	// againPause is how long to wait before trying a stream again that would
	// have blocked.
	againPause = 5 * time.Millisecond
)

// Sink writes entries to a stream.
type Sink struct {
	stream io.Writer

	// Owned by the runner's goroutine.
	buf []byte // entries that were not handed to the stream

	mu     sync.Mutex
	closed chan struct{} // closed by Close; nil when not open

	// turn holds a token while nobody is inside stream.Write. Who has the token
	// owns rest.
	turn chan struct{}
	rest []byte // what is missing of an entry of which a part was written
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink that writes to stream. Only the sink may write to it.
func New(stream io.Writer) *Sink {
	s := &Sink{stream: stream, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Open waits until a write that an earlier Close abandoned is over.
func (s *Sink) Open(ctx context.Context) error {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = make(chan struct{})
	}
	closed := s.closed
	s.mu.Unlock()
	s.buf = s.buf[:0]
	if err := s.acquire(ctx, closed); err != nil {
		return fmt.Errorf("an earlier write still blocks: %w", err)
	}
	s.turn <- struct{}{}
	return nil
}

// Write collects the entry, and writes once much has come together.
func (s *Sink) Write(ctx context.Context, e *sink.Entry) error {
	if _, err := s.open(); err != nil {
		return err
	}
	s.buf = append(s.buf, e.Bytes...)
	if len(s.buf) < maxBuffer {
		return nil
	}
	return s.Flush(ctx)
}

// Flush writes what was collected.
func (s *Sink) Flush(ctx context.Context) error {
	closed, err := s.open()
	if err != nil || len(s.buf) == 0 {
		return err
	}
	if err := s.acquire(ctx, closed); err != nil {
		return err
	}
	// stream.Write may block for ever, which must not block us: so it gets a
	// goroutine, which keeps buf if we have to leave before it is done.
	done := make(chan error, 1)
	go func(b []byte) {
		err := s.writeAll(ctx, closed, b)
		s.turn <- struct{}{}
		done <- err
	}(s.buf)
	select {
	case err = <-done:
		s.buf = s.buf[:0]
		return err
	case <-ctx.Done():
		err = ctx.Err()
	case <-closed:
		err = os.ErrClosed
	}
	s.buf = nil
	return err
}

// Close makes a blocked Write or Flush return. It drops what was not flushed.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		close(s.closed)
		s.closed = nil
	}
	return nil
}

// open returns the channel that Close closes.
func (s *Sink) open() (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		return nil, os.ErrClosed
	}
	return s.closed, nil
}

// acquire takes the token of turn.
func (s *Sink) acquire(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-s.turn:
		return nil
	default:
	}
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return os.ErrClosed
	}
}

// writeAll writes first what is missing of a torn entry, then b. The caller has
// the token.
func (s *Sink) writeAll(ctx context.Context, closed <-chan struct{}, b []byte) error {
	n, err := s.write(ctx, closed, s.rest)
	s.rest = s.rest[n:]
	if err != nil {
		return err
	}
	n, err = s.write(ctx, closed, b)
	if n > 0 && b[n-1] != '\n' {
		end := bytes.IndexByte(b[n:], '\n')
		s.rest = bytes.Clone(b[n : n+end+1])
	}
	return err
}

// write writes b and returns how much of it. It waits for a stream that would
// block, until ctx ends or Close is called.
func (s *Sink) write(ctx context.Context, closed <-chan struct{}, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := s.stream.Write(b[n:])
		n += m
		switch {
		case errors.Is(err, syscall.EAGAIN):
		case err != nil:
			return n, err
		case m == 0:
			return n, io.ErrShortWrite
		default:
			continue
		}
		select {
		case <-time.After(againPause):
		case <-ctx.Done():
			return n, ctx.Err()
		case <-closed:
			return n, os.ErrClosed
		}
	}
	return n, nil
}

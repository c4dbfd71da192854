package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

const testID spool.ID = 0xabc

// log is a stand-in for the spool: all that was appended, for any number of
// sources, which synctest can wait for.
type log struct {
	mu      sync.Mutex
	entries []any // spool.Entry or *spool.GapError
	closed  bool
	grown   chan struct{} // closed when something changes
}

func newLog(n int) *log {
	l := &log{grown: make(chan struct{})}
	l.append(n)
	return l
}

// append appends n accesses, every tenth of them allowed, the others denied.
func (l *log) append(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		seq := uint64(len(l.entries) + 1)
		l.entries = append(l.entries, spool.Entry{ID: testID, Seq: seq, Time: time.Now().UnixNano(), Type: 1420, Data: record(seq)})
	}
	l.signal()
}

func record(seq uint64) []byte {
	action := "DENY"
	if seq%10 == 0 {
		action = "ALLOW"
	}
	return fmt.Appendf(nil, `audit(1795440104.%03d:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="x" path="/tmp/%d" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=%s"`,
		seq%1000, seq, seq, seq, action)
}

// lose makes the entries from first to last a gap.
func (l *log) lose(first, last uint64, known bool) {
	g := &spool.GapError{ID: testID, First: first, Known: known}
	if known {
		g.Last, g.Count = last, last-first+1
	}
	l.entries[first-1] = g
	for seq := first + 1; seq <= last; seq++ {
		l.entries[seq-1] = nil
	}
}

func (l *log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.signal()
}

func (l *log) signal() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// source reads a log. What it lends it overwrites at the next call.
type source struct {
	log   *log
	at    int
	entry spool.Entry
	err   error // returned once
}

func (s *source) TryNext() (*spool.Entry, bool, error) {
	for i := range s.entry.Data {
		s.entry.Data[i] = '#'
	}
	if err := s.err; err != nil {
		s.err = nil
		return nil, false, err
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for s.at < len(s.log.entries) {
		s.at++
		switch e := s.log.entries[s.at-1].(type) {
		case spool.Entry:
			data := append(s.entry.Data[:0], e.Data...)
			s.entry = e
			s.entry.Data = data
			return &s.entry, true, nil
		case *spool.GapError:
			return nil, false, e
		}
	}
	if s.log.closed {
		return nil, false, io.EOF
	}
	return nil, false, nil
}

func (s *source) Next(ctx context.Context) (*spool.Entry, error) {
	for {
		s.log.mu.Lock()
		grown := s.log.grown
		s.log.mu.Unlock()
		e, ok, err := s.TryNext()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *source) Rewind(c spool.Cursor) { s.at = int(c.Seq) }

var errFake = errors.New("fake failure")

// memory is a sink that keeps what was flushed, and behaves as its fields say.
// A hook that returns an error makes the call fail; it may block until its
// context ends.
type memory struct {
	onOpen, onFlush func(ctx context.Context) error
	onWrite         func(ctx context.Context, b []byte) error
	onClose         func() error

	mu      sync.Mutex
	isOpen  bool
	pending []string
	flushed []string // with what was flushed again
	flushes int
	opens   []time.Time
}

func (m *memory) Open(ctx context.Context) error {
	m.mu.Lock()
	m.opens = append(m.opens, time.Now())
	m.mu.Unlock()
	if m.onOpen != nil {
		if err := m.onOpen(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.isOpen = true
	m.pending = nil
	return nil
}

func (m *memory) Write(ctx context.Context, e *Entry) error {
	if m.onWrite != nil {
		if err := m.onWrite(ctx, e.Bytes); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isOpen {
		return os.ErrClosed
	}
	m.pending = append(m.pending, string(e.Bytes))
	return nil
}

func (m *memory) Flush(ctx context.Context) error {
	if m.onFlush != nil {
		if err := m.onFlush(ctx); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isOpen {
		return os.ErrClosed
	}
	m.flushed = append(m.flushed, m.pending...)
	m.pending = nil
	m.flushes++
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	m.isOpen = false
	m.mu.Unlock()
	if m.onClose != nil {
		return m.onClose()
	}
	return nil
}

func (m *memory) got() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.flushed...)
}

func (m *memory) opened() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]time.Time(nil), m.opens...)
}

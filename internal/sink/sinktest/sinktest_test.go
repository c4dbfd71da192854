package sinktest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

var errBroken = errors.New("broken")

// far is the far end of the sinks of this test.
type far struct {
	mu      sync.Mutex
	entries [][]byte
	torn    error
	broken  bool
	gate    chan struct{} // while not nil, take waits until it is closed
}

// take takes entries unless the place is broken or hangs.
func (f *far) take(ctx context.Context, closed <-chan struct{}, entries [][]byte) error {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		case <-closed:
			return os.ErrClosed
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return errBroken
	}
	for _, e := range entries {
		f.entries = append(f.entries, bytes.Clone(e))
	}
	return nil
}

func (f *far) set(do func()) func() {
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		do()
	}
}

func (f *far) place(s sink.Sink) *Place {
	return &Place{
		Sink: s,
		Entries: func() ([][]byte, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.entries, f.torn
		},
		Break:  f.set(func() { f.broken = true }),
		Repair: f.set(func() { f.broken = false }),
		Hang:   f.set(func() { f.gate = make(chan struct{}) }),
		Resume: f.set(func() { close(f.gate); f.gate = nil }),
	}
}

// faults says which rules a bad sink breaks.
type faults struct {
	keepsBytes, dropsOnFlush, reordersBatch, repeatsFlushed, deliversLate bool
	cutsLong, tears, hidesFailure, failsEmptyFlush, forgetsAfterReopen    bool
	ignoresClose, ignoresContext, openHangs, closeHangs                   bool
	worksWhenClosed, failsSecondClose, leaksGoroutine, leaksDescriptor    bool
}

// bad keeps all rules but those that its faults name.
type bad struct {
	faults
	far *far

	mu      sync.Mutex
	closed  chan struct{}
	pending [][]byte
	last    [][]byte
	leak    chan struct{}
	conns   []net.Conn
}

func (b *bad) Open(context.Context) error {
	if b.openHangs {
		<-b.leak
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil {
		b.closed = make(chan struct{})
	}
	b.pending = nil
	if b.forgetsAfterReopen {
		defer b.far.set(func() { b.far.entries = nil })()
	}
	if b.leaksGoroutine {
		go func() { <-b.leak }()
	}
	if b.leaksDescriptor {
		if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
			c, err := net.Dial("tcp", l.Addr().String())
			if err == nil {
				b.conns = append(b.conns, c)
			}
			l.Close()
		}
	}
	return nil
}

func (b *bad) isOpen() (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil && !b.worksWhenClosed {
		return nil, os.ErrClosed
	}
	return b.closed, nil
}

func (b *bad) Write(_ context.Context, e *sink.Entry) error {
	if _, err := b.isOpen(); err != nil {
		return err
	}
	bytes := e.Bytes
	if !b.keepsBytes {
		bytes = append([]byte(nil), bytes...)
	}
	if b.cutsLong && len(bytes) > 1000 {
		bytes = bytes[:1000]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, bytes)
	return nil
}

func (b *bad) Flush(ctx context.Context) error {
	closed, err := b.isOpen()
	if err != nil {
		return err
	}
	if b.ignoresContext {
		ctx = context.Background()
	}
	if b.ignoresClose {
		closed = nil
	}
	batch := b.batch()
	if b.failsEmptyFlush && len(batch) == 0 {
		return errBroken
	}
	err = b.far.take(ctx, closed, batch)
	if b.hidesFailure && errors.Is(err, errBroken) {
		return nil
	}
	return err
}

// batch returns what Flush is to deliver.
func (b *bad) batch() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.pending
	b.pending = nil
	switch {
	case b.dropsOnFlush && len(batch) > 100:
		batch = batch[:100]
	case b.reordersBatch && len(batch) > 1:
		batch[0], batch[1] = batch[1], batch[0]
	case b.repeatsFlushed:
		batch = append(b.last, batch...)
	case b.deliversLate:
		b.pending, batch = batch, b.last
	}
	b.last = b.pending
	if b.repeatsFlushed {
		b.last = batch
	}
	return batch
}

func (b *bad) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tears && len(b.pending) > 0 {
		b.far.set(func() { b.far.entries = append(b.far.entries, b.pending[0][:3]) })()
	}
	b.pending = nil
	if b.closed == nil {
		if b.failsSecondClose {
			return os.ErrClosed
		}
		return nil
	}
	if b.closeHangs {
		<-b.leak
	}
	close(b.closed)
	b.closed = nil
	return nil
}

// try runs the check called name against a sink with faults f.
func try(t *testing.T, name string, f faults) error {
	t.Helper()
	for _, c := range checks() {
		if c.name != name {
			continue
		}
		far := &far{}
		b := &bad{faults: f, far: far, leak: make(chan struct{})}
		defer func() {
			close(b.leak)
			for _, c := range b.conns {
				c.Close()
			}
		}()
		return c.try(far.place(b), 200*time.Millisecond)
	}
	t.Fatalf("no check is called %q", name)
	return nil
}

func TestSuitePassesAGoodSink(t *testing.T) {
	Run(t, func(testing.TB) *Place {
		far := &far{}
		return far.place(&bad{far: far})
	})
}

func TestSuiteFindsEveryFault(t *testing.T) {
	tests := []struct {
		name   string
		faults faults
		check  string
		want   string // part of the error
	}{
		{"keeps lent bytes", faults{keepsBytes: true}, "delivers what was flushed", "was not written"},
		{"drops", faults{dropsOnFlush: true}, "delivers what was flushed", "110 of 2000 flushed"},
		{"reorders", faults{reordersBatch: true}, "delivers what was flushed", "arrived before"},
		{"repeats without a failure", faults{repeatsFlushed: true}, "delivers what was flushed", "without a failure"},
		{"delivers one flush late", faults{deliversLate: true}, "delivers what was flushed", "0 of 1 flushed"},
		{"leaves a goroutine", faults{leaksGoroutine: true}, "delivers what was flushed", "goroutines"},
		{"leaves a descriptor", faults{leaksDescriptor: true}, "delivers what was flushed", "descriptors"},
		{"hangs in Close", faults{closeHangs: true}, "delivers what was flushed", "does not return"},
		{"cuts long entries", faults{cutsLong: true}, "delivers long entries", "was not written"},
		{"fails an empty flush", faults{failsEmptyFlush: true}, "flushes nothing", "broken"},
		{"truncates when it opens", faults{forgetsAfterReopen: true}, "goes on after reopening", "arrived before"},
		{"tears at Close", faults{tears: true}, "tears nothing when closed before a flush", "was not written"},
		{"fails the second Close", faults{failsSecondClose: true}, "may be closed at any time", "before Open"},
		{"works when not open", faults{worksWhenClosed: true}, "refuses entries when not open", "Write returned nil"},
		{"hides a failure", faults{hidesFailure: true}, "reports a failure and recovers", "is broken, but"},
		{"hangs in Open", faults{openHangs: true}, "may fail to open", "does not return"},
		{"waits although the context ended", faults{openHangs: true}, "returns when the context has ended", "does not return"},
		{"is not unblocked by Close", faults{ignoresClose: true}, "is unblocked by Close", "does not return"},
		{"is not unblocked by the context", faults{ignoresContext: true}, "is unblocked by the context", "does not return"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := try(t, tt.check, tt.faults)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want an error that says %q", tt.check, err, tt.want)
			}
		})
	}
}

func TestLinesFindsATornOne(t *testing.T) {
	t.Parallel()
	if got, err := Lines([]byte("a\nb\n")); err != nil || len(got) != 2 {
		t.Errorf("got %q, %v, want two lines", got, err)
	}
	if _, err := Lines([]byte("a\nb")); err == nil {
		t.Error("got no error for a torn line")
	}
}

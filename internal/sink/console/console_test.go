package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

// stream is an io.Writer that can fail in the middle of a write and hang.
type stream struct {
	mu     sync.Mutex
	data   bytes.Buffer
	broken bool
	gate   chan struct{} // while not nil, writes wait until it is closed
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		s.data.Write(b[:len(b)/3])
		return len(b) / 3, syscall.EIO
	}
	return s.data.Write(b)
}

func (s *stream) set(f func()) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
	}
}

func (s *stream) entries() ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sinktest.Lines(bytes.Clone(s.data.Bytes()))
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(testing.TB) *sinktest.Place {
		s := &stream{}
		return &sinktest.Place{
			Sink:    New(s),
			Entries: s.entries,
			Break:   s.set(func() { s.broken = true }),
			Repair:  s.set(func() { s.broken = false }),
			Hang:    s.set(func() { s.gate = make(chan struct{}) }),
			Resume:  s.set(func() { close(s.gate); s.gate = nil }),
		}
	})
}

func TestConformanceOfPipe(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var far stream
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(&far, r)
		}()
		t.Cleanup(func() { w.Close(); <-read; r.Close() })
		return &sinktest.Place{
			Sink:    New(w),
			Entries: far.entries,
			Hang:    far.set(func() { far.gate = make(chan struct{}) }),
			Resume:  far.set(func() { close(far.gate); far.gate = nil }),
		}
	})
}

// script answers each Write with the next of its steps.
type script struct {
	steps []step
	data  bytes.Buffer
}

type step struct {
	n   int // bytes taken, all if negative
	err error
}

func (s *script) Write(b []byte) (int, error) {
	if len(s.steps) == 0 {
		return s.data.Write(b)
	}
	st := s.steps[0]
	s.steps = s.steps[1:]
	if st.n < 0 || st.n > len(b) {
		st.n = len(b)
	}
	s.data.Write(b[:st.n])
	return st.n, st.err
}

func TestFlushNeverTearsAnEntry(t *testing.T) {
	t.Parallel()
	const first, second = "first line\n", "second line\n"
	tests := []struct {
		name  string
		steps []step
		want  string // on the stream after writing both until it succeeds
		errs  int
	}{
		{"short writes without an error", []step{{3, nil}, {1, nil}}, first + second, 0},
		{"would block", []step{{4, syscall.EAGAIN}, {0, syscall.EAGAIN}}, first + second, 0},
		{"torn in the first", []step{{4, syscall.EIO}}, first + first + second, 1},
		{"torn in the second", []step{{len(first) + 4, syscall.EIO}}, first + second + first + second, 1},
		{"not torn", []step{{len(first), syscall.EIO}}, first + first + second, 1},
		{"torn again while completing", []step{{4, syscall.EIO}, {2, syscall.EIO}}, first + first + second, 2},
		{"reader is gone", []step{{0, syscall.EPIPE}}, first + second, 1},
		{"takes nothing", []step{{0, nil}}, first + second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &script{steps: tt.steps}
			s := New(w)
			ctx := context.Background()
			errs := 0
			for {
				if err := s.Open(ctx); err != nil {
					t.Fatal(err)
				}
				for _, b := range []string{first, second} {
					if err := s.Write(ctx, &sink.Entry{Bytes: []byte(b)}); err != nil {
						t.Fatal(err)
					}
				}
				err := s.Flush(ctx)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if err == nil {
					break
				}
				if errs++; errs > len(tt.steps) {
					t.Fatalf("fails for ever: %v", err)
				}
			}
			if got := w.data.String(); got != tt.want || errs != tt.errs {
				t.Errorf("got %q after %d errors, want %q after %d", got, errs, tt.want, tt.errs)
			}
		})
	}
}

func TestFlushReportsFullDevice(t *testing.T) {
	t.Parallel()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	defer f.Close()
	s := New(f)
	ctx := context.Background()
	err = errors.Join(s.Open(ctx), s.Write(ctx, &sink.Entry{Bytes: []byte("a\n")}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

// One write for a flush, however many entries.
func TestFlushWritesOnce(t *testing.T) {
	t.Parallel()
	w := &script{steps: slices.Repeat([]step{{-1, nil}}, 10)}
	s := New(w)
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := s.Write(ctx, &sink.Entry{Bytes: []byte("line\n")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := 10 - len(w.steps); got != 1 {
		t.Errorf("got %d writes, want 1", got)
	}
}

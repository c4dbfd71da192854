package nonblock

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

// fullPipe returns a pipe without room, and a Writer of one byte to it.
func fullPipe(t *testing.T) (r *os.File, w *Writer) {
	t.Helper()
	r, f, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); f.Close() })
	b := []byte{1}
	if w, err = New(f, func(fd int) error { _, err := syscall.Write(fd, b); return err }); err != nil {
		t.Fatal(err)
	}
	for w.Try() == nil {
	}
	if w.err != syscall.EAGAIN {
		t.Fatal(w.err)
	}
	return r, w
}

func TestDoWaitsForRoom(t *testing.T) {
	t.Parallel()
	r, w := fullPipe(t)
	done := make(chan error)
	go func() { done <- w.Do(t.Context(), 0) }()
	select {
	case err := <-done:
		t.Fatalf("returned %v without room", err)
	case <-time.After(10 * time.Millisecond):
	}
	if _, err := io.CopyN(io.Discard, r, 64<<10); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// After each way to end, the next call works as if nothing had been.
func TestDoEndsWithItsContextAndItsTimeout(t *testing.T) {
	t.Parallel()
	r, w := fullPipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Do(ctx, time.Hour) }()
	time.AfterFunc(5*time.Millisecond, cancel)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: got %v", err)
	}
	if err := w.Do(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended before: got %v", err)
	}
	if err := w.Do(t.Context(), time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a timeout: got %v", err)
	}
	if _, err := io.CopyN(io.Discard, r, 64<<10); err != nil {
		t.Fatal(err)
	}
	if err := w.Do(t.Context(), 0); err != nil {
		t.Errorf("with room: %v", err)
	}
	r.Close()
	if err := w.Do(t.Context(), 0); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("without a reader: got %v", err)
	}
}

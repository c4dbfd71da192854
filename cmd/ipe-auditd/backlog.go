package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxBacklog is how many bytes of the log wait for a stderr that does not
	// take them; lines beyond are left out and counted.
	maxBacklog = 256 << 10

	// lastLines is how long Sync waits for the rest to be taken.
	lastLines = time.Second
)

// backlog writes lines to a stream from a goroutine of its own, so that whoever
// logs never waits: a terminal that was stopped, or a pipe that nobody reads,
// must not hold up a sink, the reporter or the end of the program. The goroutine
// exists only while there is something to write.
type backlog struct {
	w io.Writer

	mu      sync.Mutex
	lines   []byte        // not yet handed to w
	dropped int           // lines left out since lines was full
	idle    chan struct{} // closed when all was written; nil when all is
}

// newBacklog returns a backlog for w. Of stderr it takes a duplicate: Go ends a
// program that writes to a broken pipe on descriptor 2 (os/signal, SIGPIPE),
// and a daemon has more to do than to log.
func newBacklog(w io.Writer) *backlog {
	if f, ok := w.(*os.File); ok && f.Fd() == uintptr(unix.Stderr) {
		if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			w = os.NewFile(uintptr(fd), f.Name())
		}
	}
	return &backlog{w: w}
}

// Write takes one line. It never fails: there is nobody to tell.
func (b *backlog) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.lines)+len(line) > maxBacklog:
		b.dropped++
	default:
		b.lines = append(b.lines, line...)
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
		go b.drain()
	}
	return len(line), nil
}

// drain writes until there is nothing left.
func (b *backlog) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.lines) > 0 || b.dropped > 0 {
		chunk := b.lines
		if b.dropped > 0 {
			chunk = fmt.Appendf(chunk, "[%d lines left out: nobody took them]\n", b.dropped)
		}
		b.lines, b.dropped = nil, 0
		b.mu.Unlock()
		_, _ = io.Copy(b.w, bytes.NewReader(chunk))
		b.mu.Lock()
	}
	close(b.idle)
	b.idle = nil
}

// Sync waits until everything was written, but not for long.
func (b *backlog) Sync() error {
	b.mu.Lock()
	idle := b.idle
	b.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-time.After(lastLines):
		return os.ErrDeadlineExceeded
	}
}

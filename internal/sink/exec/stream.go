package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long a process may take to finish at the end of its input.
const grace = 2 * time.Second

// Between two looks at the pipe in Flush. Nothing tells when a pipe is empty.
const (
	firstLook = 50 * time.Microsecond
	lastLook  = 20 * time.Millisecond
)

var (
	errExited = errors.New("exited")
	errStuck  = errors.New("does not read its input")
)

// stream is a process that reads all entries.
type stream struct {
	timeout time.Duration
	p       *process
	w       *os.File // its standard input
	raw     syscall.RawConn
	torn    bool // a part of an entry is in the pipe, and no more

	// What attempt writes and how it ended.
	data    []byte
	block   bool // let the poller wait while the pipe is full
	n       int
	err     error
	attempt func(fd uintptr) bool // made once: a closure per entry would allocate

	left int // what look found in the pipe
	look func(fd uintptr)
}

func newStream(s *Sink) (*stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st := &stream{timeout: s.timeout, w: w}
	if st.raw, err = w.SyscallConn(); err != nil {
		w.Close()
		return nil, err
	}
	st.attempt = func(fd uintptr) bool {
		for {
			st.n, st.err = syscall.Write(int(fd), st.data)
			if st.err != syscall.EINTR {
				return st.err != syscall.EAGAIN || !st.block
			}
		}
	}
	st.look = func(fd uintptr) { st.left, st.err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }
	if st.p, err = s.start(r, nil); err != nil {
		w.Close()
		s.stats.failed.Add(1)
		return nil, fmt.Errorf("start command: %w", err)
	}
	return st, nil
}

// write puts b into the pipe. Only if that is full it arranges for ctx and life
// to interrupt it.
func (st *stream) write(ctx context.Context, life *lifetime, b []byte) error {
	st.data = b
	defer func() { st.data = nil }()
	if err := st.try(false); err != syscall.EAGAIN && (err != nil || len(st.data) == 0) {
		return err
	}

	interrupted := make(chan struct{}, 2)
	interrupt := func() {
		st.w.SetWriteDeadline(time.Unix(1, 0)) // long ago
		interrupted <- struct{}{}
	}
	ended := func(stop func() bool) {
		if !stop() {
			<-interrupted
			st.w.SetWriteDeadline(time.Time{})
		}
	}
	defer ended(context.AfterFunc(ctx, interrupt))
	defer ended(context.AfterFunc(life, interrupt))
	for len(st.data) > 0 {
		if st.timeout > 0 {
			st.w.SetWriteDeadline(time.Now().Add(st.timeout))
		}
		// After the deadline was set: interrupt may have come before that.
		if err := over(ctx, life); err != nil {
			return err
		}
		err := st.try(true)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := over(ctx, life); err != nil {
				return err
			}
			return errStuck
		}
		if err != nil {
			return err
		}
	}
	if st.timeout > 0 {
		st.w.SetWriteDeadline(time.Time{})
	}
	return nil
}

// try writes some of data, at least a byte with block.
func (st *stream) try(block bool) error {
	st.block = block
	if err := st.raw.Write(st.attempt); err != nil {
		return err
	}
	switch {
	case st.err == syscall.EPIPE:
		return st.exited()
	case st.err == syscall.EAGAIN:
		return syscall.EAGAIN
	case st.err != nil:
		return os.NewSyscallError("write", st.err)
	}
	st.data = st.data[st.n:]
	st.torn = len(st.data) > 0
	return nil
}

// flush returns nil when the process has read everything.
func (st *stream) flush(ctx context.Context, life *lifetime) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	last, progress := -1, time.Now()
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		select {
		case <-st.p.done:
			return st.exited()
		case <-ctx.Done():
			return ctx.Err()
		case <-life.Done():
			return os.ErrClosed
		case <-pause.C:
		}
		if err := st.raw.Control(st.look); err != nil {
			return err
		}
		switch {
		case st.err != nil:
			return os.NewSyscallError("ioctl TIOCINQ", st.err)
		case st.left == 0:
			return nil
		case st.left != last:
			last, progress = st.left, time.Now()
		case st.timeout > 0 && time.Since(progress) > st.timeout:
			return errStuck
		}
		pause.Reset(wait)
	}
}

// exited says how the process ended, which it has or will soon: it has closed
// its input.
func (st *stream) exited() error {
	select {
	case <-st.p.done:
		if st.p.err != nil {
			return st.p.err
		}
		return errExited
	default:
		return errors.New("closed its input")
	}
}

// stop ends the process. It may finish, unless it has got a part of an entry:
// then it must not see the end of its input, which would make a line of it.
func (st *stream) stop() {
	if st.torn {
		st.p.kill()
	}
	st.w.Close()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-st.p.done:
	case <-t.C:
		st.p.kill()
	}
}

// over says why to stop waiting, if there is a reason.
func over(ctx context.Context, life *lifetime) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if life.Err() != nil {
		return os.ErrClosed
	}
	return nil
}

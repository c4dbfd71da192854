package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/nonblock"
	"golang.org/x/sys/unix"
)

// defaultGrace is how long a process may take to finish at the end of its input.
const defaultGrace = 2 * time.Second

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
	grace   time.Duration
	p       *process
	w       *os.File // its standard input
	raw     syscall.RawConn
	writer  *nonblock.Writer
	data    []byte // not in the pipe yet
	torn    bool   // a part of an entry is in the pipe, and no more

	left    int // what look found in the pipe
	lookErr error
	look    func(fd uintptr)
}

func newStream(s *Sink) (*stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	st := &stream{timeout: s.timeout, grace: s.grace, w: w}
	if st.raw, err = w.SyscallConn(); err == nil {
		st.writer, err = nonblock.New(w, st.some)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	st.look = func(fd uintptr) { st.left, st.lookErr = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }
	if st.p, err = s.start(r, nil); err != nil {
		w.Close()
		s.stats.failed.Add(1)
		return nil, fmt.Errorf("start command: %w", err)
	}
	return st, nil
}

// some writes some of data.
func (st *stream) some(fd int) error {
	n, err := syscall.Write(fd, st.data)
	if err == nil {
		st.data = st.data[n:]
		st.torn = len(st.data) > 0
	}
	return err
}

// write puts b into the pipe.
func (st *stream) write(ctx context.Context, life *lifetime, b []byte) error {
	st.data = b
	defer func() { st.data = nil }()
	if err := st.writer.Try(); err != syscall.EAGAIN && (err != nil || len(st.data) == 0) {
		return st.failure(err)
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	for len(st.data) > 0 {
		if err := st.writer.Do(either, st.timeout); err != nil {
			return cmp.Or(over(ctx, life), st.failure(err))
		}
	}
	return nil
}

// failure says what an error of the pipe means.
func (st *stream) failure(err error) error {
	errno, ok := err.(syscall.Errno)
	switch {
	case errno == syscall.EPIPE:
		return st.exited()
	case ok:
		return os.NewSyscallError("write", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errStuck
	}
	return err
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
		case st.lookErr != nil:
			return os.NewSyscallError("ioctl TIOCINQ", st.lookErr)
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
	t := time.NewTimer(st.grace)
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

// Package nonblock makes system calls on sockets and pipes that do not block: it
// tries at once, and lets Go's poller wait only where there is no room. So
// what does not have to wait costs nothing but the system call, allocates nothing,
// and arranges for no interruption.
//
// It does not know what is written: partial writes, errors of the peer and their
// wording are the caller's.
package nonblock

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// Conn is what a Writer writes to: a net.Conn or os.File with a poller.
type Conn interface {
	syscall.Conn
	SetWriteDeadline(time.Time) error
}

// Writer makes one system call again and again. It is for one goroutine, which is
// also the only one to set a write deadline of its Conn.
type Writer struct {
	conn    Conn
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // made once: a closure per call would allocate

	wait bool // let the poller wait while there is no room
	err  error
}

// New returns a Writer for c. call makes the system call, without waiting: it
// returns syscall.EAGAIN where there is no room. It is called again behind EINTR.
func New(c Conn, call func(fd int) error) (*Writer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &Writer{conn: c, raw: raw}
	w.attempt = func(fd uintptr) bool {
		for {
			w.err = call(int(fd))
			if w.err != syscall.EINTR {
				return w.err != syscall.EAGAIN || !w.wait
			}
		}
	}
	return w, nil
}

// Do makes the call, and where there is no room again once there is. It returns
// what the call returned, the error of ctx if that ended, or
// os.ErrDeadlineExceeded if there was no room for as long as timeout, where that
// is not 0.
func (w *Writer) Do(ctx context.Context, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.Try(); err != syscall.EAGAIN {
		return err
	}
	if timeout > 0 {
		w.conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.conn.SetWriteDeadline(time.Unix(1, 0)) // long ago
		close(interrupted)
	})
	err := w.try(true)
	if !stop() {
		<-interrupted
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
	}
	w.conn.SetWriteDeadline(time.Time{})
	return err
}

// Try makes the call once.
func (w *Writer) Try() error { return w.try(false) }

// try makes one attempt, or with wait as many as it takes.
func (w *Writer) try(wait bool) error {
	w.wait = wait
	if err := w.raw.Write(w.attempt); err != nil {
		return err
	}
	return w.err
}

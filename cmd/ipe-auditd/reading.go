package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
)

// errInterrupted ends the reading of input: what was found so far is printed.
var errInterrupted = errors.New("interrupted: what was printed is partial")

// reading is the long work of one command: it shows how far that is, and ends it at
// the first SIGINT. The second one ends the process, as it is used to.
type reading struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	wake     *os.File // has an end when ctx is over
	progress *progress
}

// newReading begins the work of cmd on the files in names. Close must be called.
// Progress is shown where stderr is a terminal, and of a command that prints while
// it reads where its results go elsewhere.
func newReading(cmd *cobra.Command, names []string, printing bool) (*reading, error) {
	wake, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	r := &reading{wake: wake}
	r.ctx, r.cancel = context.WithCancelCause(parent)
	if isTerminal(cmd.ErrOrStderr()) && !(printing && isTerminal(cmd.OutOrStdout())) {
		r.progress = newProgress(cmd.ErrOrStderr(), totalSize(names))
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	go func() {
		select {
		case <-signals:
			r.cancel(errInterrupted)
		case <-r.ctx.Done():
		}
		signal.Stop(signals)
		hold.Close()
	}()
	return r, nil
}

// Close ends the work. It may be called more than once.
func (r *reading) Close() {
	r.progress.end()
	r.cancel(nil)
	r.wake.Close()
}

// wrap returns what is read in place of f.
func (r *reading) wrap(f *os.File) io.Reader {
	return &watched{descriptor: f, file: f, reading: r, live: input.Live(f)}
}

// wrapAny is wrap for what may be no file.
func (r *reading) wrapAny(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok {
		return r.wrap(f)
	}
	return in
}

// watched is a file whose reading can be interrupted and is shown.
type watched struct {
	descriptor
	file    *os.File
	reading *reading
	live    bool // a read may wait
}

// descriptor is what package input asks of a file beside what is in it.
type descriptor interface {
	Stat() (os.FileInfo, error)
	SyscallConn() (syscall.RawConn, error)
}

// Read reads from the file, unless the work is to end.
func (w *watched) Read(b []byte) (int, error) {
	if w.live {
		if err := w.wait(); err != nil {
			return 0, err
		}
	}
	if w.reading.ctx.Err() != nil {
		return 0, context.Cause(w.reading.ctx)
	}
	n, err := w.file.Read(b)
	w.reading.progress.add(n)
	return n, err
}

// wait waits until there is something to read or the work is to end.
func (w *watched) wait() error {
	file, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	wake, err := w.reading.wake.SyscallConn()
	if err != nil {
		return err
	}
	var polled error
	err = file.Control(func(fd uintptr) {
		failed := wake.Control(func(end uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(end), Events: unix.POLLIN}}
			for {
				if _, polled = unix.Poll(fds, -1); !errors.Is(polled, unix.EINTR) {
					return
				}
			}
		})
		polled = errors.Join(polled, failed)
	})
	return errors.Join(err, polled)
}

// totalSize returns how many bytes the files have, 0 where that is not known.
func totalSize(names []string) int64 {
	var total int64
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		total += info.Size()
	}
	return total
}

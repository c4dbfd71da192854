package input

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is what there is to ask of a file, or of what wraps one.
type descriptor interface {
	Stat() (fs.FileInfo, error)
	SyscallConn() (syscall.RawConn, error)
}

// Live reports whether r may pause before it gives more, as a pipe or a
// terminal does and a plain file does not: then records are to be passed on one
// by one.
func Live(r io.Reader) bool {
	f, ok := r.(descriptor)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err != nil || !info.Mode().IsRegular()
}

// Pauses reports whether nothing more can be read without waiting longer than
// patience for it. Of a plain file, of something else than a file, and of compressed
// data it is never said.
func (r *Reader) Pauses(patience time.Duration) bool {
	f, ok := r.input.r.(descriptor)
	if !ok || !Live(r.input.r) || r.next == nil || r.br.Buffered() > 0 || r.again || len(r.rest) > 0 || r.layered {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	pauses := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for end := time.Now().Add(patience); ; {
			n, err := unix.Poll(fds, int(max(time.Until(end), 0)/time.Millisecond))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			pauses = n == 0 && err == nil
			return
		}
	})
	return err == nil && pauses
}

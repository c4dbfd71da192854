package netlinkaudit

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// descriptor is the number of an open file that several goroutines use and one
// of them closes. It does what an [os.File] does, without Go's poller.
type descriptor struct {
	mu sync.RWMutex // held for reading by those who use fd
	fd int          // -1: closed
}

// acquire returns the number. Until release is called it stays what it is. The
// error is [os.ErrClosed].
func (d *descriptor) acquire() (fd int, err error) {
	d.mu.RLock()
	if d.fd < 0 {
		d.mu.RUnlock()
		return -1, os.ErrClosed
	}
	return d.fd, nil
}

func (d *descriptor) release() { d.mu.RUnlock() }

// use runs f on the number.
func (d *descriptor) use(f func(fd int) error) error {
	fd, err := d.acquire()
	if err != nil {
		return err
	}
	defer d.release()
	return f(fd)
}

// close waits for those who have acquired the number.
func (d *descriptor) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

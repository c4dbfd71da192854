package spool

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// FS is what the spool does to its directory. Tests put a failing one in place
// of the real one; each method does what the function of package os does.
type FS interface {
	atomicfile.FS
	ReadDir(name string) ([]os.DirEntry, error)
}

// File is an open file of an [FS].
type File = atomicfile.File

// osFS is the real file system.
type osFS struct{ atomicfile.OS }

func (osFS) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }

// lockPatience is how long lockDir waits for a predecessor. One that was killed
// while it started a process leaves the lock to that one until it executes its
// program.
const lockPatience = time.Second

// lockDir takes the directory for this process, for as long as the returned
// file is open. The lock is on the directory itself: it leaves no file behind
// and can be had on a read-only file system.
func lockDir(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	flock := func() error { return syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	err = flock()
	for end := time.Now().Add(lockPatience); err == syscall.EWOULDBLOCK && time.Now().Before(end); err = flock() {
		time.Sleep(10 * time.Millisecond) // nothing tells, and flock(2) without LOCK_NB may wait for ever
	}
	switch err {
	case nil:
		return d, nil
	case syscall.EWOULDBLOCK:
		d.Close()
		return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
	default:
		d.Close()
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
}

// unlockDir gives the directory free. Closing alone would not do when another
// goroutine is about to start a process: until that executes its program, it
// has the file open too.
func unlockDir(d *os.File) {
	if d != nil {
		syscall.Flock(int(d.Fd()), syscall.LOCK_UN)
		d.Close()
	}
}

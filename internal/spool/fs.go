package spool

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// FS is what the spool does to its directory. Tests put a failing one in place
// of the real one; each method does what the function of package os does.
type FS interface {
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	Remove(name string) error
	Rename(from, to string) error
	ReadDir(name string) ([]os.DirEntry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
}

// File is an open file of an [FS]. Its methods may be called by several
// goroutines at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (os.FileInfo, error)
}

// osFS is the real file system.
type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File would make a File that is not nil
	}
	return f, nil
}

func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) Rename(from, to string) error               { return os.Rename(from, to) }
func (osFS) ReadDir(name string) ([]os.DirEntry, error) { return os.ReadDir(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

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

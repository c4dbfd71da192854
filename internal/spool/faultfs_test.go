package spool

import (
	"os"
	"sync"
)

// faultFS is the real file system with faults. A hook that is set is asked
// before the operation, which is not done when it returns an error; it may
// block.
type faultFS struct {
	osFS
	mu     sync.Mutex
	write  func(name string, off int64, p []byte) error
	sync   func(name string) error
	create func(name string) error
	open   func(name string) error
	remove func(name string) error
}

func (fs *faultFS) set(change func(fs *faultFS)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	change(fs)
}

// heal takes all faults away.
func (fs *faultFS) heal() {
	fs.set(func(fs *faultFS) { fs.write, fs.sync, fs.create, fs.open, fs.remove = nil, nil, nil, nil, nil })
}

func (fs *faultFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	fs.mu.Lock()
	hook := fs.open
	if flag&os.O_CREATE != 0 {
		hook = fs.create
	}
	fs.mu.Unlock()
	if hook != nil {
		if err := hook(name); err != nil {
			return nil, err
		}
	}
	f, err := fs.osFS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: f, fs: fs, name: name}, nil
}

func (fs *faultFS) Remove(name string) error {
	fs.mu.Lock()
	hook := fs.remove
	fs.mu.Unlock()
	if hook != nil {
		if err := hook(name); err != nil {
			return err
		}
	}
	return fs.osFS.Remove(name)
}

type faultFile struct {
	File
	fs   *faultFS
	name string
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	hook := f.fs.write
	f.fs.mu.Unlock()
	if hook != nil {
		if err := hook(f.name, off, p); err != nil {
			n, _ := f.File.WriteAt(p[:len(p)/2], off) // half of it, as a full disk does
			return n, err
		}
	}
	return f.File.WriteAt(p, off)
}

func (f *faultFile) Sync() error {
	f.fs.mu.Lock()
	hook := f.fs.sync
	f.fs.mu.Unlock()
	if hook != nil {
		if err := hook(f.name); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

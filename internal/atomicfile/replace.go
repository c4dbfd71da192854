package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Suffix ends the name of a file that has not got its own yet.
const Suffix = ".new"

// Replacement is a file that is about to take the place of the one at its path.
// It is open for reading and writing, also behind Commit. Either Commit or
// Discard must be called.
type Replacement struct {
	File
	fs   FS
	path string
}

// Create makes an empty file that Commit will put in the place of path.
func Create(fs FS, path string, perm os.FileMode) (*Replacement, error) {
	fs.Remove(path + Suffix) // whatever was left there
	// Nobody's link or FIFO that appears there just now is followed or opened.
	f, err := fs.OpenFile(path+Suffix, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, perm)
	if err != nil {
		return nil, err
	}
	return &Replacement{f, fs, path}, nil
}

// Commit puts the file in its place. With durable it returns when content and
// name are on the disk, which takes as long as that likes; without, a power cut
// may leave the old file, the new one, or a damaged one. After an error the file
// is closed, and the old one is there still, but where only the name of the new
// one could not be made durable.
func (r *Replacement) Commit(durable bool) error {
	if durable {
		if err := r.Sync(); err != nil {
			r.Discard()
			return err
		}
	}
	err := r.rename(durable)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *Replacement) rename(durable bool) error {
	if err := r.fs.Rename(r.path+Suffix, r.path); err != nil {
		r.fs.Remove(r.path + Suffix)
		return err
	}
	if durable {
		return r.fs.SyncDir(filepath.Dir(r.path))
	}
	return nil
}

// Discard closes the file and removes it. It is called in place of Commit.
func (r *Replacement) Discard() {
	r.Close()
	r.fs.Remove(r.path + Suffix)
}

// Write replaces the file at path by one with that content and mode, whatever
// the umask is. What durable means Commit says.
func Write(fs FS, path string, content []byte, perm os.FileMode, durable bool) error {
	r, err := Create(fs, path, perm)
	if err != nil {
		return err
	}
	_, err = r.WriteAt(content, 0)
	if err == nil {
		err = r.Chmod(perm)
	}
	if err == nil && durable {
		err = r.Sync()
	}
	// Before the file has its name: some file systems say only now that the disk is full.
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fs.Remove(path + Suffix)
		return err
	}
	return r.rename(durable)
}

// ErrNotRegular is returned by OpenRegular for anything but a regular file.
var ErrNotRegular = errors.New("not a regular file")

// NoFollow are the flags to open a file with of which nobody knows who put it
// there: the reader may be root, and the directory that of a user. Opening a FIFO
// would wait for a writer, and a device may do anything.
const NoFollow = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// OpenRegular opens a file for reading of which nobody knows who put it there. It
// follows no link in the place of the file itself, never waits, and returns
// ErrNotRegular for what is no regular file.
func OpenRegular(fs FS, path string) (File, os.FileInfo, error) {
	f, err := fs.OpenFile(path, os.O_RDONLY|NoFollow, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link, a socket
		return nil, nil, &os.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	case err != nil:
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read returns the content of a file that OpenRegular opens, of at most limit
// bytes.
func Read(fs FS, path string, limit int64) ([]byte, error) {
	f, info, err := OpenRegular(fs, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, &os.PathError{Op: "read", Path: path, Err: syscall.EFBIG}
	}
	b := make([]byte, info.Size())
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		err = nil
	}
	return b[:n], err
}

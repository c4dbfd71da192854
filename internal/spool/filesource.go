package spool

import (
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
)

// fileSource is the reader's view of one segment. It is owned by the reader's
// goroutine.
type fileSource struct {
	id      ID
	boot    [16]byte
	f       File
	g       *segment // that f is open on
	scan    scanner
	next    point // behind the last entry published
	reading bool
	holds   bool // the frame of scan was read, but a gap had to be told before it
}

func (fs *fileSource) leave() { fs.reading, fs.holds = false, false }

func (fs *fileSource) close() {
	fs.leave()
	if fs.f != nil {
		fs.f.Close()
		fs.f, fs.g = nil, nil
	}
}

// open begins to read g at a place before the next entry, up to size, where
// next will be.
func (r *Reader) open(e *epoch, g *segment, at place, next point, size int64) error {
	fs := &r.file
	if fs.g != g {
		fs.close()
		f, err := r.s.opts.FS.OpenFile(r.s.path(segmentName(g.ordinal)), os.O_RDONLY, 0)
		switch {
		case err == nil:
			fs.f, fs.g, fs.boot = f, g, g.boot
			fs.scan.reset(f, e.id, at.at, at.off, size)
		case errors.Is(err, os.ErrNotExist) && !r.listed(e, g):
			return nil // given up just now: locate will tell the gap
		case passing(err):
			return err
		default:
			r.skip(next, err)
			return nil
		}
	} else if fs.scan.from != r.at || fs.scan.limit > size {
		fs.scan.reset(fs.f, e.id, at.at, at.off, size)
	}
	fs.scan.limit = size
	fs.next, fs.reading = next, true
	return nil
}

func (r *Reader) listed(e *epoch, g *segment) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Contains(e.segs, g)
}

// passing reports whether an error says nothing about the disk and may be gone
// the next time.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fromFile gets the next frame of the open segment: it is then that of the
// scanner. It reports false when something else comes first: a gap, or another
// segment.
func (r *Reader) fromFile() (bool, error) {
	fs := &r.file
	f := &fs.scan.frame
	for {
		var err error
		if !fs.holds {
			_, err = fs.scan.next()
		}
		fs.holds = false
		switch {
		case err != nil && passing(err):
			return false, err
		case err != nil || f.at.n >= fs.next.n:
			if err == nil || err == io.EOF {
				err = ErrDamaged
			}
			fs.reading = false
			if r.at.n < fs.next.n {
				fs.close() // come back by way of the index, if at all
				r.skip(fs.next, err)
			}
			return false, nil
		case f.at.n > r.at.n:
			fs.holds = true
			r.skip(f.at, ErrDamaged)
			return false, nil
		case f.at.n == r.at.n:
			return true, nil
		}
	}
}

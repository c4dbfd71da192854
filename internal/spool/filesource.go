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
	next    uint64 // sequence number after the last entry published
	reading bool
	held    frame // read, but a gap had to be told before it
	holds   bool
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
// the entry next will be.
func (r *Reader) open(e *epoch, g *segment, at mark, next uint64, size int64) error {
	fs := &r.file
	if fs.g != g {
		fs.close()
		f, err := r.s.opts.FS.OpenFile(r.s.path(segmentName(g.ordinal)), os.O_RDONLY, 0)
		switch {
		case err == nil:
			fs.f, fs.g, fs.boot = f, g, g.boot
			fs.scan.reset(f, e.id, at.seq, at.off, size)
		case errors.Is(err, os.ErrNotExist) && !r.listed(e, g):
			return nil // given up just now: locate will tell the gap
		case passing(err):
			return err
		default:
			r.skip(next, err)
			return nil
		}
	} else if fs.scan.from != r.seq.Load() || fs.scan.limit > size {
		fs.scan.reset(fs.f, e.id, at.seq, at.off, size)
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

// fromFile returns the next frame of the open segment. It reports false when
// something else comes first: a gap, or another segment.
func (r *Reader) fromFile() (frame, bool, error) {
	fs := &r.file
	for {
		f, err := fs.held, error(nil)
		if !fs.holds {
			f, _, err = fs.scan.next()
		}
		fs.holds = false
		want := r.seq.Load()
		switch {
		case err != nil && passing(err):
			return f, false, err
		case err != nil || f.seq >= fs.next:
			if err == nil || err == io.EOF {
				err = ErrDamaged
			}
			fs.reading = false
			if want < fs.next {
				fs.close() // come back by way of the marks, if at all
				r.skip(fs.next, err)
			}
			return f, false, nil
		case f.seq > want:
			fs.held, fs.holds = f, true
			r.skip(f.seq, ErrDamaged)
			return f, false, nil
		case f.seq == want:
			return f, true, nil
		}
	}
}

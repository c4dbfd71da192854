package spool

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// fileSource is the reader's view of one segment. It is owned by the reader's
// goroutine.
type fileSource struct {
	id      ID
	boot    [16]byte
	f       File
	g       *segmentFile // that f is open on
	frames  segment.Reader
	reading bool
}

func (fs *fileSource) leave() { fs.reading = false }

func (fs *fileSource) close() {
	fs.leave()
	if fs.f != nil {
		fs.f.Close()
		fs.f, fs.g = nil, nil
	}
}

// open begins to read g at a place before the next entry, up to size, where
// next will be.
func (r *Reader) open(e *epoch, g *segmentFile, from segment.Place, next segment.Point, size int64) error {
	fs := &r.file
	if fs.g == g && fs.frames.Extend(r.at, next, size) {
		fs.reading = true
		return nil
	}
	if fs.g != g {
		fs.close()
		f, err := r.s.opts.FS.OpenFile(r.s.path(segment.Name(g.ordinal)), os.O_RDONLY, 0)
		switch {
		case err == nil:
			fs.f, fs.g, fs.boot = f, g, g.boot
		case errors.Is(err, os.ErrNotExist) && !r.listed(e, g):
			return nil // given up just now: locate will tell the gap
		case segment.Transient(err):
			return err
		default:
			r.skip(next, err)
			return nil
		}
	}
	fs.frames.Reset(fs.f, e.id, from, r.at, next, size)
	fs.reading = true
	return nil
}

func (r *Reader) listed(e *epoch, g *segmentFile) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Contains(e.segs, g)
}

// fromFile gets the next frame of the open segment. It returns nil when something
// else comes first: a gap, or another segment.
func (r *Reader) fromFile() (*segment.Frame, error) {
	f, hole, err := r.file.frames.Next()
	switch {
	case err == io.EOF:
		r.file.leave()
		return nil, nil
	case hole != nil:
		if hole.End {
			r.file.close() // come back by way of the index, if at all
		}
		r.skip(hole.To, hole.Err)
	}
	return f, err
}

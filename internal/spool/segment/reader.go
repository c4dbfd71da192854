package segment

import (
	"errors"
	"io"
	"syscall"
)

// Reader reads the frames of one segment in order, and says where some are
// missing.
type Reader struct {
	scan scanner
	at   Point // behind the last frame, or the last hole, that was returned
	end  Point // no frame from here on is wanted
	held bool  // the frame of scan was read, but a hole had to be told before it
	hole Hole
}

// Hole is where frames are missing.
type Hole struct {
	To  Point // before the first that is there again
	Err error // why those before are missing
	End bool  // To is the end of the frames that are wanted
}

// allFrames is the end of a segment of which it is not known.
var allFrames = Point{N: 1<<64 - 1}

// Reset begins at a place from which the frame at is not far, and which it is not
// before. limit is the size of the file, and end where the frames in it end.
func (r *Reader) Reset(f io.ReaderAt, id ID, from Place, at, end Point, limit int64) {
	r.scan.reset(f, id, from.At, from.Off, limit)
	r.at, r.end, r.held = at, end, false
}

// Extend lets a reader go on that has come to its end, in a segment that has grown
// since. It reports whether it stands at the frame at.
func (r *Reader) Extend(at, end Point, limit int64) bool {
	if r.held || r.scan.from != at || r.scan.limit > limit {
		return false
	}
	r.at, r.end, r.scan.limit = at, end, limit
	return true
}

// Next returns the next frame, which lives until the following call. Where frames
// are missing before it, it returns first how far; they lie between the frame
// returned last and there. At the end it returns io.EOF. Behind an error that is
// Transient it may be called again; any other error of the disk makes all that is
// left a hole, and is returned itself only where the end is not known.
func (r *Reader) Next() (*Frame, *Hole, error) {
	f := &r.scan.frame
	for {
		var err error
		if !r.held {
			_, err = r.scan.next()
		}
		r.held = false
		switch {
		case err != nil && Transient(err):
			return nil, nil, err
		case err != nil && r.end == allFrames:
			return nil, nil, err
		case err != nil || f.At.N >= r.end.N:
			if r.at.N >= r.end.N {
				return nil, nil, io.EOF
			}
			if err == nil || err == io.EOF {
				err = ErrDamaged
			}
			return nil, r.missing(r.end, err), nil
		case f.At.N > r.at.N:
			r.held = true
			return nil, r.missing(f.At, ErrDamaged), nil
		case f.At.N == r.at.N:
			r.at = f.Next()
			return f, nil, nil
		}
	}
}

func (r *Reader) missing(to Point, err error) *Hole {
	r.at, r.hole = to, Hole{to, err, to == r.end}
	return &r.hole
}

// rest is what lies behind the last frame, once next has returned io.EOF for a
// segment of which the end is not known.
func (r *Reader) rest() Damage {
	return Damage{Tail: r.scan.limit - r.scan.good, Torn: r.scan.torn}
}

// Transient reports whether an error says nothing about the disk and may be gone
// the next time.
func Transient(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

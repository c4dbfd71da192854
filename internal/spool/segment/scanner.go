package segment

import "io"

const scanBuffer = 64 << 10

// scanner reads the frames of one segment file in order and passes over what
// is damaged.
type scanner struct {
	f     io.ReaderAt
	id    ID
	from  Point // no sound frame comes before it
	limit int64 // end of the file, or of what is published of it

	buf  []byte
	a, b int   // buf[a:b] is read, not yet scanned
	off  int64 // position of buf[b] in the file

	frame Frame // the last sound one

	good int64 // end of the last sound frame
	torn bool  // set with io.EOF: the file ends inside a frame that began right after good
}

// reset begins at off, where a frame begins. The buffer is kept.
func (s *scanner) reset(f io.ReaderAt, id ID, from Point, off, limit int64) {
	*s = scanner{f: f, id: id, from: from, limit: limit, off: off, good: off, buf: s.buf}
	if s.buf == nil {
		s.buf = make([]byte, scanBuffer)
	}
}

// next puts the next sound frame into s.frame, where it lives with its data until
// the following call, and returns how many bytes it had to pass over to find it.
// At the end it returns io.EOF; the bytes passed over are then those after the
// last sound frame.
func (s *scanner) next() (skipped int64, err error) {
	for {
		size, st := checkFrame(s.buf[s.a:s.b], s.id, s.from)
		if st == frameShort {
			switch more, err := s.fill(size); {
			case err != nil:
				return skipped, err
			case more:
				continue
			case s.a == s.b:
				return skipped, io.EOF
			case skipped == 0:
				s.torn = true
			}
		}
		if st == frameSound {
			s.a += s.frame.Get(s.buf[s.a:s.b])
			s.good = s.off - int64(s.b-s.a)
			s.from = s.frame.Next()
			s.torn = false
			return skipped, nil
		}
		// Look for a frame at every following byte: a damaged length says
		// nothing about where the next frame begins.
		s.a++
		skipped++
	}
}

// pos returns the position in the file of the next frame to scan.
func (s *scanner) pos() int64 { return s.off - int64(s.b-s.a) }

// fill reads until n bytes are there to be scanned. It reports false when the
// file has fewer.
func (s *scanner) fill(n int) (bool, error) {
	if s.pos()+int64(n) > s.limit {
		n = int(s.limit - s.pos()) // what there is, in one go; the caller steps through it
		if s.b-s.a >= n {
			return false, nil
		}
	}
	copy(s.buf, s.buf[s.a:s.b])
	s.a, s.b = 0, s.b-s.a
	if n > len(s.buf) {
		s.buf = append(make([]byte, 0, n), s.buf[:s.b]...)[:n]
	}
	want := s.buf[s.b:min(int64(len(s.buf)), int64(s.b)+s.limit-s.off)]
	m, err := s.f.ReadAt(want, s.off)
	s.b += m
	s.off += int64(m)
	if err == io.EOF { // shorter than it was
		s.limit, err = s.off, nil
	}
	return m > 0, err
}

package input

import (
	"bufio"
	"bytes"
	"io"
)

// readLine reads the next line into r.text, without LF or CR LF. NUL bytes end a
// line too, any number of them, and an LF directly behind them is part of that
// end: a crash leaves NULs between the half of a line and the next one,
// copytruncate leaves them at the beginning, a careless writer at the end. Lines
// of more than maxLine bytes are passed over.
func (r *Reader) readLine() error {
	if r.again {
		r.again = false
		return nil
	}
	r.long = r.long[:0]
	size := 0 // of the line so far
	for {
		if len(r.rest) == 0 && !r.fill() {
			if size == 0 || r.restErr != io.EOF {
				return r.readError(r.restErr) // and forget the piece of a line before it
			}
			if r.whole = false; r.endLine(nil, size) {
				return nil
			}
			size = 0
			continue
		}
		p := r.rest
		if size == 0 && r.nul {
			switch {
			case p[0] == 0:
				r.consume(len(p) - len(bytes.TrimLeft(p, "\x00")))
				continue
			case string(p) == "\n", string(p) == "\r\n":
				r.nul = false
				r.consume(len(p))
				continue
			}
			r.nul = false
		}
		end := bytes.IndexByte(p, 0)
		if end >= 0 && isWide(p, end) {
			r.narrow()
			continue
		}
		switch last := len(p) - 1; {
		case end >= 0:
			r.nul = true
		case p[last] == '\n':
			end = last
		default: // it goes on
			if size += len(p); size <= maxLine {
				r.long = append(r.long, p...)
			}
			r.consume(len(p))
			continue
		}
		r.consume(end + 1)
		if size+end == 0 && r.nul {
			continue
		}
		if r.whole = true; r.endLine(p[:end], size+end) {
			return nil
		}
		size = 0
	}
}

// consume removes n bytes from what was read.
func (r *Reader) consume(n int) {
	r.rest = r.rest[n:]
	r.off += int64(n)
}

// isWide reports whether UTF-16 goes on at the NUL at i, in the midst of other text,
// as where one program has added to the file of another: every second byte is NUL.
func isWide(p []byte, i int) bool {
	if len(p)-i < 8 {
		return false
	}
	for j := i; j < i+8; j += 2 {
		if p[j] != 0 || p[j+1] == 0 {
			return false
		}
	}
	return true
}

// narrow takes the NULs and byte order marks of UTF-16 out of what was read.
func (r *Reader) narrow() {
	out := r.rest[:0]
	for _, c := range r.rest {
		if c != 0 && c < 0xfe {
			out = append(out, c)
		}
	}
	r.off += int64(len(r.rest) - len(out))
	r.rest = out
}

// fill reads on to the next LF, or as far as the buffer goes. It reports whether
// there was anything.
func (r *Reader) fill() bool {
	if r.restErr != nil {
		return false
	}
	p, err := r.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = nil
	}
	r.rest, r.restErr = p, err
	return len(p) > 0
}

// endLine makes r.text of the line in r.long and p, of size bytes. It reports
// false if that is too long.
func (r *Reader) endLine(p []byte, size int) bool {
	if size >= maxLine { // with its LF
		r.passed++
		r.unread.add(causeLong)
		r.long = r.long[:0]
		return false
	}
	if len(r.long) > 0 {
		r.long = append(r.long, p...)
		p = r.long
	}
	r.text = bytes.TrimSuffix(p, []byte("\r"))
	return true
}

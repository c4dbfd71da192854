package input

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

const (
	bufferSize = 64 << 10 // bytes read at once
	maxLine    = 1 << 20  // bytes of the longest line, journal message and datagram taken
)

// Record is one audit record as it was found.
type Record struct {
	Type uint16 // 0 if the datagram is too short to have one

	// Text is "audit(1795440701.244:47): " and the body, as the kernel sent it,
	// or the body alone where the form has no stamp. It lives until the next
	// call of Next and may be changed by the caller.
	Text []byte

	Event     bool  // no record: Text is one JSON object, in all likelihood an event of ours
	Forged    bool  // captures: the sender was not the kernel; Text is the sender's
	Truncated bool  // the end of the text is missing, and the form says so
	Monotonic int64 // captures: CLOCK_MONOTONIC of the receipt in ns; 0 elsewhere
}

// DamageError says where an input ends that should not end there, or where it
// stops to make sense. Everything before was delivered.
type DamageError struct {
	Offset int64  // in bytes from the start, after decompression
	What   string // never contains anything of the input
}

// Error returns the place and what is wrong there.
func (e *DamageError) Error() string {
	return fmt.Sprintf("offset %d: %s", e.Offset, e.What)
}

// Reader yields the records of one input. One goroutine at a time may use it.
type Reader struct {
	br     *bufio.Reader
	next   func(*Reader, *Record) error // nil until the form is found out
	gzip   bool
	err    error // what ended the input; Next returns it for ever
	passed uint64

	off int64 // of the datagram, line or binary field that is read next

	text   []byte // the line, without its end
	whole  bool   // the line had an end
	unread bool   // text was handed back, for the next readLine

	long  []byte // a line or datagram that does not fit br
	built []byte // a text that is not to be found in the input as it is
	entry entry  // the journal entry being read
}

// NewReader returns a Reader of r. Nothing is read before the first Next.
func NewReader(r io.Reader) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, bufferSize)}
}

// Passed returns how many lines and journal entries were passed over so far:
// whatever was no record, empty lines left out.
func (r *Reader) Passed() uint64 { return r.passed }

// Next puts the next record into rec. It returns io.EOF at the end of the
// input, a [*DamageError] if the input is cut or damaged there, and the error
// of the underlying reader otherwise. After an error it returns that error
// again.
func (r *Reader) Next(rec *Record) error {
	*rec = Record{}
	if r.err == nil && r.next == nil {
		r.err = r.detect()
	}
	if r.err == nil {
		r.err = r.next(r, rec)
	}
	return r.err
}

// detect finds out the form. It looks no further ahead than it must: the input
// may be a pipe into which somebody writes slowly.
func (r *Reader) detect() error {
	p, err := r.br.Peek(3)
	if !r.gzip && bytes.Equal(p, []byte("\x1f\x8b\x08")) { // RFC 1952, section 2.3.1
		z, err := gzip.NewReader(r.br)
		r.gzip = true
		if err != nil {
			return r.readError(err)
		}
		r.br = bufio.NewReaderSize(z, bufferSize)
		return r.detect()
	}
	if len(p) == 0 {
		return r.readError(err)
	}
	r.next = (*Reader).nextLine
	if r.isCapture() {
		r.next = (*Reader).nextDatagram
	}
	return nil
}

// damage returns the error for damage at what is read next.
func (r *Reader) damage(what string) error {
	return &DamageError{Offset: r.off, What: what}
}

// readError returns what Next has to say about an error of reading.
func (r *Reader) readError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case !r.gzip || err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return r.damage("the compressed data is cut off")
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return r.damage("the compressed data is damaged")
	}
	return err
}

// nextLine yields the next record of an input of text.
func (r *Reader) nextLine(rec *Record) error {
	for {
		if err := r.readLine(); err != nil {
			if err == io.EOF && r.entry.open {
				return r.endExport(rec)
			}
			return err
		}
		switch done, err := r.parseLine(rec); {
		case err != nil:
			return err
		case done:
			return nil
		}
	}
}

// parseLine looks at the line in r.text. It reports whether rec is complete.
func (r *Reader) parseLine(rec *Record) (done bool, err error) {
	line := r.text
	if r.entry.open || isExport(line) {
		return r.exportLine(rec)
	}
	if len(line) == 0 {
		return false, nil
	}
	if object, ok := cutJSON(line); ok && isEvent(object, r.whole) {
		rec.Event, rec.Text, done = true, object, true
	} else if ok {
		done, err = r.jsonEntry(object, rec)
	} else {
		done = r.textLine(r.cutNUL(line), rec)
	}
	if !done && err == nil {
		r.passed++
	}
	return done, err
}

// cutNUL ends the line at its first NUL byte, and hands what follows back as a
// line of its own. A crash leaves NULs between the half of a line and the next
// one, copytruncate leaves them at the beginning, a careless writer at the end.
func (r *Reader) cutNUL(line []byte) []byte {
	line = bytes.TrimLeft(line, "\x00")
	line, rest, _ := bytes.Cut(line, []byte{0})
	if rest = bytes.TrimLeft(rest, "\x00"); len(rest) > 0 {
		r.text, r.unread = rest, true
	}
	return line
}

// readLine reads the next line into r.text, without LF or CR LF. Lines of more
// than maxLine bytes are passed over.
func (r *Reader) readLine() error {
	if r.unread {
		r.unread = false
		return nil
	}
	r.long = r.long[:0]
	tooLong := false
	for {
		p, err := r.br.ReadSlice('\n')
		r.off += int64(len(p))
		if err == bufio.ErrBufferFull {
			if tooLong = tooLong || len(r.long)+len(p) > maxLine; !tooLong {
				r.long = append(r.long, p...)
			}
			continue
		}
		if err != nil && err != io.EOF {
			return r.readError(err) // and forget the piece of a line before it
		}
		if len(r.long) > 0 {
			if tooLong = tooLong || len(r.long)+len(p) > maxLine; !tooLong {
				r.long = append(r.long, p...)
				p = r.long
			}
		}
		if tooLong {
			r.passed++
			if err != nil {
				return err
			}
			r.long, tooLong = r.long[:0], false
			continue
		}
		if len(p) == 0 {
			return io.EOF
		}
		p, r.whole = bytes.CutSuffix(p, []byte("\n"))
		r.text = bytes.TrimSuffix(p, []byte("\r"))
		return nil
	}
}

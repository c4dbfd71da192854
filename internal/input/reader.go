package input

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	bufferSize = 64 << 10 // bytes read at once
	maxLine    = 1 << 20  // bytes of the longest line, object, journal message and datagram taken
)

// Record is one audit record as it was found.
type Record struct {
	Type uint16 // 0 if the datagram is too short to have one

	// Text is "audit(1795440701.244:47): " and the body, as the kernel sent it,
	// or the body alone where the form has no stamp. It lives until the next
	// call of Next and may be changed by the caller.
	Text []byte

	// Host and BootID are what the input says of the record: node=, the host of a
	// syslog line, _HOSTNAME and _BOOT_ID of the journal, the latter as the kernel
	// writes it. They are nil where it says nothing, and live as long as Text.
	Host, BootID []byte

	Event     bool  // no record: Text is one JSON object, in all likelihood an event of ours
	Forged    bool  // captures: the sender was not the kernel; Text is the sender's
	Truncated bool  // the end of the text is missing, and the form says so
	Monotonic int64 // captures: CLOCK_MONOTONIC of the receipt in ns; 0 elsewhere
}

// Reader yields the records of one input. One goroutine at a time may use it.
type Reader struct {
	input   packed
	br      *bufio.Reader
	layered bool                         // br does not read from input itself
	next    func(*Reader, *Record) error // nil until the form is found out
	err     error                        // what ended the input; Next returns it for ever
	passed  uint64
	unread  unread
	limit   int64 // of decompression, maxUnpacked but in tests

	off int64 // of the datagram, line or binary field that is read next

	text    []byte // the line, without its end
	whole   bool   // the line had an end
	again   bool   // text was handed back, for the next readLine
	nul     bool   // NUL bytes ended the line before
	rest    []byte // what was read behind the line, up to the next LF
	restErr error  // what comes behind rest

	long      []byte // a line or datagram that does not fit br
	built     []byte // a text that is not to be found in the input as it is
	host      []byte // of the line
	other     bool   // the line is an audit record of a type that is not known here
	unescaped bool   // the text was escaped by the kernel, so control characters in it are the record's
	entry     entry  // the journal entry being read
	block     block  // the JSON of several lines being read
	line      []byte // an object of it in one line
}

// NewReader returns a Reader of r. Nothing is read before the first Next.
func NewReader(r io.Reader) *Reader {
	nr := &Reader{input: packed{r: r}, limit: maxUnpacked}
	nr.br = bufio.NewReaderSize(&nr.input, bufferSize)
	return nr
}

// Passed returns how many lines and journal entries were passed over so far:
// whatever was no record, empty lines left out.
func (r *Reader) Passed() uint64 { return r.passed }

// Next puts the next record into rec. At the end of the input it returns io.EOF
// if everything was read, and otherwise an [*UnreadError] that says what was not,
// or the error of the underlying reader. After an error it returns that error
// again.
func (r *Reader) Next(rec *Record) error {
	*rec = Record{}
	if r.err != nil {
		return r.err
	}
	var err error
	if r.next == nil {
		err = r.detect()
	}
	if err == nil {
		err = r.next(r, rec)
	}
	if err != nil {
		r.err = r.unread.end(err)
		return r.err
	}
	r.unread.known++
	return nil
}

// detect finds out the form. It looks no further ahead than it must: the input
// may be a pipe into which somebody writes slowly.
func (r *Reader) detect() error {
	for depth := 0; compressionOf(r.br) != compressionNone; depth++ {
		if depth == maxNesting {
			return r.damage(string(errNesting))
		}
		r.layered = true
		r.br = bufio.NewReaderSize(&unpacker{in: r.br, input: &r.input, limit: r.limit}, bufferSize)
	}
	if p, err := r.br.Peek(1); len(p) == 0 {
		return r.readError(err)
	}
	if err := refusal(r.br, false); err != nil {
		return err
	}
	if r.isCapture() {
		r.next = (*Reader).nextDatagram
		return nil
	}
	if err := refusal(r.br, true); err != nil {
		return err
	}
	if r.isDamagedCapture() {
		return r.damage("the header of the first datagram of the capture is damaged")
	}
	if order := utf16Order(r.br); order != nil {
		r.layered = true
		r.br = bufio.NewReaderSize(&utf16Reader{br: r.br, order: order}, bufferSize)
	}
	r.next = (*Reader).nextLine
	return nil
}

// damage returns the error for damage at what is read next.
func (r *Reader) damage(what string) error {
	return &DamageError{Offset: r.off, What: what}
}

// readError returns what Next has to say about an error of reading.
func (r *Reader) readError(err error) error {
	var unpack unpackError
	if errors.As(err, &unpack) {
		return r.damage(string(unpack))
	}
	return err
}

// nextLine yields the next record of an input of text.
func (r *Reader) nextLine(rec *Record) error {
	for {
		if err := r.readLine(); err != nil {
			if err == io.EOF {
				return r.endText(rec)
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

// endText ends what is open at the end of a text.
func (r *Reader) endText(rec *Record) error {
	if r.entry.open {
		return r.endExport(rec)
	}
	if r.block.open {
		r.block.open = false
		r.pass(r.block.buf)
		return r.damage("the JSON object is cut off")
	}
	return io.EOF
}

// parseLine looks at the line in r.text. It reports whether rec is complete.
func (r *Reader) parseLine(rec *Record) (done bool, err error) {
	if len(r.text) > 0 && r.text[0] == byteOrderMark[0] {
		r.text = bytes.TrimPrefix(r.text, []byte(byteOrderMark))
	}
	line := r.text
	switch {
	case r.block.open:
		return r.blockLine(rec), nil
	case r.entry.open || isExport(line):
		return r.exportLine(rec)
	case len(line) == 0:
		return false, nil
	case line[0] == 't', line[0] == 'n': // type=, node=
	default:
		if object, ok := cutJSON(line); ok {
			return r.jsonLine(object, rec)
		}
		if beginsBlock(line) {
			return r.beginBlock(rec), nil
		}
	}
	if r.textLine(line, rec) || !r.other && taggedEvent(line, rec) {
		return true, nil
	}
	r.pass(line)
	return false, nil
}

// pass counts a line that gave no record.
func (r *Reader) pass(line []byte) {
	r.passed++
	r.unread.pass(line, r.other)
	r.other = false
}

// Reject says that the record or event that was returned last gave no event: it is
// not IPE's, or cannot be read. If its text says otherwise it counts as unread.
func (r *Reader) Reject(rec *Record) { r.unread.reject(rec) }

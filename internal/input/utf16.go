package input

import (
	"bufio"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// isASCII reports whether c is a printable character of ASCII or a tab.
func isASCII(c byte) bool { return c >= ' ' && c < 0x7f || c == '\t' }

// utf16Order returns the byte order of the UTF-16 text that is read next, or nil
// if there is none. Without a byte order mark two letters of ASCII tell it.
func utf16Order(br *bufio.Reader) binary.ByteOrder {
	switch {
	case startsWith(br, "\xff\xfe"):
		return binary.LittleEndian
	case startsWith(br, "\xfe\xff"):
		return binary.BigEndian
	}
	for n := range 4 {
		p, _ := br.Peek(n + 1)
		switch {
		case len(p) <= n || !isASCII(p[n]) && p[n] != 0 || n > 0 && (p[n] == 0) == (p[n-1] == 0):
			return nil
		case n < 3:
		case p[0] == 0:
			return binary.BigEndian
		default:
			return binary.LittleEndian
		}
	}
	return nil
}

// maxNarrow is how many units of UTF-16 in a row may consist of two letters of
// ASCII each: 32 letters are less than any record has, and 16 rare characters more
// than any text.
const maxNarrow = 16

// errNarrow says that another program has added ASCII to a file in UTF-16.
const errNarrow = unpackError("only the beginning of the text is UTF-16: give the rest in a file of its own")

// utf16Reader makes UTF-8 of UTF-16. What is no character becomes U+FFFD. A byte
// order mark of the other order, as at the joint of two files, turns the order.
type utf16Reader struct {
	br    *bufio.Reader
	order binary.ByteOrder
	out   []byte // not yet read
	buf   []byte

	narrow int // units of two letters of ASCII, up to here
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if err := u.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// fill converts what has arrived, at least one character. Behind an error nothing
// more is read.
func (u *utf16Reader) fill() error {
	u.buf = u.buf[:0]
	for len(u.buf) == 0 || u.narrow < maxNarrow && u.br.Buffered() >= 2 && len(u.buf) < bufferSize {
		p, err := u.br.Peek(2)
		switch {
		case u.narrow == maxNarrow:
			return errNarrow
		case len(p) == 0:
			return err
		case len(p) == 1: // half a unit
			u.br.Discard(1)
			u.buf = append(u.buf, "\ufffd"...)
			continue
		}
		if u.narrow++; !isASCII(p[0]) || !isASCII(p[1]) {
			u.narrow = 0
		}
		c := rune(u.order.Uint16(p))
		if c == 0xfffe { // U+FEFF in the other order
			c, u.order = 0xfeff, binary.ByteOrder(binary.LittleEndian)
			if p[0] == 0xfe {
				u.order = binary.BigEndian
			}
		}
		u.br.Discard(2)
		if utf16.IsSurrogate(c) {
			if p, _ = u.br.Peek(2); len(p) == 2 {
				if c = utf16.DecodeRune(c, rune(u.order.Uint16(p))); c != utf8.RuneError {
					u.br.Discard(2)
				}
			}
		}
		u.buf = utf8.AppendRune(u.buf, c) // U+FFFD for half a pair
	}
	u.out = u.buf
	return nil
}

package format

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// AppendQuoted appends b, which others chose, for a person: only printable
// characters come out as they are, and it stands in quotes when it could be
// mistaken for something else without them.
func AppendQuoted(dst, b []byte) []byte { return appendQuoted(dst, b, unguarded) }

// AppendEscaped appends b, which others chose, for a person where nothing can
// be confused with it: like AppendQuoted, but never in quotes.
func AppendEscaped(dst, b []byte) []byte { return appendEscaped(dst, b, false) }

// appendQuoted is AppendQuoted, and escapes what g forbids. Where that forbids
// blanks it always writes the quotes.
func appendQuoted(dst, b []byte, g guard) []byte {
	start := len(dst)
	dst = appendGuarded(dst, b, true, g)
	if written := dst[start:]; g < guardBlanks && len(b) != 0 && !bytes.ContainsAny(written, ` "\`) {
		return dst
	}
	dst = append(dst, '"', '"')
	copy(dst[start+1:], dst[start:len(dst)-2])
	dst[start] = '"'
	return dst
}

// appendEscaped appends b as it stands between the quotes of a string of Go:
// only printable characters and the ASCII blank come out as they are. A quote
// is escaped when quoted is true.
func appendEscaped(dst, b []byte, quoted bool) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = appendEscape(dst, 'x', uint32(b[0]), 2)
		case r == '\\' || r == '"' && quoted:
			dst = append(dst, '\\', byte(r))
		case strconv.IsPrint(r) && !invisible(r):
			dst = append(dst, b[:n]...)
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < utf8.RuneSelf:
			dst = appendEscape(dst, 'x', uint32(r), 2)
		case r <= 0xffff:
			dst = appendEscape(dst, 'u', uint32(r), 4)
		default:
			dst = appendEscape(dst, 'U', uint32(r), 8)
		}
		b = b[n:]
	}
	return dst
}

// appendEscape appends a backslash, a letter and that many hex digits.
func appendEscape(dst []byte, letter byte, n uint32, digits int) []byte {
	dst = append(dst, '\\', letter)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[n>>shift&15])
	}
	return dst
}

package text

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendQuoted appends b, which others chose, for a person: only printable
// characters come out as they are, and it stands in quotes when it could be
// mistaken for something else without them.
func AppendQuoted(dst, b []byte) []byte {
	if IsPlain(b) && len(b) != 0 && bytes.IndexByte(b, ' ') < 0 {
		return append(dst, b...)
	}
	start := len(dst)
	dst = AppendInner(dst, b)
	if len(b) != 0 && !bytes.ContainsAny(dst[start:], ` "\`) {
		return dst
	}
	return InQuotes(dst, start)
}

// InQuotes puts dst[start:] in double quotes.
func InQuotes(dst []byte, start int) []byte {
	dst = append(dst, '"', '"')
	copy(dst[start+1:], dst[start:len(dst)-2])
	dst[start] = '"'
	return dst
}

// AppendEscaped appends b, which others chose, for a person where nothing can
// be confused with it: like AppendQuoted, but never in quotes.
func AppendEscaped(dst, b []byte) []byte { return appendEscaped(dst, b, `\`) }

// AppendInner appends b as it stands between the quotes of a string of Go: only
// printable characters and the ASCII blank come out as they are.
func AppendInner(dst, b []byte) []byte { return appendEscaped(dst, b, `\"`) }

// appendEscaped escapes what is not printable, and the characters of special.
func appendEscaped(dst, b []byte, special string) []byte {
	for {
		n := PlainPrefix(b)
		dst = append(dst, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return dst
		}
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = AppendEscape(dst, 'x', uint32(b[0]), 2)
		case (r == '\\' || r == '"') && strings.IndexByte(special, byte(r)) >= 0:
			dst = append(dst, '\\', byte(r))
		case strconv.IsPrint(r) && !Invisible(r):
			dst = append(dst, b[:n]...)
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < utf8.RuneSelf:
			dst = AppendEscape(dst, 'x', uint32(r), 2)
		case r <= 0xffff:
			dst = AppendEscape(dst, 'u', uint32(r), 4)
		default:
			dst = AppendEscape(dst, 'U', uint32(r), 8)
		}
		b = b[n:]
	}
}

// AppendEscape appends a backslash, a letter and that many hex digits.
func AppendEscape(dst []byte, letter byte, n uint32, digits int) []byte {
	dst = append(dst, '\\', letter)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return dst
}

// Name returns a string that others chose as AppendQuoted writes it, "?" for none.
func Name[S string | []byte](s S) string {
	if b, ok := any(s).([]byte); ok && b == nil {
		return "?"
	}
	return string(AppendQuoted(nil, []byte(s)))
}

// Printable returns a message, of which others may have chosen parts, fit for a
// terminal and for one line. What is quoted in it already stays as it is.
func Printable(s string) string { return string(appendEscaped(nil, []byte(s), "")) }

// Quote returns a text that somebody else wrote in double quotes, and cut to some
// 80 bytes: fit for a message about a mistake in it.
func Quote(s string) string {
	const longest = 80
	more := ""
	if len(s) > longest {
		s, more = strings.ToValidUTF8(s[:longest], ""), "..."
	}
	return string(InQuotes(AppendInner(nil, []byte(s)), 0)) + more
}

// Argument returns a string as a shell takes it, in printable ASCII. One that
// begins with a minus sign is still an option to most commands.
func Argument(s string) string {
	plain := func(c rune) bool {
		return strings.ContainsRune("-_/.,:+=@%", c) || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	ascii := func(c rune) bool { return ' ' <= c && c <= '~' && c != '\'' }
	switch {
	case s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0:
		return s
	case strings.IndexFunc(s, func(c rune) bool { return !ascii(c) }) < 0:
		return "'" + s + "'"
	}
	b := []byte("$'") // of bash, ksh, zsh and POSIX.1-2024
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = AppendEscape(b, 'x', uint32(c), 2)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '\''))
}

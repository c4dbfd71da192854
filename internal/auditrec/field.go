package auditrec

import "bytes"

// Value is the value of a field as it stands in the record, with its quotes.
type Value []byte

// Quoted reports whether the value is between quotes.
func (v Value) Quoted() bool { return len(v) > 1 && v[0] == '"' }

// Absent reports whether the kernel says that there is no value: a bare
// question mark, or nothing at all, which is what is left of a string when the
// kernel was out of memory (audit_log_n_string in kernel/audit.c).
func (v Value) Absent() bool { return len(v) == 0 || len(v) == 1 && v[0] == '?' }

// Text returns the value without its quotes; hex digits stay as they are. It
// is a view of v, and not nil.
func (v Value) Text() []byte {
	if v.Quoted() {
		return v[1 : len(v)-1]
	}
	return v
}

// KeyLen returns the length of the key at the front of text; the byte behind
// it is the equals sign. It returns -1 when text begins with anything else.
func KeyLen(text []byte) int {
	for i, c := range text {
		switch c {
		case '=':
			if i > 0 {
				return i
			}
			return -1
		case ' ', '"':
			return -1
		}
	}
	return -1
}

// ValueLen returns the length of the value at the front of text, its quotes
// included. It returns -1 when a quote is opened and not closed.
func ValueLen(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		for i, c := range text {
			if c == ' ' {
				return i
			}
		}
		return len(text)
	}
	for end := 1; ; {
		i := bytes.IndexByte(text[end:], '"')
		if i < 0 {
			return -1
		}
		if end += i + 1; end == len(text) || text[end] == ' ' {
			return end
		}
	}
}

// CutKey skips blanks and cuts a key and its equals sign off the front of
// text. When ok is false, there is no field: key is empty at the end of the
// text, else it is the offending word. Both results are views of text.
func CutKey(text []byte) (key, rest []byte, ok bool) {
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	if n := KeyLen(text); n > 0 {
		return text[:n], text[n+1:], true
	}
	word, _, _ := bytes.Cut(text, []byte{' '})
	return word, text[len(word):], false
}

// CutValue cuts a value off the front of text, which is what [CutKey] left.
// When ok is false, a quote is opened and not closed, and the value is all the
// text. Both results are views of text.
func CutValue(text []byte) (v Value, rest []byte, ok bool) {
	n := ValueLen(text)
	if n < 0 {
		return text, nil, false
	}
	return text[:n], text[n:], true
}

// Uint reads a decimal number. It refuses signs, anything that is no digit,
// and what does not fit.
func Uint(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	for _, c := range text {
		d := uint64(c - '0')
		if d > 9 || n > (1<<64-1)/10 {
			return 0, false
		}
		n *= 10
		if n+d < n {
			return 0, false
		}
		n += d
	}
	return n, true
}

// Int reads a decimal number that may have a minus sign.
func Int(text []byte) (n int64, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		u, ok := Uint(text[1:])
		return -int64(u), ok && u <= 1<<63
	}
	u, ok := Uint(text)
	return int64(u), ok && u < 1<<63
}

package auditrec

import "bytes"

// Value is the value of a field, as it stands in the record.
type Value struct {
	Raw    []byte // as received, with its quotes
	Quoted bool   // Raw begins and ends with a double quote
}

// Absent reports whether the kernel says that there is no value: a bare
// question mark, or nothing at all, which is what is left of a string when the
// kernel was out of memory (audit_log_n_string in kernel/audit.c).
func (v Value) Absent() bool {
	return len(v.Raw) == 0 || len(v.Raw) == 1 && v.Raw[0] == '?'
}

// Text returns the value without its quotes; hex digits stay as they are. It
// is a view of Raw and never nil unless Raw is.
func (v Value) Text() []byte {
	if v.Quoted {
		return v.Raw[1 : len(v.Raw)-1]
	}
	return v.Raw
}

// CutKey skips blanks and cuts a key and its equals sign off the front of
// text. When ok is false, there is no field: key is empty at the end of the
// text, else it is the offending word. Both results are views of text.
func CutKey(text []byte) (key, rest []byte, ok bool) {
	start := 0
	for start < len(text) && text[start] == ' ' {
		start++
	}
	text = text[start:]
	for i, c := range text {
		switch c {
		case '=':
			if i == 0 {
				return cutWord(text)
			}
			return text[:i], text[i+1:], true
		case ' ', '"':
			return cutWord(text)
		}
	}
	return text, nil, false
}

// cutWord cuts off a word that is not a field.
func cutWord(text []byte) (word, rest []byte, ok bool) {
	if i := bytes.IndexByte(text, ' '); i >= 0 {
		return text[:i], text[i:], false
	}
	return text, nil, false
}

// CutValue cuts a value off the front of text, which is what [CutKey] left.
// When ok is false, a quote was opened and not closed, and the value is all
// the text. Both results are views of text.
func CutValue(text []byte) (v Value, rest []byte, ok bool) {
	if len(text) > 0 && text[0] == '"' {
		for i := 1; i < len(text); i++ {
			if text[i] == '"' && (i+1 == len(text) || text[i+1] == ' ') {
				return Value{Raw: text[:i+1], Quoted: true}, text[i+1:], true
			}
		}
		return Value{Raw: text}, nil, false
	}
	for i, c := range text {
		if c == ' ' {
			return Value{Raw: text[:i]}, text[i:], true
		}
	}
	return Value{Raw: text}, nil, true
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

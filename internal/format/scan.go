package format

import (
	"iter"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
)

// scanner goes through a text in JSON (RFC 8259). It accepts what encoding/json
// accepts, which fuzzing compares, but looks at each byte once, and finds out
// that a text is not valid while it is read.
type scanner struct {
	text []byte
	at   int
	bad  bool // the text is not valid from at on; stays
}

// maxDepth bounds how deep values may be nested, as encoding/json does.
const maxDepth = 10_000

// space passes over blanks and returns the byte behind them, 0 at the end.
func (s *scanner) space() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// end reports whether only blanks are left.
func (s *scanner) end() bool { return !s.bad && s.space() == 0 && s.at == len(s.text) }

// pass passes over a byte that must come next.
func (s *scanner) pass(c byte) bool {
	if s.bad || s.space() != c || s.at == len(s.text) {
		s.bad = true
		return false
	}
	s.at++
	return true
}

// value passes over a value and returns its text, nil if it is not valid.
func (s *scanner) value(depth int) []byte {
	c := s.space()
	start := s.at
	switch {
	case c == '"':
		s.string()
	case c == '{' || c == '[':
		s.composed(c, depth+1)
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	default:
		s.number()
	}
	if s.bad {
		return nil
	}
	return s.text[start:s.at:s.at]
}

// composed passes over an object or an array.
func (s *scanner) composed(open byte, depth int) {
	if depth > maxDepth {
		s.bad = true
		return
	}
	s.at++
	for n := 0; s.more(open, n); n++ {
		if open == '{' && !s.key() {
			return
		}
		s.value(depth)
	}
}

// more reports whether another item comes, the n-th, in what open has opened. It
// passes over the comma before it, or over the end.
func (s *scanner) more(open byte, n int) bool {
	switch {
	case s.bad:
		return false
	case s.space() == open+2: // '[' and ']', '{' and '}' are two apart
		s.at++
		return false
	}
	return n == 0 || s.pass(',')
}

// key passes over a key and the colon behind it.
func (s *scanner) key() bool {
	if s.space() != '"' {
		s.bad = true
		return false
	}
	s.string()
	return s.pass(':')
}

// string passes over a string, which begins here.
func (s *scanner) string() {
	s.at++
	for {
		s.at += words.PlainPrefix(s.text[s.at:])
		if s.at == len(s.text) || s.text[s.at] < ' ' {
			s.bad = true
			return
		}
		s.at++
		switch s.text[s.at-1] {
		case '"':
			return
		case '\\':
			if !s.escape() {
				s.bad = true
				return
			}
		}
	}
}

// escape passes over what stands behind a backslash.
func (s *scanner) escape() bool {
	rest := s.text[s.at:]
	if len(rest) == 0 {
		return false
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
		if len(rest) < 5 {
			return false
		}
		for _, c := range rest[1:5] {
			if !('0' <= c && c <= '9' || 'a' <= c|' ' && c|' ' <= 'f') {
				return false
			}
		}
		s.at += 5
		return true
	}
	return false
}

func (s *scanner) word(w string) {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		s.bad = true
		return
	}
	s.at += len(w)
}

func (s *scanner) number() {
	s.one('-', '-')
	if !s.one('0', '0') {
		s.digits()
	}
	if s.one('.', '.') {
		s.digits()
	}
	if s.one('e', 'E') {
		s.one('+', '-')
		s.digits()
	}
}

// one passes over a byte that is a or b, and reports whether it is there.
func (s *scanner) one(a, b byte) bool {
	if s.at == len(s.text) || s.text[s.at] != a && s.text[s.at] != b {
		return false
	}
	s.at++
	return true
}

// digits passes over digits, of which there must be one.
func (s *scanner) digits() {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	s.bad = s.bad || s.at == start
}

// members yields the keys, unquoted, and the values of an object; of anything
// else nothing, and as many as there are where it is not valid. Valid says in the
// end whether the whole text was.
func (p *Parser) members(object []byte, valid *bool) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := scanner{text: object}
		defer func() { *valid = s.end() }()
		if s.space() != '{' {
			s.value(0)
			return
		}
		s.at++
		for n := 0; s.more('{', n); n++ {
			s.space()
			start := s.at
			if !s.key() {
				return
			}
			end := s.at - 1 // of the colon; blanks may stand before it
			for s.text[end-1] != '"' {
				end--
			}
			value := s.value(1)
			if value == nil || !yield(p.unquote(s.text[start:end]), value) {
				return
			}
		}
	}
}

// items yields what stands in an array that is known to be valid.
func items(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{text: array, at: 1}
		for n := 0; s.more('[', n); n++ {
			if !yield(s.value(1)) {
				return
			}
		}
	}
}

package format

import (
	"bytes"
	"iter"
)

// members yields the keys, unquoted, and the values of a JSON object that is
// known to be valid; of anything else nothing.
func (p *Parser) members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var key []byte // nil: a key comes next
		for item := range items(object) {
			if key == nil {
				if key = p.unquote(item); key == nil {
					return // an array
				}
				continue
			}
			if !yield(key, item) {
				return
			}
			key = nil
		}
	}
}

// items yields what stands in a valid object or array, keys and values alike.
func items(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		text = bytes.TrimLeft(text, " \t\r\n")
		if len(text) == 0 || text[0] != '{' && text[0] != '[' {
			return
		}
		for text = text[1:]; ; {
			text = bytes.TrimLeft(text, " \t\r\n,:")
			if text[0] == '}' || text[0] == ']' {
				return
			}
			n := valueLen(text)
			if !yield(text[:n:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// valueLen returns the length of the valid value at the front of text.
func valueLen(text []byte) int {
	depth := 0
	for i := 0; ; {
		switch text[i] {
		case '"':
			i += stringLen(text[i:])
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			if n := bytes.IndexAny(text[i:], ",:]} \t\r\n\""); n > 0 || depth > 0 {
				i += max(n, 1)
			} else {
				i = len(text)
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// stringLen returns the length of the valid string at the front of text, its
// quotes included.
func stringLen(text []byte) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

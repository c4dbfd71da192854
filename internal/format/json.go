package format

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendJSON appends ev as one JSON object and a newline. It is a [Func].
//
// The output is valid JSON in valid UTF-8 whatever the event holds, has no
// member twice, and the bytes of every string can be got back from it: where
// KEY is not valid UTF-8, it has U+FFFD for each byte that is wrong, and
// KEY_hex, directly behind it, has all of the bytes in upper-case hex (for a
// list: a list of them). Control characters are escaped as \uXXXX, DEL and
// U+0080 to U+009F too, so that a line may be shown on a terminal; so are
// U+2028 and U+2029, which end a line for many a reader of lines, and all
// characters that turn the direction of writing or are not seen, with which a
// path looks like another one.
//
// A member of "extra" is named by the key of the record. A key that is odd (not
// only printable ASCII, or with one of # " \ in it, or _hex at its end) becomes
// # and its bytes in upper-case hex. Where the record has the same key again,
// and behind the 64th in any case, # and the position among the extra keys
// follow, counted from 1. So a, a#3 and #610A never clash, and keys and values
// can be got back.
func AppendJSON(dst []byte, ev *ipe.Event, c *Context) []byte {
	start := len(dst)
	dst = appendJSONKeys(dst, ev, c)
	dst[start] = '{' // in place of the first comma: there is always an "event"
	return append(dst, '}', '\n')
}

// AppendJSONText appends one more member of an object, comma first: a string
// and, where it is not valid UTF-8, KEY_hex behind it, as in AppendJSON. The key
// is one of ours. A nil string is absent.
func AppendJSONText(dst []byte, key string, s []byte) []byte {
	if s == nil {
		return dst
	}
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return jsonText(dst, key, s)
}

// jsonText appends what follows the opening quote of the string of a key: s, the
// closing quote and, where it is needed, KEY_hex.
func jsonText(dst []byte, key string, s []byte) []byte {
	if words.IsPlain(s) {
		return append(append(dst, s...), '"')
	}
	dst, valid := appendJSONString(dst[:len(dst)-1], s)
	if !valid {
		dst = appendJSONHex(appendHexKey(dst, key), s)
	}
	return dst
}

// appendHexKey appends the member name KEY_hex.
func appendHexKey(dst []byte, key string) []byte {
	return append(append(append(dst, `,"`...), key...), `_hex":`...)
}

// jsonList appends list and, where it is needed, KEY_hex.
func jsonList(dst []byte, key string, list [][]byte) []byte {
	dst, valid := appendJSONList(dst, list)
	if !valid {
		dst = appendJSONHexList(appendHexKey(dst, key), list)
	}
	return dst
}

// appendJSONContexts appends the list of the words of a set, which is not empty.
func appendJSONContexts(dst []byte, c ipe.Contexts) []byte {
	start := len(dst)
	for word := range c.All {
		dst = append(append(append(dst, `,"`...), word...), '"')
	}
	dst[start] = '['
	return append(dst, ']')
}

// jsonExtra appends the object of the keys that nobody knows.
func jsonExtra(dst []byte, _ string, extra []ipe.KeyValue) []byte { return appendJSONExtra(dst, extra) }

// appendJSONString appends s in quotes and reports whether it is valid UTF-8.
func appendJSONString(dst, s []byte) ([]byte, bool) {
	valid := true
	dst = append(dst, '"')
	for {
		n := words.PlainPrefix(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			return append(dst, '"'), valid
		}
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0xa0:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[r>>4], lowerHex[r&15])
		case r == utf8.RuneError && n == 1:
			dst = append(dst, "\uFFFD"...)
			valid = false
		case words.Invisible(r):
			if r > 0xffff {
				var high rune
				high, r = utf16.EncodeRune(r)
				dst = words.AppendEscape(dst, 'u', uint32(high), 4)
			}
			dst = words.AppendEscape(dst, 'u', uint32(r), 4)
		default:
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
}

func appendJSONHex(dst, b []byte) []byte {
	return append(appendHex(append(dst, '"'), b), '"')
}

// appendJSONList appends list and reports whether all of it is valid UTF-8.
func appendJSONList(dst []byte, list [][]byte) ([]byte, bool) {
	valid := true
	sep := byte('[')
	for _, b := range list {
		var ok bool
		dst, ok = appendJSONString(append(dst, sep), b)
		valid = valid && ok
		sep = ','
	}
	return append(dst, ']'), valid
}

func appendJSONHexList(dst []byte, list [][]byte) []byte {
	sep := byte('[')
	for _, b := range list {
		dst = appendJSONHex(append(dst, sep), b)
		sep = ','
	}
	return append(dst, ']')
}

// maxExtraCompared bounds the search for keys that a record has twice: one in a
// file may have ten thousands of keys.
const maxExtraCompared = 64

func appendJSONExtra(dst []byte, extra []ipe.KeyValue) []byte {
	sep := byte('{')
	for i, kv := range extra {
		dst = append(dst, sep, '"')
		sep = ','
		name := len(dst)
		if plainKey(kv.Key) {
			dst = append(dst, kv.Key...)
		} else {
			dst = appendHex(append(dst, '#'), kv.Key)
		}
		if i >= maxExtraCompared || hasKey(extra[:i], kv.Key) {
			dst = strconv.AppendInt(append(dst, '#'), int64(i+1), 10)
		}
		end := len(dst)
		var valid bool
		dst, valid = appendJSONString(append(dst, '"', ':'), kv.Value)
		if !valid {
			dst = append(dst, ',', '"')
			dst = append(dst, dst[name:end]...)
			dst = appendJSONHex(append(dst, `_hex":`...), kv.Value)
		}
	}
	return append(dst, '}')
}

// plainKey reports whether k as it is can name a member of "extra".
func plainKey(k []byte) bool {
	return len(k) != 0 && words.PlainPrefix(k) == len(k) &&
		bytes.IndexByte(k, '#') < 0 && !bytes.HasSuffix(k, []byte("_hex"))
}

func hasKey(extra []ipe.KeyValue, key []byte) bool {
	for _, kv := range extra {
		if bytes.Equal(kv.Key, key) {
			return true
		}
	}
	return false
}

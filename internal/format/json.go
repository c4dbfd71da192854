package format

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendJSON appends ev as one JSON object and a newline. It is a [Func].
//
// The output is valid JSON in valid UTF-8 whatever the event holds, has no
// member twice, and the bytes of every string can be got back from it: where
// KEY is not valid UTF-8, it has U+FFFD for each byte that is wrong, and
// KEY_hex, directly behind it, all of its bytes in upper-case hex. A list has a
// list of hex strings as its KEY_hex. Control characters are escaped as \u00XX,
// DEL and those of Latin-1 (U+0080 to U+009F) too, so that a line may be shown
// on a terminal.
//
// A member of "extra" is named by the key of the record. A key that is odd, not
// of printable ASCII only, with one of # " \ in it or "_hex" at its end, is
// written as # and its bytes in upper-case hex. When the record has a key again
// the later ones get # and their position among the extra keys, counted from 1;
// behind the 64th all get it. So k, k#3 and #6B220A never clash, and
// the bytes of each key can be told from its name.
func AppendJSON(dst []byte, ev *ipe.Event, c *Context) []byte {
	start := len(dst)
	for i := range table {
		v := table[i].value(ev, c)
		if v.kind == kindAbsent {
			continue
		}
		dst = append(dst, jsonKeys[i]...)
		valid := true
		switch v.kind {
		case kindText:
			dst, valid = appendJSONString(dst, v.text)
		case kindWord:
			dst, _ = appendJSONString(dst, v.word)
		case kindInstant, kindHex32:
			dst = append(dst, '"')
			dst = appendScalar(dst, v)
			dst = append(dst, '"')
		case kindList:
			dst, valid = appendJSONList(dst, ev.RuleProperties)
		case kindObject:
			dst = appendJSONExtra(dst, ev.Extra)
		default:
			dst = appendScalar(dst, v)
		}
		if valid {
			continue
		}
		dst = append(dst, `,"`...)
		dst = append(dst, table[i].name...)
		dst = append(dst, `_hex":`...)
		if v.kind == kindList {
			dst = appendJSONHexList(dst, ev.RuleProperties)
		} else {
			dst = appendJSONHex(dst, v.text)
		}
	}
	dst[start] = '{' // it was a comma: there is always an "event"
	return append(dst, "}\n"...)
}

// jsonKeys is table's names, each as it stands in an object.
var jsonKeys = func() (keys [numKeys]string) {
	for i := range table {
		keys[i] = `,"` + table[i].name + `":`
	}
	return keys
}()

// appendScalar appends a number, boolean, instant or hex32, all of them ASCII.
func appendScalar(dst []byte, v value) []byte {
	switch v.kind {
	case kindNumber:
		return strconv.AppendUint(dst, v.num, 10)
	case kindSigned:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case kindBoolean:
		return strconv.AppendBool(dst, v.num != 0)
	case kindInstant:
		return appendInstant(dst, int64(v.num))
	case kindHex32:
		for shift := 28; shift >= 0; shift -= 4 {
			dst = append(dst, "0123456789abcdef"[v.num>>shift&15])
		}
	}
	return dst
}

// appendJSONString appends s in quotes and reports whether it is valid UTF-8.
func appendJSONString[T string | []byte](dst []byte, s T) ([]byte, bool) {
	valid := true
	dst = append(dst, '"')
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		c := s[i]
		if c-0x20 < 0x7f-0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		if c == '"' || c == '\\' {
			dst = append(dst, s[done:i]...)
			dst = append(dst, '\\', c)
			i++
			done = i
			continue
		}
		r, n := decodeRune(s[i:])
		if r >= 0xa0 && (r != utf8.RuneError || n != 1) {
			i += n
			continue
		}
		dst = append(dst, s[done:i]...)
		if r == utf8.RuneError {
			dst = append(dst, "\uFFFD"...)
			valid = false
		} else {
			dst = append(dst, '\\', 'u', '0', '0', upperHex[r>>4], upperHex[r&15])
		}
		i += n
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"'), valid
}

// decodeRune is utf8.DecodeRune for both.
func decodeRune[T string | []byte](s T) (rune, int) {
	var buf [utf8.UTFMax]byte
	return utf8.DecodeRune(buf[:copy(buf[:], s)])
}

const upperHex = "0123456789ABCDEF"

// appendHex appends b in upper-case hex.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

func appendJSONHex(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = appendHex(dst, b)
	return append(dst, '"')
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

// maxExtraCompared bounds the search for keys that a record has twice: a
// record of a file may have ten thousands of keys.
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
		dst, valid = appendJSONString(append(dst, `":`...), kv.Value)
		if !valid {
			dst = append(dst, `,"`...)
			dst = append(dst, dst[name:end]...)
			dst = appendJSONHex(append(dst, `_hex":`...), kv.Value)
		}
	}
	return append(dst, '}')
}

// plainKey reports whether k can be the name of a member of extra as it is.
func plainKey(k []byte) bool {
	for _, c := range k {
		if c <= ' ' || c > '~' || c == '#' || c == '"' || c == '\\' {
			return false
		}
	}
	return len(k) != 0 && !bytes.HasSuffix(k, []byte("_hex"))
}

func hasKey(extra []ipe.KeyValue, key []byte) bool {
	for _, kv := range extra {
		if bytes.Equal(kv.Key, key) {
			return true
		}
	}
	return false
}

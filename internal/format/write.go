package format

import "github.com/ipe-auditd/ipe-auditd/pkg/ipe"

// word is a value with a few names, such as a verdict.
type word interface {
	~uint8
	String() string
}

// membersOf returns what stands in an event for each word of a type: before, the
// word, after. It is empty for the word that has no name.
func membersOf[T word](before, after string) (list []string) {
	for w := T(0); w == 0 || w.String() != ""; w++ {
		member := w.String()
		if member != "" {
			member = before + member + after
		}
		list = append(list, member)
	}
	return list
}

// memberOf returns the member for w, and an empty one for a value nobody defined.
func memberOf[T word](list []string, w T) string {
	if int(w) < len(list) {
		return list[w]
	}
	return ""
}

// appendUint appends n in decimal: strconv.AppendUint for one base, which is faster
// as it needs no buffer to write the digits backwards.
func appendUint(dst []byte, n uint64) []byte {
	high, low := n/100, n%100
	switch {
	case n < 10:
		return append(dst, '0'+byte(n))
	case n < 100:
		return append(dst, tens[n], ones[n])
	case n < 1000:
		return append(dst, '0'+byte(high), tens[low], ones[low])
	case n >= 10000:
		dst = appendUint(dst, n/10000)
		high %= 100
	}
	return append(dst, tens[high], ones[high], tens[low], ones[low])
}

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendUint(append(dst, '-'), -uint64(n))
	}
	return appendUint(dst, uint64(n))
}

// hexID writes ids. It remembers the last one, since nearly all events of a
// spool have the same. The zero value is ready to use.
type hexID struct {
	id   uint64
	text [16]byte // of id, unless that is 0
}

// append appends id as 16 digits.
func (h *hexID) append(dst []byte, id uint64) []byte {
	if h.id != id || id == 0 {
		h.id = id
		appendHex64(h.text[:0], id)
	}
	return append(dst, h.text[:]...)
}

// appendJoined appends values with a blank between two.
func appendJoined(dst []byte, list [][]byte) []byte {
	for i, b := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, b...)
	}
	return dst
}

// appendJoinedExtra appends extra keys as key=value, with a blank between two.
func appendJoinedExtra(dst []byte, extra []ipe.KeyValue) []byte {
	for i, kv := range extra {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(dst, kv.Key...), '=')
		dst = append(dst, kv.Value...)
	}
	return dst
}

// appendContexts appends the words of a set with a blank between two.
func appendContexts(dst []byte, c ipe.Contexts) []byte {
	before := ""
	for word := range c.All {
		dst = append(append(dst, before...), word...)
		before = " "
	}
	return dst
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// appendHex appends b in upper-case hex.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

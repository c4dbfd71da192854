package format

import (
	"encoding/binary"
	"unicode/utf8"
)

// Wire types of protobuf (protobuf.dev, "Encoding").
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

func appendTag(dst []byte, field, wire uint64) []byte {
	return binary.AppendUvarint(dst, field<<3|wire)
}

func appendVarintField(dst []byte, field, n uint64) []byte {
	return binary.AppendUvarint(appendTag(dst, field, wireVarint), n)
}

func appendFixed64Field(dst []byte, field, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(dst, field, wireFixed64), n)
}

// appendStringField appends a string that is valid UTF-8.
func appendStringField(dst []byte, field uint64, s string) []byte {
	dst = binary.AppendUvarint(appendTag(dst, field, wireBytes), uint64(len(s)))
	return append(dst, s...)
}

// openField begins a field with a length: everything that is appended until
// closeField is called with at.
func openField(dst []byte, field uint64) (_ []byte, at int) {
	dst = append(appendTag(dst, field, wireBytes), 0)
	return dst, len(dst)
}

// closeField puts the length in. One byte is there for it; what is longer moves.
func closeField(dst []byte, at int) []byte {
	n := len(dst) - at
	if n < 0x80 {
		dst[at-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size-1]...) // to make room
	copy(dst[at+size-1:], dst[at:at+n])
	copy(dst[at-1:], length[:size])
	return dst
}

// appendTextField appends b as AnyValue.string_value, with U+FFFD for each byte that
// is not valid UTF-8, as the form demands, and reports whether there was none.
func appendTextField(dst, b []byte) (_ []byte, valid bool) {
	if utf8.Valid(b) {
		dst = binary.AppendUvarint(appendTag(dst, 1, wireBytes), uint64(len(b)))
		return append(dst, b...), true
	}
	dst, at := openField(dst, 1)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		dst = utf8.AppendRune(dst, r)
		b = b[n:]
	}
	return closeField(dst, at), false
}

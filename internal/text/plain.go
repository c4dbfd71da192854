package text

import "encoding/binary"

// notPlain has the high bit of a byte set where that byte of x is not plain. A borrow may set it in the next byte too,
// but it comes from one that is not plain.
func notPlain(x uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (x | (x - ' '*ones) | (x + ones) | ((x ^ '"'*ones) - ones) | ((x ^ '\\'*ones) - ones)) & high
}

// IsPlain reports whether all of s is printable ASCII without quotes and backslashes. It looks at eight bytes at a time, and
// twice at some of them rather than at the last ones one by one.
func IsPlain(s []byte) bool {
	n := len(s)
	switch {
	case n >= 8:
		found := notPlain(binary.LittleEndian.Uint64(s[n-8:]))
		for ; len(s) > 8; s = s[8:] {
			found |= notPlain(binary.LittleEndian.Uint64(s))
		}
		return found == 0
	case n >= 4:
		return notPlain(uint64(binary.LittleEndian.Uint32(s))<<32|uint64(binary.LittleEndian.Uint32(s[n-4:]))) == 0
	}
	return PlainPrefix(s) == n
}

// PlainPrefix returns how many bytes at the start of s are plain, as IsPlain says it.
func PlainPrefix(s []byte) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if notPlain(binary.LittleEndian.Uint64(s[i:])) != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

package auditrec

// AppendHex appends the bytes that text spells in the kernel's hex: upper
// case, two digits for each byte, at least one byte. When ok is false, text is
// no such hex and dst is returned as it was.
func AppendHex(dst, text []byte) (_ []byte, ok bool) {
	if len(text) == 0 || len(text)%2 != 0 {
		return dst, false
	}
	n := len(dst)
	for i := 0; i < len(text); i += 2 {
		hi, lo := unhex[text[i]], unhex[text[i+1]]
		if (hi|lo)&0xf0 != 0 {
			return dst[:n], false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

// AppendUntrusted appends str as the kernel prints an untrusted string: between
// quotes, or in hex where it has a byte that is not printable ASCII, a blank or a
// quote (audit_string_contains_control, kernel/audit.c).
func AppendUntrusted(dst, str []byte) []byte {
	for _, c := range str {
		if c == '"' || c < 0x21 || c > 0x7e {
			for _, c := range str {
				dst = append(dst, upperHex[c>>4], upperHex[c&15])
			}
			return dst
		}
	}
	return append(append(append(dst, '"'), str...), '"')
}

// unhex is the value of an upper-case hex digit, and 0xff for other bytes.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range upperHex {
		t[c] = byte(i)
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

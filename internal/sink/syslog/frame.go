package syslog

import "strconv"

// appendCounted appends msg as a frame of octet counting: RFC 6587 section 3.4.1.
func appendCounted(dst, msg []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(msg)), 10)
	return append(append(dst, ' '), msg...)
}

// appendLine appends msg as a frame that a newline ends: RFC 6587 section 3.4.2.
// There some receivers let other control bytes end a frame as well, so a blank
// stands for each of them. What format.Syslog makes has none.
func appendLine(dst, msg []byte) []byte {
	for _, c := range msg {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	return append(dst, '\n')
}

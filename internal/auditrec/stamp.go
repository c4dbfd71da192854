package auditrec

import (
	"bytes"
	"math"
)

// Stamp says when the kernel began the audit event, and which one it was. All
// records of one system call have the same stamp.
type Stamp struct {
	Time   int64  // milliseconds since 1970 UTC
	Serial uint64 // 32 bit in the kernel, audit_serial in kernel/audit.c
}

// CutStamp cuts the stamp off the front of a record. Without a valid stamp ok
// is false and body is the whole text. The body is a view of text.
func CutStamp(text []byte) (s Stamp, body []byte, ok bool) {
	const prefix = "audit("
	if len(text) < len(prefix) || string(text[:len(prefix)]) != prefix {
		return Stamp{}, text, false
	}
	sec, i := digits(text, len(prefix))
	if i == len(prefix) || sec > math.MaxInt64/1000-1 || i >= len(text) || text[i] != '.' {
		return Stamp{}, text, false
	}
	msec, j := digits(text, i+1)
	if j != i+4 || j >= len(text) || text[j] != ':' {
		return Stamp{}, text, false
	}
	serial, k := digits(text, j+1)
	if k == j+1 || k+1 >= len(text) || text[k] != ')' || text[k+1] != ':' {
		return Stamp{}, text, false
	}
	body = text[k+2:]
	if len(body) > 0 && body[0] == ' ' {
		body = body[1:]
	}
	return Stamp{Time: int64(sec)*1000 + int64(msec), Serial: serial}, body, true
}

// digits reads the decimal digits of text from i on and returns the number and
// the index behind it. More digits than surely fit are as good as none.
func digits(text []byte, i int) (n uint64, end int) {
	for end = i; end < len(text); end++ {
		d := text[end] - '0'
		if d > 9 {
			break
		}
		n = n*10 + uint64(d)
	}
	if end-i > 19 {
		return 0, i
	}
	return n, end
}

// TrimEnd cuts off what transports append to a record: NULs, line ends,
// blanks, and what [CutInterpretation] cuts.
func TrimEnd(text []byte) []byte {
	return trimEnd(CutInterpretation(trimEnd(text)))
}

// CutInterpretation cuts off the interpreted fields that auditd writes behind a
// group separator (0x1d) with log_format=ENRICHED, whose keys are in upper case
// (audit-userspace, src/auditd-event.c, format_enrich). The last of them may be
// torn. A group separator inside of a raw policy name is no end: fields of the
// kernel follow it, and their keys are in lower case.
func CutInterpretation(text []byte) []byte {
	if bytes.IndexByte(text, groupSeparator) < 0 { // much faster than LastIndexByte
		return text
	}
	if i := bytes.LastIndexByte(text, groupSeparator); interpreted(trimEnd(text[i+1:])) {
		return text[:i]
	}
	return text
}

func trimEnd(text []byte) []byte {
	for len(text) > 0 {
		switch text[len(text)-1] {
		case 0, '\n', '\r', ' ':
			text = text[:len(text)-1]
		default:
			return text
		}
	}
	return text
}

// groupSeparator is AUDIT_INTERP_SEPARATOR of libaudit.h.
const groupSeparator = 0x1d

// interpreted reports whether text consists of fields with upper-case keys.
func interpreted(text []byte) bool {
	for {
		key, rest, ok := CutKey(text)
		if !ok {
			return len(key) == 0
		}
		for _, c := range key {
			if 'a' <= c && c <= 'z' {
				return false
			}
		}
		if _, text, ok = CutValue(rest); !ok {
			return true // torn
		}
	}
}

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
	sec, rest := cutDigits(text[len(prefix):])
	if len(rest) < 5 || rest[0] != '.' || rest[4] != ':' {
		return Stamp{}, text, false
	}
	frac := rest[1:4]
	serial, rest := cutDigits(rest[5:])
	if len(rest) < 2 || rest[0] != ')' || rest[1] != ':' {
		return Stamp{}, text, false
	}
	secs, ok1 := Uint(sec)
	msec, ok2 := Uint(frac)
	s.Serial, ok = Uint(serial)
	if !ok1 || !ok2 || !ok || secs > math.MaxInt64/1000-1 {
		return Stamp{}, text, false
	}
	s.Time = int64(secs)*1000 + int64(msec)
	body = rest[2:]
	if len(body) > 0 && body[0] == ' ' {
		body = body[1:]
	}
	return s, body, true
}

// TrimEnd cuts off what transports append to a record: NULs, line ends,
// blanks, and the interpreted fields that auditd writes behind a group
// separator (0x1d) with log_format=ENRICHED, whose keys are in upper case. A
// group separator inside of a raw policy name is no end: fields of the kernel
// follow it, and their keys are in lower case.
func TrimEnd(text []byte) []byte {
	if i := bytes.IndexByte(text, groupSeparator); i >= 0 {
		i = bytes.LastIndexByte(text, groupSeparator)
		if interpreted(text[i+1:]) {
			text = text[:i]
		}
	}
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
	key, rest, ok := CutKey(text)
	if !ok {
		return false
	}
	for ok {
		for _, c := range key {
			if 'a' <= c && c <= 'z' {
				return false
			}
		}
		if _, rest, ok = CutValue(rest); !ok {
			return false
		}
		key, rest, ok = CutKey(rest)
	}
	return true
}

// cutDigits cuts the decimal digits off the front of text.
func cutDigits(text []byte) (digits, rest []byte) {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

package otlp

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxResponse is how much of an answer is read, in bytes.
const maxResponse = 64 << 10

// number and text find a field of a message by its number; the last one counts. ok is
// false for what is no message.
func find(b []byte, number uint64) (n uint64, text []byte, ok bool) {
	for len(b) > 0 {
		tag, size := binary.Uvarint(b)
		if size <= 0 {
			return 0, nil, false
		}
		b = b[size:]
		var value uint64
		var content []byte
		switch tag & 7 {
		case 0:
			value, size = binary.Uvarint(b)
		case 1:
			size = 8
		case 2:
			length, m := binary.Uvarint(b)
			if m <= 0 || length > uint64(len(b)-m) {
				return 0, nil, false
			}
			content, size = b[m:m+int(length)], m+int(length)
		case 5:
			size = 4
		default:
			return 0, nil, false
		}
		if size <= 0 || size > len(b) {
			return 0, nil, false
		}
		b = b[size:]
		if tag>>3 == number {
			n, text = value, content
		}
	}
	return n, text, true
}

// rejected reads an ExportLogsServiceResponse: how many records the receiver did not
// take, and why. A partial_success that is there and empty is a full success; what is
// no such message says nothing.
func rejected(body []byte) (n uint64, why string) {
	_, partial, ok := find(body, 1) // partial_success
	if !ok || len(partial) == 0 {
		return 0, ""
	}
	n, _, ok = find(partial, 1) // rejected_log_records, an int64
	if !ok || n > math.MaxInt64 {
		return 0, ""
	}
	_, text, _ := find(partial, 2) // error_message
	return n, printable(text)
}

// message returns what a receiver says about a failure: the text of a
// google.rpc.Status where that is the form of the answer, else its first line.
func message(contentType string, body []byte) string {
	if strings.HasPrefix(contentType, contentTypeProtobuf) {
		_, text, _ := find(body, 2) // Status.message
		return printable(text)
	}
	return printable(body)
}

// printable returns the first line of what others wrote, fit for a log.
func printable(b []byte) string {
	const longest = 200
	s := strings.TrimSpace(string(b[:min(len(b), 4*longest)]))
	s, _, _ = strings.Cut(s, "\n")
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest]) + "..."
	}
	return strings.TrimSpace(s)
}

package nats

import (
	"bytes"
	"strconv"
)

// never are the members that are not left out.
var never = []string{"spool", "seq", "time", "event", "verdict", "host", "boot_id"}

// shorten appends an event in JSON to dst in at most limit bytes. What is too long is
// left out and not cut: a part of a path is another path. The longest members go
// first, and shortened says how many bytes are missing. It reports false where even
// that does not suffice, or line is not an object as format.AppendJSON writes it.
func shorten(dst, line []byte, limit int) ([]byte, bool) {
	members, ok := membersOf(line)
	if !ok {
		return dst, false
	}
	const mark = `,"shortened":`
	size := len(line) + len(mark) + len(strconv.Itoa(len(line)))
	missing := 0
	for size-missing > limit {
		longest := -1
		for i, m := range members {
			if m != nil && !stays(m) && (longest < 0 || len(m) > len(members[longest])) {
				longest = i
			}
		}
		if longest < 0 {
			return dst, false
		}
		missing += len(members[longest]) + 1 // and its comma
		members[longest] = nil
	}
	dst = append(dst, '{')
	comma := false
	for _, m := range members {
		if m == nil {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		dst, comma = append(dst, m...), true
	}
	dst = append(dst, mark...)
	dst = strconv.AppendInt(dst, int64(missing), 10)
	return append(dst, '}'), true
}

func stays(member []byte) bool {
	for _, name := range never {
		if bytes.HasPrefix(member, []byte(`"`+name+`":`)) {
			return true
		}
	}
	return false
}

// membersOf returns the members of an object without white space.
func membersOf(line []byte) (members [][]byte, ok bool) {
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return nil, false
	}
	body := line[1 : len(line)-1]
	depth, quoted, begin := 0, false, 0
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			members = append(members, body[begin:i])
			begin = i + 1
		}
	}
	return append(members, body[begin:]), !quoted && depth == 0 && len(body) > 0
}

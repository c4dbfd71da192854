package syslog

import (
	"bytes"
	"unicode/utf8"
)

// cutMark stands at the end of a MSG that was cut.
const cutMark = " [cut]"

// cut returns msg in at most limit bytes, which must be enough for a header. A
// message of RFC 5424 keeps its header and whole parameters of structured data,
// if necessary without the longest ones, which a parameter "cut" then names.
func cut(msg []byte, limit int) []byte {
	head, params, text := split(msg)
	out := append(make([]byte, 0, limit), head...)
	excess := len(head) + len("] ") + len(cutMark) - limit
	for _, p := range params {
		excess += len(p)
	}
	var dropped []byte
	if excess > 0 {
		excess += len(` cut=""`)
	}
	for excess > 0 && len(params) > 0 {
		i := longest(params)
		name, _, _ := bytes.Cut(params[i][1:], []byte("="))
		if len(dropped) > 0 {
			dropped = append(dropped, ' ')
		}
		dropped = append(dropped, name...)
		excess += len(name) + 1 - len(params[i])
		params = append(params[:i], params[i+1:]...)
	}
	for _, p := range params {
		out = append(out, p...)
	}
	if dropped != nil {
		out = append(out, ` cut="`...)
		out = append(out, dropped...)
		out = append(out, '"')
	}
	if len(out)+len(text) <= limit {
		return append(out, text...)
	}
	n := max(0, limit-len(out)-len(cutMark))
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	out = append(out, text[:n]...)
	return append(out, cutMark...)
}

func longest(params [][]byte) (i int) {
	for j, p := range params {
		if len(p) > len(params[i]) {
			i = j
		}
	}
	return i
}

// split takes a message of RFC 5424 section 6 with one element of structured
// data apart: head ends after its SD-ID, each parameter begins with its blank,
// text begins with the closing bracket. Any other message is text.
func split(msg []byte) (head []byte, params [][]byte, text []byte) {
	pri := bytes.IndexByte(msg, '>')
	if !bytes.HasPrefix(msg[pri+1:], []byte("1 ")) {
		return nil, nil, msg
	}
	n := pri + 1
	for range 6 { // VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID
		n += bytes.IndexByte(msg[n:], ' ') + 1
	}
	if n == len(msg) || msg[n] != '[' {
		return nil, nil, msg
	}
	n += max(0, bytes.IndexAny(msg[n:], " ]"))
	head = msg[:n]
	for n < len(msg) && msg[n] == ' ' {
		end := parameterEnd(msg, n)
		params = append(params, msg[n:end])
		n = end
	}
	return head, params, msg[n:]
}

// parameterEnd returns where the parameter that begins at n ends: behind the
// second quote that has no backslash before it.
func parameterEnd(msg []byte, n int) int {
	for quotes := 0; n < len(msg); n++ {
		switch msg[n] {
		case '\\':
			n++
		case '"':
			if quotes++; quotes == 2 {
				return n + 1
			}
		}
	}
	return len(msg)
}

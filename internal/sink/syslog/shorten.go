package syslog

import (
	"bytes"
	"slices"
	"sort"
	"strconv"
	"unicode/utf8"
)

const (
	// LeastMessage is the smallest limit of a message in octets. RFC 5424 section
	// 6.1 has every receiver take that much, and what is never left out fits.
	LeastMessage = 480

	// wholeValue is how long a value may be and is still never cut, so that no
	// number, time or word ever is: a part of it would be another one.
	wholeValue = 64
)

// What says in a message how many octets are missing.
const (
	paramMark    = ` shortened="`
	textMark     = `[shortened="`
	endParamMark = `"`
	endTextMark  = `"]`
)

// shorten appends msg to dst in at most limit octets, for a limit of at least
// LeastMessage. Its longest values and MSG are cut to one length, each where a
// character, an escape or an octet in hex ends. Where that does not suffice,
// parameters are left out, from the end of the line on. What identifies the event
// stays as it is.
//
// A parameter shortened="N" says how many octets are missing, and so does the end
// of MSG, where that was cut or there are no parameters.
func shorten(dst, msg []byte, limit int) []byte {
	head, params, text := split(msg)
	params, text, missing := takeMarks(params, text)
	missing += len(head) + lengths(params) + len(text)
	room := limit - len(head) - len(textMark) - len(endTextMark) - digits(missing)
	if head != nil {
		room -= len(paramMark) + len(endParamMark) + digits(missing)
	}
	size := func(longest int) int {
		n := min(len(text), longest)
		for _, p := range params {
			n += len(p.name) + min(len(p.value), longest) + len(p.end)
		}
		return n
	}
	for size(wholeValue) > room {
		i := lastOptional(params)
		if i < 0 {
			break
		}
		params = slices.Delete(params, i, i+1)
	}
	marked := head == nil || size(wholeValue) <= room
	if !marked { // the parameter has to do
		text = text[:min(len(text), len("] "))]
	}
	longest := wholeValue + sort.Search(len(msg), func(n int) bool { return size(wholeValue+n+1) > room })

	begin := len(dst)
	dst = append(dst, head...)
	for _, p := range params {
		dst = append(append(append(dst, p.name...), p.cut(longest)...), p.end...)
	}
	kept := cutText(text, longest)
	missing -= len(dst) - begin + len(kept)
	if head != nil {
		dst = append(dst, paramMark...)
		dst = strconv.AppendInt(dst, int64(missing), 10)
		dst = append(dst, endParamMark...)
	}
	dst = append(dst, kept...)
	if marked && (head == nil || len(kept) < len(text)) {
		dst = append(dst, textMark...)
		dst = strconv.AppendInt(dst, int64(missing), 10)
		dst = append(dst, endTextMark...)
	}
	return dst
}

// takeMarks takes away what an earlier call has put in, and returns how many octets
// that had left out.
func takeMarks(params []param, text []byte) (_ []param, _ []byte, missing int) {
	number := func(b []byte) int {
		n, _ := strconv.Atoi(string(b))
		return max(n, 0)
	}
	if n := len(params); n > 0 && string(params[n-1].name) == paramMark {
		missing = number(params[n-1].value)
		params = params[:n-1]
	}
	if body, ok := bytes.CutSuffix(text, []byte(endTextMark)); ok {
		if i := bytes.LastIndex(body, []byte(textMark)); i >= 0 {
			if n := number(body[i+len(textMark):]); n > 0 && (missing == 0 || n == missing) {
				text, missing = text[:i], n
			}
		}
	}
	return params, text, missing
}

// param is a parameter of structured data.
type param struct {
	name  []byte // with the blank before it, and everything between it and the value
	value []byte // as it stands in the message
	end   []byte
}

func lengths(params []param) (n int) {
	for _, p := range params {
		n += len(p.name) + len(p.value) + len(p.end)
	}
	return n
}

func digits(n int) int { return len(strconv.Itoa(n)) }

// lastOptional returns the last parameter that may be left out, -1 if there is
// none.
func lastOptional(params []param) int {
	for i, p := range slices.Backward(params) {
		switch string(p.name) {
		case ` spool="`, ` seq="`, ` event="`, ` verdict="`:
		default:
			return i
		}
	}
	return -1
}

// cut returns at most longest octets of the value.
func (p *param) cut(longest int) []byte {
	if len(p.value) <= longest {
		return p.value
	}
	n := longest
	if bytes.HasSuffix(p.name, []byte(`_hex="`)) {
		return p.value[:n&^1]
	}
	for n > 0 && !utf8.RuneStart(p.value[n]) {
		n--
	}
	return p.value[:n-backslashes(p.value[:n])%2]
}

// backslashes returns how many there are at the end of b.
func backslashes(b []byte) int { return len(b) - len(bytes.TrimRight(b, `\`)) }

// cutText returns at most n octets of the text, which holds the escapes of a string
// of Go, and of structured data the end.
func cutText(text []byte, n int) []byte {
	if n >= len(text) {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	// The longest escape has ten octets: \U0010ffff.
	for i := n - 1; i >= max(0, n-9); i-- {
		if text[i] != '\\' {
			continue
		}
		if backslashes(text[:i+1])%2 != 0 && i+escapeLength(text[i:]) > n {
			n = i
		}
		break
	}
	return text[:n]
}

// escapeLength returns how long the escape is that b begins with.
func escapeLength(b []byte) int {
	switch b[1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// split takes a message of RFC 5424 section 6 with one element of structured
// data apart: head ends after its SD-ID, each parameter begins with its blank,
// text begins with the closing bracket. Any other message is text.
func split(msg []byte) (head []byte, params []param, text []byte) {
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
		begin, end := parameter(msg, n)
		if end < 0 {
			break
		}
		params = append(params, param{msg[n:begin], msg[begin : end-1], msg[end-1 : end]})
		n = end
	}
	return head, params, msg[n:]
}

// parameter returns where the value of the parameter at n begins, and what is
// behind its second quote, the first one that has no backslash before it; -1 if
// that is missing.
func parameter(msg []byte, n int) (value, end int) {
	for ; n < len(msg); n++ {
		switch {
		case msg[n] == '\\':
			n++
		case msg[n] == '"' && value > 0:
			return value, n + 1
		case msg[n] == '"':
			value = n + 1
		}
	}
	return value, -1
}

package nats

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// placeholders are what a subject may have in braces.
var placeholders = []string{"host", "event", "verdict"}

// maxSubject is how long a subject may be, in bytes, without what placeholders become.
const maxSubject = 200

// part is a piece of a subject: a placeholder, or text that stays as it is.
type part struct{ text, placeholder string }

// parseSubject takes a subject apart.
func parseSubject(s string) ([]part, error) {
	switch {
	case s == "":
		return nil, errors.New("an empty text is no subject; write ipe.{host}.{event}")
	case len(s) > maxSubject:
		return nil, fmt.Errorf("a subject may have %d bytes", maxSubject)
	}
	var parts []part
	rest := s
	for rest != "" {
		literal, behind, found := strings.Cut(rest, "{")
		if literal != "" {
			parts = append(parts, part{text: literal})
		}
		if rest = behind; !found {
			break
		}
		name, behind, found := strings.Cut(rest, "}")
		known := false
		for _, p := range placeholders {
			known = known || p == name
		}
		if !found || !known {
			return nil, fmt.Errorf("unknown placeholder in %s%s", text.Quote(s), text.DidYouMean(name, placeholders))
		}
		parts = append(parts, part{placeholder: name})
		rest = behind
	}
	for token := range strings.SplitSeq(pattern(parts), ".") {
		if token == "" {
			return nil, fmt.Errorf("%s has an empty part between its points", text.Quote(s))
		}
	}
	for _, p := range parts {
		if strings.ContainsFunc(p.text, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' || r == '>' || r == '}' }) {
			return nil, fmt.Errorf("%s has something else in it than letters, digits, points and placeholders", text.Quote(s))
		}
	}
	if strings.HasPrefix(s, "$") || strings.HasPrefix(s, "_INBOX.") {
		return nil, fmt.Errorf("%s is a subject of the server's own; begin it with a word of yours", text.Quote(s))
	}
	return parts, nil
}

// pattern returns a subject with * for each part that has a placeholder in it.
func pattern(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.placeholder != "" {
			b.WriteByte('*')
		}
		b.WriteString(p.text)
	}
	tokens := strings.Split(b.String(), ".")
	for i, t := range tokens {
		if strings.Contains(t, "*") {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// ownSubject returns what a stream that is made for a subject takes: everything that
// begins with its first word. Empty if that is a placeholder.
func ownSubject(parts []part) string {
	first, _, several := strings.Cut(pattern(parts), ".")
	switch {
	case first == "*":
		return ""
	case !several:
		return first
	}
	return first + ".>"
}

// Form returns a Func that appends a message to be published: its subject, a blank,
// its id, a newline and the payload, which is what f makes of the event, without the
// newline at its end. A subject that is wrong is an error.
func Form(subject string, f format.Func) (format.Func, error) {
	parts, err := parseSubject(subject)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, ev *ipe.Event, c *format.Context) []byte {
		for _, p := range parts {
			switch p.placeholder {
			case "":
				dst = append(dst, p.text...)
			case "host":
				dst = appendToken(dst, c.Host)
			case "event":
				dst = append(dst, ev.Kind.String()...)
			case "verdict":
				dst = appendToken(dst, []byte(ev.Verdict.String()))
			}
		}
		dst = append(dst, ' ')
		dst = c.AppendUID(dst, ev)
		dst = append(dst, '\n')
		dst = f(dst, ev, c)
		return bytes.TrimSuffix(dst, []byte("\n"))
	}, nil
}

// appendToken appends b as a part of a subject: other bytes than A-Z a-z 0-9 - _
// become _, and so does nothing.
func appendToken(dst, b []byte) []byte {
	if len(b) == 0 {
		return append(dst, '_')
	}
	for _, c := range b {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// errEntry says that an entry is not what Form makes.
var errEntry = errors.New("not a subject, an id and a payload")

// split takes apart what Form has put together. The id may be empty.
func split(entry []byte) (subject, id, payload []byte, err error) {
	head, payload, found := bytes.Cut(entry, []byte("\n"))
	subject, id, blank := bytes.Cut(head, []byte(" "))
	if !found || !blank || len(subject) == 0 {
		return nil, nil, nil, errEntry
	}
	return subject, id, payload, nil
}

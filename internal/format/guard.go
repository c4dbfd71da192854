package format

import (
	"bytes"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// everyReceiver is how long a message every receiver should take whole: RFC 5424
// section 6.1.
const everyReceiver = 2048

// guard is what is kept out of a message of syslog, so that the rest of one that a
// receiver has cut cannot be taken for a message of another program or host.
//
// Receivers have limits, and some of them make what is behind the limit a message
// of its own, as rsyslog does with maxMessageSize. Whoever chooses a path chooses
// its length too, and so where in it the cut is. A message begins with a priority,
// as in <13>, so no priority comes out of a value as it is, and the length of a
// frame cannot stand before one either. Without a priority, or behind it, rsyslog
// takes a first word that a blank follows for the name of a host, as in
// "host su: text" (tools/pmrfc3164.c). So in messages that are longer than every
// receiver takes, no value has a blank in it, and in the text every one stands in
// quotes, because there a blank may follow it.
//
// Only the rule keeps its blanks: who signs the policy wrote it.
type guard uint8

const (
	unguarded     guard = iota
	guardPriority       // no priority in a value: for messages of any length
	guardBlanks         // and no blank: for long ones
)

// forbids reports whether the first byte of b must not stand there as it is.
func (g guard) forbids(b []byte) bool {
	switch b[0] {
	case '<':
		return g >= guardPriority && len(b) > 1 && '0' <= b[1] && b[1] <= '9'
	case ' ':
		return g >= guardBlanks
	}
	return false
}

// forRule is the guard of a rule.
func (g guard) forRule() guard { return min(g, guardPriority) }

// guarded returns a Func that guards long messages more. How long one is shows
// only when it is there, so a long one is formatted twice.
func guarded(f func(dst []byte, ev *ipe.Event, c *Context, g guard) []byte) Func {
	return func(dst []byte, ev *ipe.Event, c *Context) []byte {
		start := len(dst)
		if dst = f(dst, ev, c, guardPriority); len(dst)-start > everyReceiver {
			dst = f(dst[:start], ev, c, guardBlanks)
		}
		return dst
	}
}

// letsPass reports whether nothing in b is forbidden. It may say no of a b that is
// all right.
func (g guard) letsPass(b []byte) bool {
	return (g < guardPriority || bytes.IndexByte(b, '<') < 0) && (g < guardBlanks || bytes.IndexByte(b, ' ') < 0)
}

// appendQuoted is text.AppendQuoted, and escapes what g forbids. Where that forbids
// blanks it always writes the quotes.
func appendQuoted(dst, b []byte, g guard) []byte {
	switch start := len(dst); {
	case g < guardBlanks && g.letsPass(b):
		return words.AppendQuoted(dst, b)
	case g >= guardBlanks:
		return words.InQuotes(appendGuarded(dst, b, true, g), start)
	default:
		dst = appendGuarded(dst, b, true, g)
		if len(b) == 0 || bytes.ContainsAny(dst[start:], ` "\`) {
			dst = words.InQuotes(dst, start)
		}
		return dst
	}
}

// appendEscaped appends b as it stands between quotes, or without any.
func appendEscaped(dst, b []byte, quoted bool) []byte {
	if quoted {
		return words.AppendInner(dst, b)
	}
	return words.AppendEscaped(dst, b)
}

// appendGuarded appends b as appendEscaped does, and what g forbids escaped too.
func appendGuarded(dst, b []byte, quoted bool, g guard) []byte {
	if g.letsPass(b) {
		return appendEscaped(dst, b, quoted)
	}
	start := 0
	for i := range b {
		if g.forbids(b[i:]) {
			dst = appendEscaped(dst, b[start:i], quoted)
			dst = words.AppendEscape(dst, 'x', uint32(b[i]), 2)
			start = i + 1
		}
	}
	return appendEscaped(dst, b[start:], quoted)
}

package format

import "github.com/ipe-auditd/ipe-auditd/pkg/ipe"

// AppendMessage is AppendText without the time and the newline, for places that
// have a time of their own. It is a [Func].
func AppendMessage(dst []byte, ev *ipe.Event, c *Context) []byte {
	return appendMessage(dst, ev, c, unguarded)
}

// appendMessage appends the text of ev without time and newline, for places
// that have a time of their own.
func appendMessage(dst []byte, ev *ipe.Event, c *Context, g guard) []byte {
	t := line{dst: dst, loc: c.Zone, guard: g}
	t.event(ev, c)
	return t.dst
}

package exec

import (
	"fmt"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	maxLine      = 1024 // bytes of a line that are logged
	maxLogMinute = 60   // lines
)

// lineLog is the standard error of the command.
type lineLog struct {
	log func(string)

	mu      sync.Mutex
	line    []byte
	cut     bool // line is longer than maxLine
	limit   limiter
	dropped int // lines since the limit was reached
}

func newLineLog(log func(string)) *lineLog {
	return &lineLog{log: log, limit: limiter{max: maxLogMinute, per: time.Minute}}
}

// Write takes any part of the output, and never fails: the command is not to be
// held up by what it says.
func (l *lineLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b {
		switch {
		case c == '\n':
			l.emit()
		case len(l.line) < maxLine:
			l.line = append(l.line, c)
		default:
			l.cut = true
		}
	}
	return len(b), nil
}

// end logs a last line without a newline, and how many were left out.
func (l *lineLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.emit()
	}
	l.sayDropped()
}

func (l *lineLog) sayDropped() {
	if l.dropped > 0 {
		l.log(fmt.Sprintf("[%d lines left out]", l.dropped))
		l.dropped = 0
	}
}

func (l *lineLog) emit() {
	text := escape(l.line)
	if l.cut {
		text += " [...]"
	}
	l.line, l.cut = l.line[:0], false
	if l.log == nil {
		return
	}
	now := time.Now()
	if l.limit.wait(now) > 0 {
		l.dropped++
		return
	}
	l.sayDropped()
	l.limit.add(now)
	l.log(text)
}

// escape makes b harmless for logs and terminals. A backslash stays one: the
// result is for people.
func escape(b []byte) string {
	var out []byte
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, b[0])
		case strconv.IsPrint(r):
			out = append(out, b[:n]...)
		default:
			q := strconv.AppendQuoteRuneToASCII(nil, r)
			out = append(out, q[1:len(q)-1]...)
		}
		b = b[n:]
	}
	return string(out)
}

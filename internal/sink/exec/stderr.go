package exec

import (
	"fmt"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
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
	line := text.Printable(string(l.line))
	if l.cut {
		line += " [...]"
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
	l.log(line)
}

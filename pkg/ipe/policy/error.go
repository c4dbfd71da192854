package policy

import (
	"fmt"
	"strconv"
	"syscall"
)

// Error says why the kernel refuses a policy.
type Error struct {
	// Line and Column, in bytes, are where, from 1. An error of the whole text
	// is at its last line. They are 0 when there is no text.
	Line, Column int

	// Errno is what write(2) to new_policy returns: EBADMSG for the grammar,
	// ERANGE and EINVAL for numbers and digests.
	Errno syscall.Errno

	// Reason says what is wrong, and what would be right. It is printable.
	Reason string
}

// Error returns one printable line.
func (e *Error) Error() string {
	text := e.Reason + " (" + e.errnoName() + ")"
	if e.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, text)
	}
	return text
}

// Unwrap returns the Errno, for errors.Is.
func (e *Error) Unwrap() error { return e.Errno }

func (e *Error) errnoName() string {
	if r, ok := RefusalOf(int64(e.Errno)); ok {
		return r.Name
	}
	return "errno " + strconv.Itoa(int(e.Errno))
}

// fail returns an error at an offset of the current line.
func (s *scanner) fail(offset int, errno syscall.Errno, format string, args ...any) *Error {
	return &Error{Line: max(s.number, 1), Column: offset + 1, Errno: errno, Reason: fmt.Sprintf(format, args...)}
}

// quote returns text as it may be shown, cut short.
func quote(text string) string {
	const longest = 60
	if len(text) > longest {
		return strconv.QuoteToASCII(text[:longest]) + "..."
	}
	return strconv.QuoteToASCII(text)
}

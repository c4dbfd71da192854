package input

import (
	"fmt"
	"strings"
)

// DamageError says where an input ends that should not end there, or where it
// stops to make sense. Everything before was delivered.
type DamageError struct {
	Offset int64  // in bytes from the start, after decompression
	What   string // never contains anything of the input
}

// Error returns the place and what is wrong there.
func (e *DamageError) Error() string {
	return fmt.Sprintf("offset %d: %s", e.Offset, e.What)
}

// FormatError says that an input is of a known form that is not read. Nothing of
// it was delivered.
type FormatError struct {
	Form   string // its name, such as "a zip archive"
	Remedy string // what makes it readable
}

// Error names the form and what to do.
func (e *FormatError) Error() string {
	return e.Form + ", which is not read: " + e.Remedy
}

// Unread is what was not read of an input for one reason.
type Unread struct {
	Lines  uint64 // how many lines, entries or objects; 0 where that is not known
	Reason string // one line for a person; never contains anything of the input
}

// UnreadError ends an input of which not everything was read. All that could be
// read was delivered.
type UnreadError struct {
	// Source is the name of the input, for those who have several. It is not part of
	// the message.
	Source string

	// Parts are never empty.
	Parts []Unread

	// Err is what ended the input: a [*DamageError], a [*FormatError], an error of the
	// underlying reader, or nil at its proper end. The first two are the last of
	// the Parts too.
	Err error
}

// Error returns everything in one line.
func (e *UnreadError) Error() string {
	var texts []string
	for _, p := range e.Parts {
		switch p.Lines {
		case 0:
			texts = append(texts, p.Reason)
		case 1:
			texts = append(texts, "1 line was not read: "+p.Reason)
		default:
			texts = append(texts, fmt.Sprintf("%d lines were not read: %s", p.Lines, p.Reason))
		}
	}
	switch e.Err.(type) {
	case nil, *DamageError, *FormatError:
	default:
		texts = append(texts, e.Err.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns Err.
func (e *UnreadError) Unwrap() error { return e.Err }

package schema

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong, or dubious, in one place of the
// configuration.
type Problem struct {
	File    string // as opened; empty when the problem is in no file
	Line    int    // from 1; 0 when the problem is the file as a whole
	Column  int    // from 1, in characters
	Source  string // the line itself, as in the file
	Message string // what is wrong and what to do; fit for a terminal
}

// String returns the problem in one line: place and message.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// excerptWidth is how much of a long line an excerpt shows, in characters.
const excerptWidth = 100

// Excerpt returns the line of the file and a caret below the column, two lines
// that both end in a newline, or nothing when the problem has no line. Control
// characters are shown as "?".
func (p Problem) Excerpt() string {
	if p.Line == 0 {
		return ""
	}
	line := []rune(strings.Map(Printable, p.Source))
	column := min(max(p.Column-1, 0), len(line))
	if start := column - excerptWidth/2; start > 0 && len(line) > excerptWidth {
		line, column = line[start:], column-start
	}
	line = line[:min(len(line), excerptWidth)]
	return fmt.Sprintf("%6d | %s\n       | %s^\n", p.Line, string(line), strings.Repeat(" ", column))
}

// Printable replaces what could move the caret or drive a terminal.
func Printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case !unicode.IsPrint(r):
		return '?'
	}
	return r
}

// Error is everything that is wrong with a configuration. It is never empty.
type Error struct {
	Problems []Problem // in the order of files and lines, as far as they have any
}

// maxShown bounds how many problems an error spells out.
const maxShown = 20

// Error returns every problem with its excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == maxShown {
			fmt.Fprintf(&b, "and %d more", len(e.Problems)-i)
			break
		}
		b.WriteString(p.String())
		b.WriteByte('\n')
		b.WriteString(p.Excerpt())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

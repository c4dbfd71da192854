package config

import (
	"fmt"
	"strconv"
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
	line := []rune(strings.Map(printable, p.Source))
	column := min(max(p.Column-1, 0), len(line))
	if start := column - excerptWidth/2; start > 0 && len(line) > excerptWidth {
		line, column = line[start:], column-start
	}
	line = line[:min(len(line), excerptWidth)]
	return fmt.Sprintf("%6d | %s\n       | %s^\n", p.Line, string(line), strings.Repeat(" ", column))
}

// printable replaces what could move the caret or drive a terminal.
func printable(r rune) rune {
	switch {
	case r == '\t':
		return ' '
	case !unicode.IsPrint(r):
		return '?'
	}
	return r
}

// Error is everything that is wrong with a configuration. It is what [Load]
// and [Parse] return, and is never empty.
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

// quote makes text from a file fit for a message.
func quote(s string) string {
	const longest = 80
	if len(s) > longest {
		return strconv.Quote(strings.ToValidUTF8(s[:longest], "")) + "..."
	}
	return strconv.Quote(s)
}

// didYouMean returns "; did you mean ...?" when one of names is close to s, and
// otherwise the list of all names.
func didYouMean(s string, names []string) string {
	if n := nearest(s, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return "; known here: " + strings.Join(names, ", ")
}

// nearest returns the name that s was probably meant to be, or the empty
// string.
func nearest(s string, names []string) string {
	fold := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(s))
	best, bestDistance := "", 3
	for _, n := range names {
		lower := strings.ToLower(n)
		if d := distance(fold, lower); d < bestDistance && d <= max(1, len(lower)/3) {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance returns how many insertions, deletions, substitutions and swaps of
// neighbours lead from a to b. Of long strings it knows only that they are far
// apart.
func distance(a, b string) int {
	const longest = 40
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var d [longest + 1][longest + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

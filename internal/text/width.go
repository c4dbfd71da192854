package text

import (
	"strings"
	"unicode/utf8"
)

// The colours of a line begin and end with these (ECMA-48, SGR).
const (
	colourBegin = '\x1b'
	colourEnd   = 'm'
	noColour    = "\x1b[0m"
)

// Fit cuts a line to width columns, if that is not 0, and marks that. The line is
// valid UTF-8, ends in a newline and has no other control characters than
// colours. Characters that may be wide count two columns, so a line can come out
// shorter than it had to be, but never longer.
func Fit(line []byte, width int) []byte {
	if width <= 0 {
		return line
	}
	columns, cut, inColour, coloured := 0, 0, false, false
	for i := 0; i < len(line)-1; {
		r, size := utf8.DecodeRune(line[i:])
		switch {
		case r == colourBegin:
			inColour, coloured = true, true
		case inColour:
			inColour = r != colourEnd
		default:
			columns += columnsOf(r)
		}
		i += size
		if columns <= width-1 && !inColour {
			cut = i // there is room for the mark behind it
		}
	}
	if columns <= width {
		return line
	}
	short := append(append([]byte(nil), line[:cut]...), "…"...)
	if coloured {
		short = append(short, noColour...)
	}
	return append(short, '\n')
}

// columnsOf returns how many columns of a terminal r takes at most: two from
// the first script on that has wide characters (Unicode UAX #11).
func columnsOf(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}

// Columns returns how many columns of a terminal s takes at most. It has no colours.
func Columns(s string) (n int) {
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

// The width below which the id of a spool has four of its 16 digits: explain takes
// that too.
const (
	roomy      = 120
	fullSpool  = 16
	shortSpool = 4
)

// ShortID returns the id of an event as it is shown on so many columns; 0: any
// number.
func ShortID(id []byte, width int) []byte {
	if width > 0 && width < roomy && len(id) > fullSpool && id[fullSpool] == ':' {
		return append(id[:shortSpool:shortSpool], id[fullSpool:]...)
	}
	return id
}

// wrap breaks a line at its blanks so that none has more than width columns, if that
// is not 0, and begins those behind the first with indent blanks. A word that is
// wider is cut.
func wrap(line string, width, indent int) []string {
	if width <= 0 || Columns(line) <= width {
		return []string{line}
	}
	begin := len(line) - len(strings.TrimLeft(line, " "))
	var lines []string
	current, empty := line[:min(begin, width/2)], true
	for word := range strings.SplitSeq(line[begin:], " ") {
		if !empty && Columns(current)+1+Columns(word) > width {
			lines = append(lines, strings.TrimRight(current, " "))
			current, empty = strings.Repeat(" ", min(indent, width/2)), true
		}
		if !empty {
			current += " "
		}
		if room := width - Columns(current); Columns(word) > room {
			word = strings.TrimSuffix(string(Fit([]byte(word+"\n"), room)), "\n")
		}
		current, empty = current+word, false
	}
	return append(lines, strings.TrimRight(current, " "))
}

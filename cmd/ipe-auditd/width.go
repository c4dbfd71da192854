package main

import (
	"bytes"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminalSize returns how many columns and lines out has, zeros when it is no
// terminal.
func terminalSize(out io.Writer) (columns, lines int) {
	f, ok := out.(*os.File)
	if !ok {
		return 0, 0
	}
	columns, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, lines
}

// terminalWidth returns how many columns out has, or 0 when it is no terminal.
func terminalWidth(out io.Writer) int {
	columns, _ := terminalSize(out)
	return columns
}

// terminalHeight returns how many lines of a terminal are free for one screen,
// or otherwise when out is none.
func terminalHeight(out io.Writer, otherwise int) int {
	_, lines := terminalSize(out)
	if lines == 0 {
		return otherwise
	}
	return lines - 1 // for the prompt
}

// writeFitting writes lines, cut to the width of out if that is a terminal.
func writeFitting(out io.Writer, text []byte) error {
	width := terminalWidth(out)
	var fitted []byte
	for line := range bytes.Lines(text) {
		fitted = append(fitted, fit(line, width)...)
	}
	_, err := out.Write(fitted)
	return err
}

// The colours of a line begin and end with these (ECMA-48, SGR).
const (
	colourBegin = '\x1b'
	colourEnd   = 'm'
	noColour    = "\x1b[0m"
)

// fit cuts a line to width columns, if that is not 0, and marks that. The line is
// valid UTF-8, ends in a newline and has no other control characters than
// colours. Characters that may be wide count two columns, so a line can come out
// shorter than it had to be, but never longer.
func fit(line []byte, width int) []byte {
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

package main

import (
	"io"
	"os"

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

// noColour ends a colour (ECMA-48, SGR).
const noColour = "\x1b[0m"

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// wantColour reports whether what is written to out is seen by a person who
// did not ask for plain text (https://no-color.org).
func wantColour(out io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

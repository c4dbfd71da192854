package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The values of --color.
const (
	colourAuto   = "auto"
	colourAlways = "always"
	colourNever  = "never"
)

// wantColour reports whether the results of cmd are to have colours: as --color
// says, and without it when they are seen by a person who did not ask for plain
// text (https://no-color.org).
func wantColour(cmd *cobra.Command) bool {
	switch f := cmd.Flag("color"); {
	case f != nil && f.Value.String() == colourAlways:
		return true
	case f != nil && f.Value.String() == colourNever:
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(cmd.OutOrStdout())
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	return term.IsTerminal(int(f.Fd()))
}

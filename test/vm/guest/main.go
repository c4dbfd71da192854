//go:build linux && amd64

// Command guest is the first and almost the only program in the small guest.
//
// As /init it mounts what is needed and then runs programs for the host (see
// test/vm/wire). Under the name agent it does the latter only. Under the name
// act it does one thing that IPE judges, and prints what came of it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	switch name := filepath.Base(os.Args[0]); {
	case name == "act" && len(os.Args) > 1:
		os.Exit(act(os.Args[1], os.Args[2:]))
	case name == "agent":
		fmt.Fprintln(os.Stderr, "guest agent:", attend())
		os.Exit(1)
	case name == "init" && os.Getpid() == 1:
		err := initialise()
		fmt.Fprintln(os.Stderr, "guest init:", err)
		powerOff()
	default:
		fmt.Fprintln(os.Stderr, "usage: act ACTION [ARGUMENT...]")
		os.Exit(2)
	}
}

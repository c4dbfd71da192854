package scripts

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCode is exec for a program that must exit with a code:
// code N PROGRAM [ARG...].
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdLines counts the lines of a file, or of stdout or stderr, that contain a
// text: lines N FILE [TEXT].
func cmdLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: lines N FILE [TEXT]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	text := strings.Join(args[2:], " ")
	got := 0
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if strings.Contains(line, text) {
			got++
		}
	}
	if got != want {
		ts.Fatalf("%d lines of %s contain %q, want %d", got, args[1], text, want)
	}
}

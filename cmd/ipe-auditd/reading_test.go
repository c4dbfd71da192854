package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// denialLines returns so many denials as auditd writes them.
func denialLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "type=UNKNOWN[1420] msg=audit(1795440937.705:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=7 comm=\"sh\" path=\"/tmp/%d\" dev=\"vda\" ino=7 rule=\"DEFAULT op=EXECUTE action=DENY\"\n", i, i)
	}
	return b.Bytes()
}

// TestInterruptPrintsWhatWasFound interrupts commands that wait for the rest of
// their input.
func TestInterruptPrintsWhatWasFound(t *testing.T) {
	t.Parallel()
	lines := denialLines(5000) // more than a pipe holds: once it is written, it is being read
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"decode", "-"}, `"path":"/tmp/1000"`},
		{[]string{"report", "--json", "-"}, `stdin: interrupted`},
		{[]string{"report", "-"}, "UNREAD: part of 1 source"},
		{[]string{"readiness", "--json", "-"}, `"answer":`},
		{[]string{"suggest", "-"}, "#"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("ipe-auditd", tt.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdin.Write(lines); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("ended with %v, want exit status 130", err)
			}
			if !strings.Contains(stdout.String(), tt.want) {
				t.Errorf("%q is not in %.2000s", tt.want, stdout.String())
			}
			if !strings.Contains(stderr.String(), "stdin: interrupted: what was printed is partial") {
				t.Errorf("stderr is %q", stderr.String())
			}
		})
	}
}

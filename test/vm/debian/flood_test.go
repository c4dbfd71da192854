package debian_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// flood is a program that causes denials until it is told to end. It asks for
// executable pages of a file in /run, of which IPE knows nothing.
type flood struct {
	*vm.Process
	file string // which the denials are about
	stop string // whose existence ends it
}

// flood causes denials, some at a time, with pauses of so many seconds.
func (g *guest) flood(t *testing.T, name string, some int, pause string) *flood {
	t.Helper()
	f := &flood{file: "/run/" + name, stop: "/run/stop-" + name}
	f.Process = g.start(t, fmt.Sprintf(`touch %[1]s
		while act flood %[3]d %[1]s && ! [ -e %[2]s ]; do sleep %[4]s; done`, f.file, f.stop, some, pause), nil)
	return f
}

// end ends the flood and returns how many denials it has caused.
func (f *flood) end(t *testing.T, g *guest) int {
	t.Helper()
	g.sh(t, "touch "+f.stop)
	if exit := wait(t, f.Process); exit != 0 {
		t.Fatalf("flood: exit status %d: %s", exit, f.Stderr())
	}
	n := attempts(t, string(f.Stdout()))
	t.Logf("%d denials about %s", n, f.file)
	return n
}

// burst causes n denials about a file and returns its name.
func (g *guest) burst(t *testing.T, name string, n int) string {
	t.Helper()
	file := "/run/" + name
	text := g.sh(t, fmt.Sprintf("touch %[1]s && act flood %[2]d %[1]s", file, n))
	if got := attempts(t, text); got != n {
		t.Fatalf("%d attempts, want %d", got, n)
	}
	return file
}

// attempts returns the sum of what act flood did.
func attempts(t *testing.T, text string) int {
	t.Helper()
	var n uint64
	for line := range strings.Lines(text) {
		var r wire.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Step != "" {
			t.Fatalf("act flood: %v: %q", err, line)
		}
		n += r.Attempts
	}
	return int(n)
}

// Package scripts runs the scripts of this folder, one behaviour each, against
// the whole program.
package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs each *.txtar. In a script $CAPTURES is the folder of recorded
// captures, and ipe-auditd the program of this tree.
func TestScripts(t *testing.T) {
	syscall.Umask(0o022) // a state directory that others may write to is refused
	captures, err := filepath.Abs("../captures")
	if err != nil {
		t.Fatal(err)
	}
	bin := build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("CAPTURES", captures)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TZ", "UTC")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "sysfs":
				_, err := os.Stat("/sys/dev/block")
				return err == nil, nil
			}
			return false, os.ErrInvalid
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":  cmdCode,
			"lines": cmdLines,
		},
	})
}

// build builds the program and returns the folder that it is in.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../../cmd/ipe-auditd")...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

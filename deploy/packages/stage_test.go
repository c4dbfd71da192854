package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryFileOfSystemdHasItsPlace(t *testing.T) {
	t.Parallel()
	s := stage{dir: t.TempDir()}
	if err := s.systemd(filepath.Join(project, "deploy", "systemd")); err != nil {
		t.Fatal(err)
	}
	odd := t.TempDir()
	writeTest(t, odd, "ipe-auditd.timid", "")
	if err := s.systemd(odd); err == nil {
		t.Error("a file without a place is left out silently")
	}
}

// The units start the binary where the packages put it.
func TestUnitsStartWhatIsInstalled(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob(filepath.Join(project, "deploy", "systemd", "*.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nExecStart=/"+program) {
			t.Errorf("%s does not start /%s", filepath.Base(unit), program)
		}
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryMeasurementRuns runs all of them with a handful of records. What
// they say about speed then means nothing, but what they check must hold.
func TestEveryMeasurementRuns(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace of its own")
	}
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	profiles := t.TempDir()
	pictures := t.TempDir()
	out, err := exec.Command(program, "-size", "0.002", "-rounds", "1", "-profile", profiles, "-svg", pictures).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, table, _ := strings.Cut(string(out), "|---|---|---|\n")
	if rows := strings.Count(table, "\n"); rows < 18 {
		t.Errorf("only %d rows:\n%s", rows, out)
	}
	for _, name := range []string{"rates", "sinks", "clients", "hosts"} {
		text, err := os.ReadFile(filepath.Join(pictures, name+".svg"))
		if n := strings.Count(string(text), "<circle"); err != nil || n < 4 || strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
			t.Errorf("picture %s: %d points, %v", name, n, err)
		}
	}
	for _, name := range []string{"cpu", "allocs", "block"} {
		if info, err := os.Stat(filepath.Join(profiles, name)); err != nil || info.Size() == 0 {
			t.Errorf("profile %s: %v", name, err)
		}
	}
}

func TestAnUnknownMeasurementIsRefused(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "run", ".", "-run", "speed").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "there is only receive, ") {
		t.Errorf("%v: %s", err, out)
	}
}

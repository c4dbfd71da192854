package vm_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

// run is what happened on one kernel.
type run struct {
	kernel *vm.Kernel

	mu       sync.Mutex
	passed   []string // scenarios
	skipped  []string
	captures map[string][]byte // by name
}

// note adds a scenario to one of the lists.
func (r *run) note(list *[]string, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, name)
}

func (r *run) keep(name string, capture []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.captures == nil {
		r.captures = map[string][]byte{}
	}
	r.captures[name] = capture
}

// generation is the folder of the kernel's captures: its first two numbers.
func (r *run) generation() string {
	major, rest, _ := strings.Cut(r.kernel.Release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

// row is the kernel's line in docs/kernels.md.
func (r *run) row() string {
	what := fmt.Sprintf("%d passed", len(r.passed))
	slices.Sort(r.skipped)
	if skipped := slices.Compact(r.skipped); len(skipped) > 0 {
		what += ", not run: " + strings.Join(skipped, ", ")
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", r.generation(), r.kernel.Release, time.Now().UTC().Format(time.DateOnly), what)
}

// makeGoldens writes the captures to where all tests take them from, what the
// decoder makes of them, and the kernels into the table of the documentation.
func makeGoldens(t *testing.T, runs []*run) {
	t.Helper()
	for _, r := range runs {
		for name, capture := range r.captures {
			file := filepath.Join("..", "captures", r.generation(), name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file+".nlcap", capture, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file+".txt", lines(t, capture), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const table = "../../docs/kernels.md"
	page, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		page = withRow(page, r.generation(), r.row())
	}
	if err := os.WriteFile(table, page, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "../../pkg/ipe", "-run", "^TestDecodeCaptures$", "-update").CombinedOutput(); err != nil {
		t.Errorf("goldens of pkg/ipe: %v\n%s", err, out)
	}
}

// withRow returns the page with the row of a generation in its table: in place
// of the one it had, or where the order of versions puts it.
func withRow(page []byte, generation, row string) []byte {
	rows := regexp.MustCompile(`(?m)^\| (\d+)\.(\d+) \|.*\n|^\|-.*\n`).FindAllSubmatchIndex(page, -1)
	at, end := len(page), len(page)
	for _, r := range rows {
		order := -1 // the line under the head comes before all
		if r[2] >= 0 {
			order = compareVersions(string(page[r[2]:r[5]]), generation)
		}
		switch {
		case order < 0:
			at, end = r[1], r[1]
		case order == 0:
			at, end = r[0], r[1]
		}
	}
	return slices.Replace(slices.Clone(page), at, end, []byte(row)...)
}

// compareVersions compares MAJOR.MINOR by their numbers.
func compareVersions(a, b string) int {
	number := func(v string) []int {
		major, minor, _ := strings.Cut(v, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return []int{x, y}
	}
	return slices.Compare(number(a), number(b))
}

func TestWithRowKeepsTheRestOfThePage(t *testing.T) {
	t.Parallel()
	const page = "text\n\n| a |\n|---|\n| 6.2 | old |\n| 6.12 | old |\n\nmore\n"
	for generation, want := range map[string]string{
		"6.1":  "text\n\n| a |\n|---|\nROW\n| 6.2 | old |\n| 6.12 | old |\n\nmore\n",
		"6.2":  "text\n\n| a |\n|---|\nROW\n| 6.12 | old |\n\nmore\n",
		"6.10": "text\n\n| a |\n|---|\n| 6.2 | old |\nROW\n| 6.12 | old |\n\nmore\n",
		"6.12": "text\n\n| a |\n|---|\n| 6.2 | old |\nROW\n\nmore\n",
		"7.0":  "text\n\n| a |\n|---|\n| 6.2 | old |\n| 6.12 | old |\nROW\n\nmore\n",
	} {
		if got := string(withRow([]byte(page), generation, "ROW\n")); got != want {
			t.Errorf("%s: %q, want %q", generation, got, want)
		}
	}
}

// lines returns the records of a capture, one a line.
func lines(t *testing.T, capture []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	r := input.NewReader(bytes.NewReader(capture))
	for rec := (input.Record{}); r.Next(&rec) == nil; {
		fmt.Fprintf(&text, "type=%d %s\n", rec.Type, rec.Text)
	}
	return text.Bytes()
}

// Package fleet has what operators of many hosts put into engines, and tests that
// ask those engines.
package fleet

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// questions returns the blocks of a file whose comment begins with a name, by name.
func questions(t *testing.T, file, comment string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for block := range strings.SplitSeq(string(text), "\n\n") {
		name, _, ok := strings.Cut(strings.TrimPrefix(block, comment+" "), ":")
		var code []string
		for line := range strings.Lines(block) {
			if !strings.HasPrefix(line, comment) {
				code = append(code, line)
			}
		}
		if ok && code != nil && !strings.Contains(name, " ") {
			found[name] = strings.Join(code, "")
		}
	}
	return found
}

// answers asks every question of a file, and compares with what the sample comes to.
func (s *sample) answers(t *testing.T, asked map[string]string, ask func(t *testing.T, name, question string) []string) {
	t.Helper()
	for name := range s.want {
		if asked[name] == "" {
			t.Errorf("nobody asks for %s", name)
		}
	}
	for name, question := range asked {
		want, known := s.want[name]
		if !known {
			t.Errorf("nobody knows the answer to %s", name)
			continue
		}
		if diff := cmp.Diff(want, ask(t, name, question)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Package man holds the manual pages, and tests that compare them with the
// program: what can be compared is in both, or in neither.
package man

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	daemonPage = "ipe-auditd.8"
	designPage = "ipe-auditd-design.7"
	doctorPage = "ipe-auditd-doctor.1"
	configPage = "ipe-auditd.yaml.5"
	eventsPage = "ipe-events.7"
)

// pages returns the names of all pages.
func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.[1-8]")
	if err != nil || len(names) < 3 {
		t.Fatalf("pages: %v, %v", names, err)
	}
	return names
}

// line is a line of the source of a page and where it stands.
type line struct {
	section, subsection string
	text                string
}

// read returns the lines of a page. Long macro lines have no other form.
func read(t *testing.T, name string) []line {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	var at line
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSuffix(text, "\n")
		if name, ok := strings.CutPrefix(text, ".Sh "); ok {
			at = line{section: name}
		} else if name, ok := strings.CutPrefix(text, ".Ss "); ok {
			at.subsection = name
		}
		at.text = text
		lines = append(lines, at)
	}
	return lines
}

// words returns what stands behind a macro in a line, up to the next macro:
// the words after Cm in ".It Cm a , b Ns = Ns Ar c" are a and b.
func words(text, macro string) []string {
	var found []string
	in := false
	for _, w := range strings.Fields(strings.TrimPrefix(text, ".")) {
		switch {
		case w == macro:
			in = true
		case len(w) == 2 && w[0] >= 'A' && w[0] <= 'Z' && w[1] >= 'a' && w[1] <= 'z':
			in = false
		case in && strings.Trim(w, ".,:;()|") != "":
			found = append(found, w)
		}
	}
	return found
}

// marked returns the words behind the macro in all lines that keep accepts.
func marked(lines []line, macro string, keep func(line) bool) []string {
	var found []string
	for _, l := range lines {
		if strings.HasPrefix(l.text, ".") && keep(l) {
			found = append(found, words(l.text, macro)...)
		}
	}
	return found
}

func isItem(l line) bool { return strings.HasPrefix(l.text, ".It ") }

// itemsIn accepts the items of a section.
func itemsIn(section string) func(line) bool {
	return func(l line) bool { return l.section == section && isItem(l) }
}

// valuesOf returns, for each item that names a key by the macro, the words
// behind Cm from there to the next such item.
func valuesOf(lines []line, macro string) map[string][]string {
	values := make(map[string][]string)
	key := ""
	for _, l := range lines {
		if strings.HasPrefix(l.text, ".Sh ") {
			key = ""
		} else if names := words(l.text, macro); isItem(l) && len(names) > 0 {
			key = names[0]
		}
		if key != "" {
			values[key] = append(values[key], words(l.text, "Cm")...)
		}
	}
	return values
}

// literals returns the text of the literal displays in a section and
// subsection, one string each.
func literals(lines []line, section, subsection string) []string {
	var all []string
	in := false
	for _, l := range lines {
		switch {
		case l.section != section || l.subsection != subsection:
		case strings.HasPrefix(l.text, ".Bd -literal"):
			in = true
			all = append(all, "")
		case l.text == ".Ed":
			in = false
		case in:
			all[len(all)-1] += strings.ReplaceAll(l.text, `\e`, `\`) + "\n"
		}
	}
	return all
}

// sorted returns the words once each and in order, so that they can be
// compared as sets.
func sorted(words []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(words)))
}

func sameSet(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("%s (-program +page):\n%s", what, diff)
	}
}

// named returns the names of the values from first on, up to the first that
// has none.
func named[T interface {
	~uint8
	String() string
}](first T) []string {
	var names []string
	for v := first; v.String() != ""; v++ {
		names = append(names, v.String())
	}
	return names
}

func TestPagesAreCleanForMandoc(t *testing.T) {
	t.Parallel()
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("needs mandoc")
	}
	for _, page := range pages(t) {
		out, err := exec.Command(mandoc, "-T", "lint", "-W", "warning", page).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("mandoc -T lint -W warning %s: %v\n%s", page, err, out)
		}
	}
}

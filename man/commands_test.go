package man

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// flag matches a flag in the help of a command.
var flag = regexp.MustCompile(`(?m)^ +(?:(-\w), |    )(--[-\w]+)`)

// below matches a command in the list that the help of its parent has.
var below = regexp.MustCompile(`(?m)^  ([-\w]+) +\S`)

// flags returns the flags that a command and those below it have, by command.
func flags(t *testing.T, program string, command ...string) map[string][]string {
	t.Helper()
	out, err := exec.Command(program, append([]string{"help"}, command...)...).Output()
	if err != nil {
		t.Fatalf("%s help %v: %v", program, command, err)
	}
	all := make(map[string][]string)
	path := strings.Join(command, " ")
	all[path] = nil
	for _, m := range flag.FindAllStringSubmatch(string(out), -1) {
		for _, name := range m[1:] {
			if name != "" {
				all[path] = append(all[path], name)
			}
		}
	}
	_, list, _ := strings.Cut(string(out), "\nAvailable Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range below.FindAllStringSubmatch(list, -1) {
		maps.Copy(all, flags(t, program, append(slices.Clone(command), m[1])...))
	}
	return all
}

// pageOf returns the page of a command. Commands below another one stand on the
// page of that; what cobra brings needs none beyond the list of the daemon's page.
func pageOf(command string) string {
	switch name, _, _ := strings.Cut(command, " "); name {
	case "", "help":
		return daemonPage
	default:
		return "ipe-auditd-" + name + ".1"
	}
}

func TestEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	exits := exitCodes(t) // also opens the sources, so that a cached result of this test does not outlive them
	program := filepath.Join(t.TempDir(), "ipe-auditd")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/ipe-auditd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	help := []string{"-h", "--help", "--color"} // of every command; the daemon's page says so once
	want := make(map[string][]string)           // flags by page
	var commands []string
	for path, names := range flags(t, program) {
		if path != "" {
			names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(help, n) })
			commands = append(commands, path)
		}
		want[pageOf(path)] = append(want[pageOf(path)], names...)
	}

	pages, err := filepath.Glob("ipe-auditd-*.1")
	if err != nil {
		t.Fatal(err)
	}
	sameSet(t, "pages of commands", slices.Collect(maps.Keys(want)), append(pages, daemonPage))
	listed := marked(read(t, daemonPage), "Xr", itemsIn("COMMANDS"))
	listed = slices.DeleteFunc(listed, func(w string) bool { return w == "1" })
	for i := range pages {
		pages[i] = strings.TrimSuffix(pages[i], ".1")
	}
	sameSet(t, "commands that "+daemonPage+" lists", pages, listed)

	for page, names := range want {
		if _, err := os.Stat(page); err != nil {
			continue // told above
		}
		var items, everywhere []string
		synopsis := make(map[string]bool)
		for _, l := range read(t, page) {
			if l.section == "SYNOPSIS" {
				for _, name := range words(l.text, "Cm") {
					synopsis[name] = true
				}
			}
			var here []string
			for _, name := range words(l.text, "Fl") {
				here = append(here, "-"+name)
			}
			everywhere = append(everywhere, here...)
			if l.section == "DESCRIPTION" && isItem(l) {
				items = append(items, here...)
			}
		}
		sameSet(t, "flags in the DESCRIPTION of "+page, names, items)
		for _, name := range sorted(everywhere) {
			if !slices.Contains(names, name) && !slices.Contains(otherPrograms[page], name) {
				t.Errorf("%s speaks of %s, which its command does not have", page, name)
			}
		}
		for _, command := range commands {
			for word := range strings.FieldsSeq(command) {
				if pageOf(command) == page && !synopsis[word] {
					t.Errorf("the synopsis of %s does not name %s of %q", page, word, command)
				}
			}
		}
	}

	var codes []string
	for _, l := range read(t, daemonPage) {
		if f := strings.Fields(l.text); l.section == "EXIT STATUS" && isItem(l) && len(f) == 2 {
			codes = append(codes, f[1])
		}
	}
	sameSet(t, "exit codes", exits, codes)
}

// otherPrograms are the flags of other commands that a page speaks of.
var otherPrograms = map[string][]string{
	"ipe-auditd-suggest.1": {"--policy"}, // of readiness
	"ipe-auditd-decode.1":  {"--json"},   // of dmesg
}

// TestEveryCommandSaysHowItEndsAndIsUsed looks for the sections that a reader of
// a page of section 1 looks for.
func TestEveryCommandSaysHowItEndsAndIsUsed(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("ipe-auditd-*.1")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	for _, page := range pages {
		var sections []string
		for _, l := range read(t, page) {
			if strings.HasPrefix(l.text, ".Sh ") {
				sections = append(sections, l.section)
			}
		}
		for _, want := range []string{"SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} {
			if !slices.Contains(sections, want) {
				t.Errorf("%s has no section %s", page, want)
			}
		}
	}
}

// headings returns the names of the sections and subsections of a page.
func headings(t *testing.T, page string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, l := range read(t, page) {
		names[l.section], names[l.subsection] = true, true
	}
	return names
}

// TestReferencesLeadSomewhere follows what pages say of each other: a page of ours
// exists, and so does a section.
func TestReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		lines, heads := read(t, page), headings(t, page)
		other := "" // the page that the line above names
		for _, l := range lines {
			section := strings.Join(words(l.text, "Sx"), " ")
			switch {
			case !strings.HasPrefix(l.text, ".") || section == "":
			case other != "":
				if !headings(t, other)[section] {
					t.Errorf("%s refers to a section %q of %s, which is not there", page, section, other)
				}
			case !heads[section]:
				t.Errorf("%s has no section %q, which it refers to", page, section)
			}
			other = ""
			if ref := words(l.text, "Xr"); strings.HasPrefix(l.text, ".") && len(ref) >= 2 && strings.HasPrefix(ref[0], "ipe-") {
				other = ref[0] + "." + ref[1]
				if _, err := os.Stat(other); err != nil {
					t.Errorf("%s refers to %s(%s), which is no page", page, ref[0], ref[1])
				}
			}
		}
	}
}

// exitCodes returns the exit codes of the command, from its source.
func exitCodes(t *testing.T) []string {
	t.Helper()
	sources, err := filepath.Glob("../cmd/ipe-auditd/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, name := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "exit") && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					codes = append(codes, lit.Value)
				}
			}
			return true
		})
	}
	if len(codes) == 0 {
		t.Fatal("no exit codes in cmd/ipe-auditd")
	}
	return codes
}

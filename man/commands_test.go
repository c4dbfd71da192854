package man

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
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

func TestEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	exits := exitCodes(t) // also opens the sources, so that a cached result of this test does not outlive them
	program := filepath.Join(t.TempDir(), "ipe-auditd")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/ipe-auditd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	help := []string{"-h", "--help"} // of every command; the page says so once
	want := make(map[string][]string)
	for path, names := range flags(t, program) {
		if path != "" {
			names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(help, n) })
		}
		// What a shell of completion has is described with completion.
		command, _, _ := strings.Cut(path, " ")
		want[command] = append(want[command], names...)
	}

	lines := read(t, commandsPage)
	got := map[string][]string{"": nil}
	var everywhere []string
	for _, l := range lines {
		var names []string
		for _, name := range words(l.text, "Fl") {
			names = append(names, "-"+name)
		}
		everywhere = append(everywhere, names...)
		switch {
		case l.section == "DESCRIPTION" && isItem(l):
			got[""] = append(got[""], names...)
		case l.section == "COMMANDS" && l.subsection != "":
			if isItem(l) {
				got[l.subsection] = append(got[l.subsection], names...)
			} else if got[l.subsection] == nil {
				got[l.subsection] = nil
			}
		}
	}
	sameSet(t, "commands", slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	var known []string
	for command, names := range want {
		sameSet(t, "flags of "+command, names, got[command])
		known = append(known, names...)
	}
	for _, name := range sorted(everywhere) {
		if !slices.Contains(known, name) {
			t.Errorf("the page speaks of %s, which no command has", name)
		}
	}

	var codes []string
	for _, l := range lines {
		if f := strings.Fields(l.text); l.section == "EXIT STATUS" && isItem(l) && len(f) == 2 {
			codes = append(codes, f[1])
		}
	}
	sameSet(t, "exit codes", exits, codes)
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

// Package rules holds tests about the shape of the project: which package may
// import which, how long a file may be, what must not be named.
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ipe-auditd/ipe-auditd/"

// allowed says which packages of ours a package may import, tests aside. A
// name that ends in /... stands for everything below it. What is not listed may
// import nothing of ours.
var allowed = map[string][]string{
	"cmd/ipe-auditd":                     {"internal/...", "pkg/..."},
	"pkg/netlinkaudit":                   {},
	"pkg/ipe":                            {"internal/auditrec"},
	"pkg/ipe/policy":                     {},
	"pkg/ipe/policy/policytest":          {},
	"internal/auditrec":                  {},
	"internal/fairshare":                 {},
	"internal/atomicfile":                {},
	"internal/bootid":                    {},
	"internal/spool":                     {"internal/atomicfile", "internal/spool/segment"},
	"internal/spool/segment":             {"internal/atomicfile"},
	"internal/text":                      {"pkg/ipe"},
	"internal/units":                     {"internal/text"},
	"internal/schema":                    {"internal/text", "internal/units"},
	"internal/config":                    {"internal/coalesce", "internal/format", "internal/match", "internal/schema", "internal/seal", "internal/sink", "internal/sink/console", "internal/sink/journald", "internal/sinks", "internal/text", "internal/units", "pkg/ipe"},
	"internal/packages":                  {},
	"internal/probe":                     {},
	"internal/certs":                     {},
	"internal/natsconn":                  {"internal/certs"},
	"internal/sinks":                     {"internal/sink", "internal/sink/console", "internal/sink/exec", "internal/sink/file", "internal/sink/journald", "internal/sink/nats", "internal/sink/otlp", "internal/sink/syslog"},
	"internal/host":                      {"pkg/ipe"},
	"internal/statedir":                  {},
	"internal/fileprops":                 {"internal/text", "pkg/ipe", "pkg/ipe/policy"},
	"internal/auditstate":                {"internal/host"},
	"internal/backfill":                  {"internal/atomicfile", "internal/auditrec", "internal/input", "pkg/ipe"},
	"internal/auditwatch":                {"internal/atomicfile", "internal/auditstate", "internal/host", "pkg/ipe"},
	"internal/losses":                    {"internal/atomicfile", "internal/auditstate", "internal/host", "pkg/ipe"},
	"internal/match":                     {"internal/text", "pkg/ipe"},
	"internal/format":                    {"internal/auditrec", "internal/text", "pkg/ipe", "pkg/ipe/policy"},
	"internal/format/keygen":             {},
	"internal/input":                     {"internal/auditrec", "pkg/ipe"},
	"internal/procinfo":                  {"internal/auditrec", "pkg/ipe"},
	"internal/entry":                     {"internal/bootid", "internal/format", "internal/procinfo", "internal/spool", "pkg/ipe"},
	"internal/seal":                      {"internal/atomicfile", "internal/entry", "internal/fairshare", "internal/format", "internal/spool", "internal/spool/segment", "internal/text", "pkg/ipe"},
	"internal/coalesce":                  {"internal/entry", "internal/format", "internal/spool", "pkg/ipe"},
	"internal/sink":                      {"internal/coalesce", "internal/entry", "internal/fairshare", "internal/format", "internal/match", "internal/probe", "internal/schema", "internal/spool", "pkg/ipe"},
	"internal/sink/nonblock":             {},
	"internal/sink/*":                    {"internal/format", "internal/match", "internal/probe", "internal/schema", "internal/sink", "internal/sink/nonblock", "internal/text", "internal/units", "internal/certs", "internal/natsconn", "pkg/ipe"},
	"internal/sink/journald/journaltest": {},
	"internal/accesscount":               {"internal/entry", "internal/fairshare", "internal/format", "internal/spool", "pkg/ipe", "pkg/ipe/policy"},
	"internal/api":                       {"internal/accesscount", "internal/atomicfile", "internal/coalesce", "internal/entry", "internal/fairshare", "internal/format", "internal/match", "internal/spool", "internal/units", "pkg/ipe"},
	"internal/activepolicy":              {"internal/atomicfile", "internal/entry", "internal/format", "internal/spool", "pkg/ipe"},
	"internal/eventsource":               {"internal/activepolicy", "internal/api", "internal/bootid", "internal/entry", "internal/format", "internal/host", "internal/input", "internal/losses", "internal/natsconn", "internal/spool", "internal/spool/segment", "pkg/ipe"},
	"internal/tally":                     {"internal/format", "internal/eventsource", "internal/input", "internal/spool", "internal/text", "pkg/ipe"},
	"internal/htmlreport":                {},
	"internal/report":                    {"internal/format", "internal/eventsource", "internal/activepolicy", "internal/htmlreport", "internal/spool", "internal/tally", "internal/text", "pkg/ipe"},
	"internal/readiness":                 {"internal/format", "internal/eventsource", "internal/activepolicy", "internal/fileprops", "internal/tally", "internal/text", "pkg/..."},
	"internal/suggest":                   {"internal/eventsource", "internal/fileprops", "internal/tally", "internal/text", "pkg/..."},
	"internal/explain":                   {"internal/eventsource", "internal/format", "internal/host", "internal/fileprops", "internal/spool", "internal/suggest", "internal/tally", "internal/text", "pkg/..."},
	"internal/audittest":                 {},
	"test/bench":                         {"internal/...", "pkg/..."},
	"internal/doctor":                    {"internal/api", "internal/auditstate", "internal/config", "internal/host", "internal/probe", "internal/schema", "internal/sink", "internal/sink/journald", "internal/sink/syslog", "internal/statedir", "internal/text", "internal/units", "pkg/ipe", "pkg/netlinkaudit"},
	"test/vm":                            {"test/vm/wire"},
	"test/vm/debian":                     {"test/vm"},
	"test/vm/wire":                       {},
	"test/vm/guest":                      {"test/vm/wire"},
	"test/vm/try":                        {"test/vm", "test/vm/wire"},
	"internal/daemon":                    {"internal/...", "pkg/..."},
	"test/confinement":                   {},
	"deploy/packages":                    {},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Dir        string
	GoFiles    []string
}

// packages lists every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Dir,GoFiles", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rule returns what the package may import.
func rule(name string) (imports []string, ok bool) {
	if imports, ok = allowed[name]; ok {
		return imports, true
	}
	imports, ok = allowed[filepath.Dir(name)+"/*"]
	return imports, ok
}

func permits(imports []string, name string) bool {
	return slices.ContainsFunc(imports, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "..."); ok {
			return strings.HasPrefix(name, prefix)
		}
		return p == name
	})
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		imports, ok := rule(name)
		if !ok {
			t.Errorf("%s has no rule: add one, or put the code where it belongs", name)
			continue
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok && !permits(imports, ours) {
				t.Errorf("%s must not import %s", name, ours)
			}
		}
	}
}

// longest is how many lines a file may have: past some 400, look for the
// second idea. What is generated is read where it comes from.
const longest = 450

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); n > longest && !bytes.HasPrefix(text, []byte("// Code generated ")) {
				t.Errorf("%s/%s has %d lines", strings.TrimPrefix(p.ImportPath, module), file, n)
			}
		}
	}
}

func TestNoPackageHasAnInitFunction(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("\nfunc init()")) {
				t.Errorf("%s/%s has an init function", strings.TrimPrefix(p.ImportPath, module), file)
			}
		}
	}
}

// folderNames are folders with packages of ours in a guide.
var folderNames = regexp.MustCompile("`((?:cmd|pkg|internal)(?:/[a-z-]+)+)`")

func TestGuidesNameFoldersThatExist(t *testing.T) {
	t.Parallel()
	exists := make(map[string]bool)
	for _, p := range packages(t) {
		exists[strings.TrimPrefix(p.ImportPath, module)] = true
	}
	for _, guide := range []string{"CONTRIBUTING.md", "docs/architecture.md"} {
		text, err := os.ReadFile(filepath.Join("../..", guide))
		if err != nil {
			t.Fatal(err)
		}
		named := make(map[string]bool)
		for _, m := range folderNames.FindAllSubmatch(text, -1) {
			name := string(m[1])
			named[name] = true
			if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
				t.Errorf("%s names %s, which does not exist: %v", guide, name, err)
			}
		}
		if guide != "CONTRIBUTING.md" {
			continue
		}
		for name := range exists {
			top := strings.Count(name, "/") == 1 // what is further down is its parent's affair
			if top && !strings.HasPrefix(name, "test/") && !strings.HasPrefix(name, "deploy/") && !named[name] {
				t.Errorf("%s does not say what %s holds", guide, name)
			}
		}
	}
}

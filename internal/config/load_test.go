package config

import (
	"errors"
	"io/fs"

	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ipe-auditd/ipe-auditd/internal/units"

	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
)

// tree writes files below a new directory. Names that contain a slash make
// directories.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o644); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	return dir
}

// newLoader returns a loader without environment for a default file in dir.
func newLoader(dir string) *loader {
	return &loader{
		getenv:      func(string) string { return "" },
		euid:        os.Geteuid(),
		defaultFile: filepath.Join(dir, "ipe-auditd.yaml"),
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, warnings, err := newLoader(t.TempDir()).load("")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Source: Source{ReceiveBuffer: 134217728, Companions: "auto", Join: 100 * time.Millisecond, Proctitle: true},
		Spool:  Spool{Size: 268435456, Memory: 16777216, Sync: time.Second},
		API:    API{Mode: 0o660},
		Log:    Log{Level: "info"},
		Seal:   Seal{Every: 1000, Interval: 5 * time.Minute},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Message, "spool is in memory") || warnings[0].File != "" {
		t.Errorf("warnings %v, want one about the spool in memory", warnings)
	}
}

func TestEnvironmentGivesDirectories(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"own.yaml": "spool: {dir: \"\"}\napi: {path: /other}\n"})
	l := func() *loader {
		l := newLoader(dir)
		l.getenv = func(name string) string {
			return map[string]string{"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "RUNTIME_DIRECTORY": "/run/a:/run/b"}[name]
		}
		return l
	}
	c, warnings, err := l().load("")
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if c.Spool.Dir != "/var/lib/a" || c.API.Path != "/run/a/api.sock" {
		t.Errorf("got %q and %q, want those of the first directories", c.Spool.Dir, c.API.Path)
	}
	c, _, err = l().load(filepath.Join(dir, "own.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Spool.Dir != "" || c.API.Path != "/other" {
		t.Errorf("got %q and %q, want what the file says", c.Spool.Dir, c.API.Path)
	}
	relative := newLoader(dir)
	relative.getenv = func(string) string { return "here" }
	if _, _, err := relative.load(""); err == nil || !strings.Contains(err.Error(), "$STATE_DIRECTORY") {
		t.Errorf("relative directories: %v", err)
	}
}

func TestNamedFileMustExist(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := newLoader(dir)
	_, _, err := l.load(l.defaultFile)
	if err == nil || !strings.Contains(err.Error(), "ipe-auditd.yaml: cannot be read: no such file") {
		t.Errorf("got %v", err)
	}
}

func TestDropInsMergeInOrder(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"ipe-auditd.yaml": "spool: {size: 1GiB, memory: 2MiB}\nlog: {level: warn}\n" +
			"sinks:\n  - {name: a, type: file, path: /a, rotate: {}}\n  - type: journald\n",
		"conf.d/20-b.yaml":    "spool: {size: 3GiB}\nsinks:\n  - {name: a, type: console}\n",
		"conf.d/10-a.yaml":    "spool: {size: 2GiB, sync: 2s}\nsinks:\n  - {type: console}\n",
		"conf.d/30-none.yaml": "# nothing\nsinks:\n",
		"conf.d/.40-x.yaml":   "broken: [\n",
		"conf.d/README":       "broken: [\n",
		"conf.d/50-x.yml":     "broken: [\n",
	})
	c, warnings, err := newLoader(dir).load("")
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Spool = Spool{Size: 3 * units.GiB, Memory: 2 * units.MiB, Sync: 2 * time.Second}
	want.Log.Level = "warn"
	want.Sinks = []Sink{
		{Name: "a", Type: "console", From: FromEnd, Settings: console.NewConfig()},
		{Name: "journald", Type: "journald", From: FromEnd, Settings: journald.NewConfig()},
		{Name: "console", Type: "console", From: FromEnd, Settings: console.NewConfig()},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0].String(), "50-x.yml: is not read") {
		t.Errorf("warnings: %v", warnings)
	}
}

func TestDropInDoesNotReplaceByAccident(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"ipe-auditd.yaml":  "sinks:\n  - {type: file, path: /a}\n",
		"conf.d/10-a.yaml": "sinks:\n  - {type: file, path: /b}\n",
	})
	_, _, err := newLoader(dir).load("")
	if err == nil || !strings.Contains(err.Error(), `10-a.yaml:2:5: a sink without a name`) {
		t.Errorf("got %v", err)
	}
}

func TestMistakesOfAllFilesAreReported(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"ipe-auditd.yaml":  "log: {level: loud}\nsinks: [{name: a, type: file, path: /x}]\n",
		"conf.d/10-a.yaml": "spool: {size: 1}\n",
		"conf.d/20-a.yaml": "sinks: [{name: b, type: file, path: /x}]\n",
	})
	c, _, err := newLoader(dir).load("")
	var e *schema.Error
	if c != nil || !errors.As(err, &e) {
		t.Fatalf("got %v, %v", c, err)
	}
	var files []string
	for _, p := range e.Problems {
		files = append(files, filepath.Base(p.File))
	}
	if diff := cmp.Diff([]string{"ipe-auditd.yaml", "10-a.yaml", "20-a.yaml"}, files); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, err)
	}
}

func TestUnsafeFilesAreRefused(t *testing.T) {
	t.Parallel()
	const main, dropIn = "ipe-auditd.yaml", "conf.d/10-a.yaml"
	chmod := func(mode fs.FileMode) func(string) error {
		return func(file string) error { return os.Chmod(file, mode) }
	}
	instead := func(do func(string) error) func(string) error {
		return func(file string) error { return errors.Join(os.Remove(file), do(file)) }
	}
	for _, tt := range []struct {
		name, file string
		do         func(string) error
		want       string // empty: not refused
	}{
		{"read only", main, chmod(0o444), ""},
		{"writable by group", main, chmod(0o664), "has mode 0664, so that others may change it; chmod go-w"},
		{"writable by others", main, chmod(0o646), "chmod go-w"},
		{"drop-in writable by group", dropIn, chmod(0o660), "10-a.yaml: has mode 0660"},
		{"FIFO", main, instead(func(f string) error { return syscall.Mkfifo(f, 0o600) }), "is not a regular file"},
		{"directory", dropIn, instead(func(f string) error { return os.Mkdir(f, 0o755) }), "is not a regular file"},
		{"dangling link", dropIn, instead(func(f string) error { return os.Symlink("nowhere", f) }), "cannot be read: no such file"},
		{"too large", main, func(f string) error { return os.Truncate(f, maxFile+1) }, "is larger than 256KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{main: "", dropIn: ""})
			if err := tt.do(filepath.Join(dir, tt.file)); err != nil {
				t.Fatal(err)
			}
			_, _, err := newLoader(dir).load("")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFilesOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"ipe-auditd.yaml": ""})
	l := newLoader(dir)
	if os.Geteuid() == 0 {
		if err := os.Chown(l.defaultFile, 1234, -1); err != nil {
			t.Skip("needs CAP_CHOWN:", err)
		}
	} else {
		l.euid++ // as if the daemon ran as somebody else
	}
	_, _, err := l.load("")
	if err == nil || !strings.Contains(err.Error(), "is owned by uid") || !strings.Contains(err.Error(), "chown root") {
		t.Errorf("got %v", err)
	}
}

func TestReplaceableDirectoryIsWarnedOf(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"ipe-auditd.yaml": "spool: {dir: /x}\n"})
	for mode, want := range map[fs.FileMode]int{0o755: 0, 0o777: 1, 0o777 | fs.ModeSticky: 0} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, warnings, err := newLoader(dir).load("")
		if err != nil || len(warnings) != want {
			t.Errorf("mode %v: %v, warnings %v, want %d of them", mode, err, warnings, want)
		}
	}
}

func TestLoadReadsTheNamedFile(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"x.yaml": "log: {level: debug}\n"})
	c, _, err := Load(filepath.Join(dir, "x.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != "debug" {
		t.Errorf("level %q", c.Log.Level)
	}
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	rows, err := readTable("../keys.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forms {
		want, err := f.generate(rows)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("..", f.file)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("internal/format/%s is not what keys.go makes of it (%v): run go generate ./internal/format", f.file, err)
		}
	}
}

func TestRowsThatNoCodeCanBeMadeOfAreRefused(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		`{"path", every, "doc", text(nil)}`: "name its columns",
		`x`:                                 "to be a literal",
		`{Name: path}`:                      "name path",
		`{Name: "path", value: plain}`:      "to be a call",
		`{Name: "path", value: text(nil)}`:  "a field is to be written as",
		`{Name: "path", value: text(func(f *fields) { f.Path })}`: "a field is to be written as",
		`{Name: "path", value: made()}`:                           "made()",
	} {
		file := filepath.Join(t.TempDir(), "keys.go")
		if err := os.WriteFile(file, []byte("package format\nvar keys = [...]Key{\n"+row+",\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := readTable(file)
		if err == nil {
			_, err = forms[0].generate(rows)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", row, err, want)
		}
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commitTime is the time of the commits that the tests make.
const commitTime = "2026-11-23T18:35:56Z"

// gitTree makes a repository with a change log and one commit.
func gitTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeTest(t, dir, "CHANGELOG.md", "# Changes\n\n## 0.2.0 (not released yet)\n\n## 0.1.0\n")
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "--quiet", "-m", "first")
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE="+commitTime,
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE="+commitTime)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
}

func writeTest(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := writeFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVersionIsThatOfTheCommit(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	for _, test := range []struct {
		name         string
		change       func(*testing.T, string)
		given        string
		want, suffix string
	}{
		{name: "between releases", change: func(*testing.T, string) {}, want: "0.2.0~git20261123183556."},
		{name: "tagged", change: func(t *testing.T, dir string) { git(t, dir, "tag", "-m", "release", "v0.2.0") }, want: "0.2.0"},
		{
			name: "changed after the commit", want: "0.2.0~git20261123183556.", suffix: ".dirty",
			change: func(t *testing.T, dir string) {
				git(t, dir, "tag", "-m", "release", "v0.2.0")
				writeTest(t, dir, "new", "")
			},
		},
		{
			name: "source archive", want: "0.3.0",
			change: func(t *testing.T, dir string) { writeTest(t, dir, versionFile, "0.3.0\n"+commitTime+"\n") },
		},
		{name: "given", change: func(*testing.T, string) {}, given: "9.9", want: "9.9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := gitTree(t)
			test.change(t, dir)
			got, err := findRelease(t.Context(), dir, test.given)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.version, test.want) || !strings.HasSuffix(got.version, test.suffix) ||
				test.suffix == "" && strings.Contains(got.version, "dirty") {
				t.Errorf("version %s, want %s…%s", got.version, test.want, test.suffix)
			}
			if when := got.time.Format(time.RFC3339); when != commitTime {
				t.Errorf("time %s, want %s", when, commitTime)
			}
		})
	}
}

func TestVersionThatNoPackageTakesIsRefused(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"v1.0", "1.0-1", "1.0 beta", "1:2", ""} {
		dir := t.TempDir()
		writeTest(t, dir, versionFile, given+"\n"+commitTime+"\n")
		if got, err := findRelease(t.Context(), dir, ""); err == nil {
			t.Errorf("%q was taken as %q", given, got.version)
		}
	}
}

func TestSourceDateEpochHasTheLastWord(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	got, err := findRelease(t.Context(), gitTree(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if when := got.time.Format(time.RFC3339); when != "1970-01-02T00:00:00Z" {
		t.Errorf("time %s", when)
	}
}

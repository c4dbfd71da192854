package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// versionFile is in the source archive, where there is no git to ask: the
// version, and the time of the commit, each on a line.
const versionFile = "VERSION"

// release is what is built.
type release struct {
	version string    // 0.1.0, or 0.1.0~git20261123183556.1289723bcd01 between releases
	time    time.Time // of the last commit, UTC: the time of everything in the packages
}

// validVersion is what both dpkg and rpm take as an upstream version.
var validVersion = regexp.MustCompile(`^[0-9][0-9A-Za-z.+~]*$`)

// findRelease asks git, or the archive's [versionFile]. The given version, if
// any, and SOURCE_DATE_EPOCH have the last word.
func findRelease(ctx context.Context, top, given string) (release, error) {
	rel, err := fromArchive(top)
	if errors.Is(err, fs.ErrNotExist) {
		rel, err = fromGit(ctx, top)
	}
	if err != nil {
		return release{}, fmt.Errorf("find the version: %w", err)
	}
	if given != "" {
		rel.version = given
	}
	if !validVersion.MatchString(rel.version) {
		return release{}, fmt.Errorf("version %q: a package takes digits, letters and . + ~, a digit first", rel.version)
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return release{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		rel.time = time.Unix(seconds, 0).UTC()
	}
	return rel, nil
}

func fromArchive(top string) (release, error) {
	text, err := os.ReadFile(filepath.Join(top, versionFile))
	if err != nil {
		return release{}, err
	}
	version, when, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	t, err := time.Parse(time.RFC3339, when)
	return release{version: version, time: t.UTC()}, err
}

// String is the form of [versionFile].
func (r release) String() string {
	return r.version + "\n" + r.time.Format(time.RFC3339) + "\n"
}

func fromGit(ctx context.Context, top string) (release, error) {
	head, err := output(ctx, top, nil, "git", "log", "-1", "--format=%ct %h", "--abbrev=12")
	if err != nil {
		return release{}, err
	}
	seconds, commit, _ := strings.Cut(head, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return release{}, err
	}
	rel := release{time: time.Unix(unix, 0).UTC()}
	changed, err := output(ctx, top, nil, "git", "status", "--porcelain")
	if err != nil {
		return release{}, err
	}
	if tag, err := output(ctx, top, nil, "git", "describe", "--exact-match", "--match", "v[0-9]*"); err == nil && changed == "" {
		rel.version = strings.TrimPrefix(tag, "v")
		return rel, nil
	}
	next, err := nextVersion(filepath.Join(top, "CHANGELOG.md"))
	if err != nil {
		return release{}, err
	}
	rel.version = fmt.Sprintf("%s~git%s.%s", next, rel.time.Format("20060102150405"), commit)
	if changed != "" {
		rel.version += ".dirty"
	}
	return rel, nil
}

// nextVersion returns the version in the first heading of the change log.
func nextVersion(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			version, _, _ := strings.Cut(strings.TrimSpace(heading), " ")
			return version, nil
		}
	}
	return "", fmt.Errorf("%s has no heading that names a version", file)
}

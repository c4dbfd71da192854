package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// noticesFile holds the licences of all that is linked into the binary.
const noticesFile = "THIRD-PARTY-NOTICES"

const noticesHead = `The program ipe-auditd contains the modules below, and parts of Go itself.
Their licences ask that these texts go with it.

Made by "go run ./deploy/packages -notices". A test fails when this is not what
the linked modules ask for.
`

// module is a module of others that is linked into the binary.
type module struct {
	path    string
	version string // as v1.2.3; empty for Go itself
	licence string // SPDX identifier
	notices []notice
}

// notice is a file with a licence or what a licence asks to be kept.
type notice struct {
	name string // within the module
	text string
}

// noticeName matches the files that a licence can be in, by the names that
// licence detectors look for.
var noticeName = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice|patents)s?([.-].*)?$`)

// linked returns the modules that the binary of any shipped architecture
// contains, Go first, the others by path. A module without a licence, or with
// one that is not known here, is an error.
func linked(ctx context.Context, dir string) ([]module, error) {
	type listed struct {
		Dir, ImportPath string
		Standard        bool
		Module          *struct {
			Path, Version string
			Main          bool
			Replace       *struct{ Path string }
		}
	}
	golang, err := goItself(ctx)
	if err != nil {
		return nil, err
	}
	modules := map[string]*module{"": golang}
	for _, arch := range []string{"amd64", "arm64"} {
		// In the source archive the modules are in vendor, which go finds itself.
		out, err := output(ctx, dir, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOFLAGS=", "GOWORK=off"},
			"go", "list", "-deps", "-json=Dir,ImportPath,Standard,Module", "./cmd/ipe-auditd")
		if err != nil {
			return nil, err
		}
		for dec := json.NewDecoder(strings.NewReader(out)); ; {
			var p listed
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if p.Standard || p.Module == nil || p.Module.Main {
				continue
			}
			m := modules[p.Module.Path]
			if m == nil {
				m = &module{path: p.Module.Path, version: p.Module.Version}
				modules[m.path] = m
			}
			if err := m.collect(p.Dir, strings.TrimPrefix(p.ImportPath, m.path)); err != nil {
				return nil, err
			}
		}
	}
	var all []module
	for _, m := range modules {
		if m.licence, err = identify(m.notices); err != nil {
			return nil, fmt.Errorf("module %s: %w", m.path, err)
		}
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	all[0].path = "Go"
	return all, nil
}

// goItself is the runtime and the standard library.
func goItself(ctx context.Context) (*module, error) {
	root, err := output(ctx, "", nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	m := &module{}
	for _, name := range []string{"LICENSE", "PATENTS"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		m.notices = append(m.notices, notice{name, string(text)})
	}
	return m, nil
}

// collect takes the notices of a package's folder and of those above it, up to
// the module's own: a part of a module may have a licence of its own.
func (m *module) collect(dir, within string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := strings.TrimPrefix(within+"/"+e.Name(), "/")
			if !e.Type().IsRegular() || !noticeName.MatchString(e.Name()) || strings.HasSuffix(name, ".go") ||
				slices.ContainsFunc(m.notices, func(n notice) bool { return n.name == name }) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			m.notices = append(m.notices, notice{name, string(text)})
		}
		if within == "" {
			slices.SortFunc(m.notices, func(a, b notice) int { return cmp.Compare(a.name, b.name) })
			return nil
		}
		dir, within = filepath.Dir(dir), strings.TrimSuffix(within[:strings.LastIndexByte(within, '/')], "/")
	}
}

// identify returns the SPDX identifier of the licence among the notices.
func identify(notices []notice) (string, error) {
	marks := []struct {
		id   string
		says []string
	}{
		{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
		{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "Neither the name"}},
		{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}},
		{"CC0-1.0", []string{"CC0 1.0 Universal"}},
		{"MIT", []string{"Permission is hereby granted, free of charge", "THE SOFTWARE IS PROVIDED"}},
	}
	for _, mark := range marks {
		for _, n := range notices {
			if !slices.ContainsFunc(mark.says, func(words string) bool { return !strings.Contains(n.text, words) }) {
				return mark.id, nil
			}
		}
	}
	if len(notices) == 0 {
		return "", errors.New("has no licence: it must not be linked")
	}
	return "", fmt.Errorf("its licence (%s) is not known here: judge it, then add it to deploy/packages/notices.go", notices[0].name)
}

// formatNotices is the text of [noticesFile]. Versions are left out: they are in
// the bill of materials, and change more often than licences.
func formatNotices(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString(noticesHead)
	// Texts that several modules share stand once, under all their names.
	of := map[string][]string{}
	var texts []string
	for _, m := range modules {
		for _, n := range m.notices {
			text := strings.TrimSpace(n.text)
			if of[text] == nil {
				texts = append(texts, text)
			}
			of[text] = append(of[text], fmt.Sprintf("%s: %s (%s)", m.path, n.name, m.licence))
		}
	}
	line := strings.Repeat("=", 78)
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%[1]s\n%[2]s\n%[1]s\n\n%[3]s\n", line, strings.Join(of[text], "\n"), text)
	}
	return b.Bytes()
}

// checkNotices compares [noticesFile] with what is linked.
func checkNotices(dir string, modules []module) error {
	have, err := os.ReadFile(filepath.Join(dir, noticesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if bytes.Equal(have, formatNotices(modules)) {
		return nil
	}
	return fmt.Errorf("%s is not what the linked modules ask for: run go run ./deploy/packages -notices, and read the difference", noticesFile)
}

func writeNotices(ctx context.Context, dir string) error {
	modules, err := linked(ctx, dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, noticesFile), formatNotices(modules), 0o644)
}

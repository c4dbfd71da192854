package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// project is the top folder, seen from this one.
const project = "../.."

func TestEverythingLinkedHasItsNotice(t *testing.T) {
	t.Parallel()
	modules, err := linked(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkNotices(project, modules); err != nil {
		t.Error(err)
	}
	// The text of every one of them counts.
	for i := range modules {
		changed := slices.Clone(modules)
		changed[i].notices = slices.Clone(modules[i].notices)
		changed[i].notices[0].text += "and more"
		if err := checkNotices(project, changed); err == nil {
			t.Errorf("a change of the licence of %s goes unnoticed", modules[i].path)
		}
	}
}

func TestLicenceIsIdentified(t *testing.T) {
	t.Parallel()
	const bsd = "Redistribution and use in source and binary forms, with or without"
	for _, test := range []struct{ name, text, want string }{
		{"apache", "Apache License\nVersion 2.0, January 2004", "Apache-2.0"},
		{"three clauses", bsd + "\nNeither the name of", "BSD-3-Clause"},
		{"two clauses", bsd, "BSD-2-Clause"},
		{"mit", "Permission is hereby granted, free of charge, ...\nTHE SOFTWARE IS PROVIDED", "MIT"},
		{"unknown", "All rights reserved.", ""},
	} {
		got, err := identify([]notice{{"NOTICE", "by somebody"}, {"LICENSE", test.text}})
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	if _, err := identify(nil); err == nil {
		t.Error("a module without a licence may be linked")
	}
}

func TestNoticesAreFoundInEveryFolderAbove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"LICENSE", "NOTICE.txt", "license.go", "README", "a/COPYING", "a/b/LICENCE-MIT", "c/LICENSE"} {
		writeTest(t, dir, name, name)
	}
	m := module{path: "example.com/m"}
	for _, within := range []string{"/a/b", "/a", ""} {
		if err := m.collect(filepath.Join(dir, within), within); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, n := range m.notices {
		got = append(got, n.name)
	}
	if want := "LICENSE NOTICE.txt a/COPYING a/b/LICENCE-MIT"; strings.Join(got, " ") != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

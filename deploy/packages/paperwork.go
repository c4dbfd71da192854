package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const maintainer = "The ipe-auditd authors <ipe-auditd@users.noreply.github.com>"

// debianChangelog is the history of the packaging, which has none of its own:
// one entry that points to the change log of the release.
func (b *build) debianChangelog() []byte {
	return fmt.Appendf(nil, `ipe-auditd (%s-1) unstable; urgency=medium

  * New release. Its changes are in changelog.gz.

 -- %s  %s
`, b.version, maintainer, b.time.Format(time.RFC1123Z))
}

// rpmChangelog is the same for rpm, in the form that nfpm reads.
func (b *build) rpmChangelog() []byte {
	return fmt.Appendf(nil, "- {semver: %s-1, date: %s, packager: %s, changes: [{note: %q}]}\n",
		b.version, b.time.Format(time.RFC3339), maintainer, "New release. Its changes are in CHANGELOG.md.")
}

// copyrightLine finds who has the rights in a licence's text.
var copyrightLine = regexp.MustCompile(`(?m)^\W*(Copyright (?:\([cC]\) )?[0-9].*)$`)

// debianCopyright is the copyright file of the package: copyright-format/1.0,
// with a stanza for each linked module and below them each licence in full, the
// Apache Licence aside, which every Debian has.
func debianCopyright(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString(`Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ipe-auditd
Source: https://github.com/ipe-auditd/ipe-auditd
Comment: The program is linked statically. The modules below vendor/ are part of
 it, as are the runtime and the standard library of Go, here called std/.

Files: *
Copyright: 2026 The ipe-auditd authors
License: Apache-2.0
`)
	for _, m := range modules {
		files := "vendor/" + m.path + "/*"
		if m.version == "" {
			files = "std/*"
		}
		var holders []string
		for _, n := range m.notices {
			for _, found := range copyrightLine.FindAllStringSubmatch(n.text, -1) {
				if holder := strings.TrimSpace(found[1]); !slices.Contains(holders, holder) {
					holders = append(holders, holder)
				}
			}
		}
		if len(holders) == 0 {
			holders = []string{"The authors of " + m.path}
		}
		fmt.Fprintf(&b, "\nFiles: %s\nCopyright: %s\n", files, strings.Join(holders, "\n           "))
		field := "License: " + m.licence
		if m.licence == "Apache-2.0" {
			b.WriteString(field + "\n")
			field = "Comment:"
		}
		for _, n := range m.notices {
			if m.licence == "Apache-2.0" && strings.Contains(n.text, "Apache License") {
				continue // below, once for all
			}
			if field != "" {
				b.WriteString(field + "\n")
			}
			if field == "" {
				b.WriteString(" .\n")
			}
			b.WriteString(indented(n.text))
			field = ""
		}
	}
	b.WriteString(`
License: Apache-2.0
 On Debian systems the text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
`)
	return b.Bytes()
}

// indented is a text as the value of a field: a blank before each line, and a
// full stop in empty ones.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		if line = strings.TrimRight(line, " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

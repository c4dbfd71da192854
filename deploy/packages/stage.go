package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// stage is a folder that becomes one package: root with its files, scripts with
// those of the maintainer, and nfpm.yaml.
type stage struct {
	format, arch string
	binary       string // for arch
	native       string // the same program for this machine
	dir          string
}

const (
	program  = "usr/sbin/ipe-auditd"
	docs     = "usr/share/doc/ipe-auditd"
	examples = docs + "/examples"
)

// stage makes the folder and returns its path.
func (b *build) stage(ctx context.Context, s stage) (string, error) {
	s.dir = filepath.Join(b.scratch, s.format+"-"+s.arch)
	steps := []func() error{
		func() error { return s.programs(ctx) },
		func() error { return s.manual(b.source) },
		func() error { return s.systemd(filepath.Join(b.source, "deploy", "systemd")) },
		func() error {
			return s.take("etc/logrotate.d/ipe-auditd", filepath.Join(b.source, "deploy", "logrotate", "ipe-auditd"))
		},
		func() error { return s.confinement(b.source) },
		func() error { return s.documents(b) },
		func() error { return s.legal(b) },
		func() error { return s.packing(b) },
		func() error { return b.settle(s.dir) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return "", err
		}
	}
	return s.dir, nil
}

// put writes a file of the package.
func (s *stage) put(name string, text []byte) error {
	return writeFile(filepath.Join(s.dir, "root", name), text, 0o644)
}

// take copies a file into the package, with its mode.
func (s *stage) take(name, from string) error {
	return copyFile(filepath.Join(s.dir, "root", name), from)
}

// programs is the binary and the completions that it prints.
func (s *stage) programs(ctx context.Context) error {
	if err := s.take(program, s.binary); err != nil {
		return err
	}
	zsh := "usr/share/zsh/site-functions/_ipe-auditd"
	if s.format == "deb" {
		zsh = "usr/share/zsh/vendor-completions/_ipe-auditd"
	}
	for shell, name := range map[string]string{
		"bash": "usr/share/bash-completion/completions/ipe-auditd",
		"fish": "usr/share/fish/vendor_completions.d/ipe-auditd.fish",
		"zsh":  zsh,
	} {
		text, err := output(ctx, s.dir, nil, s.native, "completion", shell)
		if err != nil {
			return err
		}
		if err := s.put(name, []byte(text+"\n")); err != nil {
			return err
		}
	}
	return nil
}

// manual is every page in man, compressed, in the section its name says.
func (s *stage) manual(source string) error {
	pages, err := filepath.Glob(filepath.Join(source, "man", "*.[1-8]"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		section := strings.TrimPrefix(filepath.Ext(page), ".")
		if err := s.put("usr/share/man/man"+section+"/"+filepath.Base(page)+".gz", compressed(text)); err != nil {
			return err
		}
	}
	return nil
}

// systemd is everything in deploy/systemd: each file has its place by its name,
// and one that has none is an error, so that a new one is not forgotten here.
func (s *stage) systemd(dir string) error {
	return filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		place, ok := systemdPlace(filepath.ToSlash(name))
		if !ok {
			return fmt.Errorf("deploy/systemd/%s: no rule in deploy/packages/stage.go says where it is installed", name)
		}
		return s.take(place, file)
	})
}

// systemdPlace says where a file of deploy/systemd is installed.
func systemdPlace(name string) (place string, ok bool) {
	base := path.Base(name)
	switch {
	case strings.Contains(name, "/"): // drop-ins, to be copied by those who want them
		return examples + "/systemd/" + name, true
	case strings.HasSuffix(name, ".service"), strings.HasSuffix(name, ".socket"):
		return "usr/lib/systemd/system/" + base, true
	case strings.HasSuffix(name, ".catalog"):
		return "usr/lib/systemd/catalog/" + base, true
	case name == "sysusers.conf":
		return "usr/lib/sysusers.d/ipe-auditd.conf", true
	case name == "tmpfiles.conf":
		return "usr/lib/tmpfiles.d/ipe-auditd.conf", true
	}
	return "", false
}

// confinement is the AppArmor profiles, where Debian has them loaded, and the sources
// of the SELinux module, which is compiled against the policy of the host.
func (s *stage) confinement(source string) error {
	profiles := "etc/apparmor.d/ipe-auditd"
	if s.format != "deb" {
		profiles = examples + "/apparmor/ipe-auditd" // few that take rpm have AppArmor
	}
	if err := s.take(profiles, filepath.Join(source, "deploy", "apparmor", "ipe-auditd")); err != nil {
		return err
	}
	for _, name := range []string{"ipe_auditd.te", "ipe_auditd.fc"} {
		if err := s.take(examples+"/selinux/"+name, filepath.Join(source, "deploy", "selinux", name)); err != nil {
			return err
		}
	}
	return nil
}

// documents is what people read. There is no configuration in /etc: without one
// the daemon does everything, and a file that only repeats the defaults would
// have to be merged at every upgrade.
func (s *stage) documents(b *build) error {
	for to, patterns := range map[string][]string{
		docs:     {"README.md", "SECURITY.md", "docs/*.md"},
		examples: {"configs/*.yaml", "configs/examples/*", "deploy/prometheus/*.yml", "deploy/kubernetes/*.yaml", "deploy/fleet/*.sql", "deploy/fleet/*.logsql", "deploy/fleet/*.yaml"},
	} {
		for _, pattern := range patterns {
			files, err := filepath.Glob(filepath.Join(b.source, pattern))
			if err != nil {
				return err
			}
			for _, file := range files {
				if err := s.take(to+"/"+filepath.Base(file), file); err != nil {
					return err
				}
			}
		}
	}
	return s.take(docs+"/ipe-auditd.cdx.json", filepath.Join(b.out, b.billOf(s.arch)))
}

// legal is the licences and the change logs, where each format wants them.
func (s *stage) legal(b *build) error {
	changes, err := os.ReadFile(filepath.Join(b.source, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	if s.format != "deb" {
		for _, name := range []string{"LICENSE", noticesFile} {
			if err := s.take("usr/share/licenses/ipe-auditd/"+name, filepath.Join(b.source, name)); err != nil {
				return err
			}
		}
		return s.put(docs+"/CHANGELOG.md", changes)
	}
	for name, text := range map[string][]byte{
		docs + "/changelog.gz":                   compressed(changes),
		docs + "/changelog.Debian.gz":            compressed(b.debianChangelog()),
		docs + "/copyright":                      debianCopyright(b.modules),
		"usr/share/lintian/overrides/ipe-auditd": nil,
	} {
		if text == nil {
			if text, err = os.ReadFile(filepath.Join(b.source, "deploy", "packages", "lintian-overrides")); err != nil {
				return err
			}
		}
		if err := s.put(name, text); err != nil {
			return err
		}
	}
	return nil
}

// packing is what nfpm reads beside root.
func (s *stage) packing(b *build) error {
	dir := filepath.Join(b.source, "deploy", "packages")
	scripts, err := filepath.Glob(filepath.Join(dir, s.format, "*"))
	if err != nil {
		return err
	}
	for _, script := range scripts {
		if err := copyFile(filepath.Join(s.dir, "scripts", filepath.Base(script)), script); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "nfpm.yaml"))
	if err != nil {
		return err
	}
	list, err := s.contents()
	if err != nil {
		return err
	}
	if s.format == "rpm" {
		text = append(text, "changelog: changelog.yaml\n"...)
		if err := writeFile(filepath.Join(s.dir, "changelog.yaml"), b.rpmChangelog(), 0o644); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(s.dir, "nfpm.yaml"), append(text, list...), 0o644)
}

// contents lists what is below root for nfpm, each with what it is: both formats
// treat configuration with care, and rpm can tell documents from the rest. Of
// the folders, those with our name are ours.
func (s *stage) contents() ([]byte, error) {
	list := []byte("contents:\n")
	root := filepath.Join(s.dir, "root")
	return list, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(file, root)
		kind, mode := `""`, info.Mode().Perm()
		switch {
		case d.IsDir():
			if !strings.Contains(name, "ipe-auditd") {
				return nil
			}
			kind, mode = "dir", 0o755
		case strings.HasPrefix(name, "/etc/"):
			kind = "config|noreplace"
		case s.format == "rpm" && (strings.HasPrefix(name, "/usr/share/doc/") || strings.HasPrefix(name, "/usr/share/man/")):
			kind = "doc"
		case s.format == "rpm" && strings.HasPrefix(name, "/usr/share/licenses/"):
			kind = "license"
		}
		list = fmt.Appendf(list, "  - {src: %q, dst: %q, type: %s, file_info: {mode: %#o}}\n", "root"+name, name, kind, mode)
		return nil
	})
}

// settle gives everything the time of the release.
func (b *build) settle(dir string) error {
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, b.time, b.time)
	})
}

// compressed is gzip -9n.
func compressed(text []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // this level exists
	w.Write(text)                                         // a buffer takes everything
	w.Close()
	return b.Bytes()
}

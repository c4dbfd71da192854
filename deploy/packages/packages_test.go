package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	testVersion  = "0.0.2"
	olderVersion = "0.0.1"
)

var buildAll = flag.Bool("build", false, "build a release and try its packages")

// testRelease is a build of everything, in dir.
type testRelease struct {
	dir  string
	nfpm string
}

// TestPackages builds a release of this tree and looks at it in every way.
func TestPackages(t *testing.T) {
	if !*buildAll {
		t.Skip("builds a release: enable with go test ./deploy/packages -build")
	}
	need(t, "git", "dpkg-deb", "unshare")
	r := &testRelease{dir: t.TempDir(), nfpm: fetchNFPM(t)}
	t.Chdir(project)
	if err := run(t.Context(), []string{"-version", testVersion, "-nfpm", r.nfpm, "-out", r.dir}); err != nil {
		t.Fatal(err)
	}
	t.Run("contents of deb", func(t *testing.T) { r.contents(t, "deb", r.debList(t)) })
	t.Run("contents of rpm", func(t *testing.T) { r.contents(t, "rpm", r.rpmList(t)) })
	t.Run("binaries are static and say their version", r.binaries)
	t.Run("lintian", r.lintian)
	t.Run("rpmlint", r.rpmlint)
	t.Run("bill of materials", r.materials)
	t.Run("image", r.image)
	t.Run("source archive is the same again", r.archiveAgain)
	t.Run("source archive builds the same without a network", r.offline)
	t.Run("life of the deb", r.debLife)
}

// need skips when programs are missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s", p)
		}
	}
}

// fetchNFPM installs nfpm for this test alone, so that it can run without a
// network later.
func fetchNFPM(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := output(t.Context(), dir, []string{"GOBIN=" + dir, "GOFLAGS="}, "go", "install",
		"github.com/goreleaser/nfpm/v2/cmd/nfpm@"+nfpmVersion); err != nil {
		t.Skipf("needs nfpm, or a network to fetch it: %v", err)
	}
	return filepath.Join(dir, "nfpm")
}

// must runs a command and returns what it prints.
func must(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	out, err := output(t.Context(), dir, nil, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *testRelease) deb(arch string) string {
	return filepath.Join(r.dir, "ipe-auditd_"+testVersion+"-1_"+arch+".deb")
}

func (r *testRelease) rpm(arch string) string {
	return filepath.Join(r.dir, "ipe-auditd-"+testVersion+"-1."+arch+".rpm")
}

// debList returns the files of the package, each as mode, owner and path.
func (r *testRelease) debList(t *testing.T) []string {
	var files []string
	for line := range strings.Lines(must(t, "", "dpkg-deb", "-c", r.deb("amd64"))) {
		f := strings.Fields(line)
		files = append(files, f[0]+" "+f[1]+" "+strings.TrimPrefix(f[5], "."))
	}
	return files
}

func (r *testRelease) rpmList(t *testing.T) []string {
	need(t, "rpm")
	out := must(t, "", "rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", r.rpm("x86_64"))
	return strings.Split(strings.TrimSpace(out), "\n")
}

// contents compares the files with what must be there, and all of them with what
// may be.
func (r *testRelease) contents(t *testing.T, format string, files []string) {
	want := []string{
		"-rwxr-xr-x root/root /usr/sbin/ipe-auditd",
		"-rw-r--r-- root/root /usr/lib/systemd/system/ipe-auditd.socket",
		"-rw-r--r-- root/root /usr/lib/systemd/system/ipe-auditd.service",
		"-rw-r--r-- root/root /usr/lib/systemd/system/ipe-auditd-lost.socket",
		"-rw-r--r-- root/root /usr/lib/systemd/system/ipe-auditd-lost.service",
		"-rw-r--r-- root/root /usr/lib/systemd/catalog/ipe-auditd.catalog",
		"-rw-r--r-- root/root /usr/lib/sysusers.d/ipe-auditd.conf",
		"-rw-r--r-- root/root /usr/lib/tmpfiles.d/ipe-auditd.conf",
		"-rw-r--r-- root/root /etc/logrotate.d/ipe-auditd",
		"-rw-r--r-- root/root /usr/share/man/man1/ipe-auditd-report.1.gz",
		"-rw-r--r-- root/root /usr/share/man/man8/ipe-auditd.8.gz",
		"-rw-r--r-- root/root /usr/share/man/man5/ipe-auditd.yaml.5.gz",
		"-rw-r--r-- root/root /usr/share/man/man7/ipe-events.7.gz",
		"-rw-r--r-- root/root /usr/share/bash-completion/completions/ipe-auditd",
		"-rw-r--r-- root/root /usr/share/fish/vendor_completions.d/ipe-auditd.fish",
		"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/examples/ipe-auditd.yaml",
		"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/examples/selinux/ipe_auditd.te",
		"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/ipe-auditd.cdx.json",
		"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/ipe-hosts.md",
	}
	if format == "deb" {
		want = append(want, "-rw-r--r-- root/root /etc/apparmor.d/ipe-auditd")
	}
	want = append(want, map[string][]string{
		"deb": {
			"-rw-r--r-- root/root /usr/share/zsh/vendor-completions/_ipe-auditd",
			"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/copyright",
			"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/changelog.gz",
			"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/changelog.Debian.gz",
		},
		"rpm": {
			"-rw-r--r-- root/root /usr/share/zsh/site-functions/_ipe-auditd",
			"-rw-r--r-- root/root /usr/share/licenses/ipe-auditd/LICENSE",
			"-rw-r--r-- root/root /usr/share/licenses/ipe-auditd/THIRD-PARTY-NOTICES",
			"-rw-r--r-- root/root /usr/share/doc/ipe-auditd/CHANGELOG.md",
		},
	}[format]...)
	for _, w := range want {
		if !slices.Contains(files, w) {
			t.Errorf("not in the package: %s", w)
		}
	}
	for _, file := range files {
		mode, path, _ := strings.Cut(file, " root/root ")
		if path == "" || !slices.Contains([]string{"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}, mode) {
			t.Errorf("owner or mode: %s", file)
		}
		if mode[0] == '-' && !strings.Contains(path, "ipe-auditd") && !strings.Contains(path, "/man/man") {
			t.Errorf("a name that is not ours: %s", file)
		}
		if strings.Contains(path, "/var/") || strings.Contains(path, "/run/") || strings.HasPrefix(path, "/etc/ipe-auditd") {
			t.Errorf("made by tmpfiles or by people, not by the package: %s", file)
		}
	}
}

// binaries looks into the packages themselves.
func (r *testRelease) binaries(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		dir := t.TempDir()
		must(t, "", "dpkg-deb", "-x", r.deb(arch), dir)
		name := filepath.Join(dir, program)
		f, err := elf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != machine {
			t.Errorf("%s: made for %s", arch, f.Machine)
		}
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s: not static", arch)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, foreign := range []string{must(t, "", "go", "env", "GOROOT"), os.TempDir() + "/", "ipe-auditd-packages-"} {
			if bytes.Contains(text, []byte(foreign)) {
				t.Errorf("%s: names %q, a folder of this machine", arch, foreign)
			}
		}
		version := must(t, "", "dpkg-deb", "-f", r.deb(arch), "Version")
		if version != testVersion+"-1" {
			t.Errorf("version of the package: %s", version)
		}
		if arch != runtime.GOARCH {
			continue
		}
		var says struct{ Version string }
		if err := json.Unmarshal([]byte(must(t, "", name, "version", "--json")), &says); err != nil {
			t.Fatal(err)
		}
		if says.Version != testVersion {
			t.Errorf("the binary says %s, the package %s", says.Version, version)
		}
	}
}

func (r *testRelease) lintian(t *testing.T) {
	need(t, "lintian")
	for _, arch := range []string{"amd64", "arm64"} {
		out, err := exec.CommandContext(t.Context(), "lintian", "--allow-root", "--fail-on", "error,warning", r.deb(arch)).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// rpmlint unpacks with cpio, which as root would follow the absolute names of
// the package: into the system.
func (r *testRelease) rpmlint(t *testing.T) {
	need(t, "rpmlint", "rpm2cpio", "cpio")
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := writeFile(filepath.Join(bin, "cpio"), []byte("#!/bin/sh\nexec "+cpio+" --no-absolute-filenames \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, arch := range []string{"x86_64", "aarch64"} {
		out, err := exec.CommandContext(t.Context(), "rpmlint", "--strict", "--config", "deploy/packages/rpmlint.toml", r.rpm(arch)).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// materials checks the bill against the list that go itself makes.
func (r *testRelease) materials(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		text, err := os.ReadFile(filepath.Join(r.dir, "ipe-auditd-"+testVersion+"-"+arch+".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		var b bill
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, c := range b.Components {
			if len(c.Licenses) != 1 || c.Licenses[0].License.ID == "" || c.Purl != "pkg:golang/"+c.Name+"@"+c.Version {
				t.Errorf("%s: incomplete: %+v", arch, c)
			}
			listed = append(listed, c.Name+" "+c.Version)
		}
		dir := t.TempDir()
		must(t, "", "dpkg-deb", "-x", r.deb(arch), dir)
		linked := []string{"std " + strings.TrimPrefix(runtime.Version(), "go")}
		for line := range strings.Lines(must(t, "", "go", "version", "-m", filepath.Join(dir, program))) {
			if f := strings.Fields(line); f[0] == "dep" {
				linked = append(linked, f[1]+" "+f[2])
			}
		}
		if !slices.Equal(listed, linked) {
			t.Errorf("%s: listed %q, linked %q", arch, listed, linked)
		}
		digest, err := sha256File(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		if b.Metadata.Component.Hashes[0].Content != digest {
			t.Errorf("%s: the digest is not that of the packaged binary", arch)
		}
	}
}

// archiveAgain makes the source archive once more, in other circumstances.
func (r *testRelease) archiveAgain(t *testing.T) {
	again := t.TempDir()
	odd(t, ".", "go", "run", "./deploy/packages", "-version", testVersion, "-format", "", "-out", again)
	same(t, r.dir, again, "ipe-auditd-"+testVersion+".tar.gz")
}

// offline builds the packages from the unpacked archive: elsewhere, without a
// network, with nothing compiled before. What comes out is the same to the byte.
func (r *testRelease) offline(t *testing.T) {
	dir, again := t.TempDir(), t.TempDir()
	must(t, dir, "tar", "-xf", filepath.Join(r.dir, "ipe-auditd-"+testVersion+".tar.gz"))
	dir = filepath.Join(dir, "ipe-auditd-"+testVersion)
	t.Setenv("GOFLAGS", "-mod=vendor")
	t.Setenv("GOPROXY", "off")
	lonely := []string{}
	if os.Getuid() == 0 {
		lonely = []string{"unshare", "--net", "--"}
	} else {
		t.Log("not root: with GOPROXY=off, but not in a network namespace of its own")
	}
	// Everything that the packages and their tests import is in the archive.
	odd(t, dir, append(lonely, "go", "list", "-deps", "-test", "./...")...)
	odd(t, dir, append(lonely, "go", "test", "-short", "./pkg/ipe", "./internal/auditrec", "./internal/format", "./internal/match", "./internal/config")...)
	tool := filepath.Join(t.TempDir(), "packages")
	odd(t, dir, append(lonely, "go", "build", "-o", tool, "./deploy/packages")...)
	t.Setenv("GOCACHE", t.TempDir())
	odd(t, dir, append(lonely, tool, "-arch", "amd64", "-nfpm", r.nfpm, "-out", again)...)
	same(t, r.dir, again, filepath.Base(r.deb("amd64")), filepath.Base(r.rpm("x86_64")), "ipe-auditd-"+testVersion+"-amd64.cdx.json")
}

// odd runs a command with another umask, language and time zone.
func odd(t *testing.T, dir string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `umask 077; exec "$@"`, "sh"}, command...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TZ=Asia/Tokyo", "LC_ALL=C", "HOSTNAME=elsewhere")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// same compares files of two folders.
func same(t *testing.T, a, b string, names ...string) {
	t.Helper()
	for _, name := range names {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%s is not the same when it is built again", name)
		}
	}
}

// An archive that lacks a file, or holds one too many, is seen by what it builds
// and by this: what git has, the modules, the version.
func TestSourceArchiveHoldsWhatGitHas(t *testing.T) {
	t.Parallel()
	tree := gitTree(t)
	writeTest(t, tree, "go.mod", "module example.com/m\n\ngo 1.26\n")
	writeTest(t, tree, "m.go", "package m\n")
	writeTest(t, tree, "gone.go", "package m\n")
	writeTest(t, tree, ".gitignore", "/dist/\n")
	git(t, tree, "add", ".")
	git(t, tree, "commit", "--quiet", "-m", "second")
	writeTest(t, tree, "new.go", "package m\n")
	writeTest(t, tree, "dist/x", "")
	if err := errors.Join(os.Chmod(filepath.Join(tree, "m.go"), 0o600), os.Remove(filepath.Join(tree, "gone.go"))); err != nil {
		t.Fatal(err)
	}
	b := &build{release: release{version: "1.0"}, out: t.TempDir(), scratch: t.TempDir()}
	if err := b.archive(context.Background(), tree); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(b.out, "ipe-auditd-1.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 {
			t.Errorf("%s has the mode %o", h.Name, h.Mode)
		}
		got = append(got, strings.TrimPrefix(h.Name, "ipe-auditd-1.0/"))
	}
	want := ".gitignore CHANGELOG.md VERSION go.mod m.go new.go"
	if strings.Join(got, " ") != want {
		t.Errorf("the archive holds %q, want %q", got, want)
	}
}

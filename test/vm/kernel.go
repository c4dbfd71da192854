package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kernel is a kernel to boot.
type Kernel struct {
	Release string // "6.12.117+deb12-cloud-amd64"
	Image   string // file name of the bzImage

	modules []string // directories that may have its modules
}

// Module returns the module as the kernel takes it, or an error that is
// os.ErrNotExist: the archive keeps the modules of some kernels only.
func (k *Kernel) Module(name string) ([]byte, error) {
	var file string
	for _, dir := range k.modules {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == name+".ko.xz" {
				file = path
				return fs.SkipAll
			}
			return err
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if file == "" {
		return nil, fmt.Errorf("module %s of %s: %w", name, k.Release, os.ErrNotExist)
	}
	return exec.Command("busybox", "unxz", "-c", file).Output()
}

// AtLeast reports whether the kernel is of this version or a later one.
func (k *Kernel) AtLeast(major, minor int) bool {
	return slices.Compare(numbers(k.Release), []int{major, minor}) >= 0
}

// Generations are the versions of Linux with IPE in Debian's archives.
func Generations() []string {
	return []string{"6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3"}
}

// Newest is the version that stands for the newest kernel there is.
const Newest = "newest"

// selectionAge is how old a choice of package may be before the archive is
// asked again.
const selectionAge = 7 * 24 * time.Hour

// FindKernel returns Debian's kernel of this version, such as "6.12", or of
// the version Newest. It fetches it with apt when it is not in the cache
// directory. A version with a slash is the file name of a kernel image.
func FindKernel(ctx context.Context, cache, version string) (*Kernel, error) {
	if strings.Contains(version, "/") {
		return &Kernel{Release: strings.TrimPrefix(filepath.Base(version), "vmlinuz-"), Image: version}, nil
	}
	// The choice is remembered, so that a second run needs no network.
	note := filepath.Join(cache, "kernel-"+version)
	remembered, noteErr := os.ReadFile(note)
	if info, err := os.Stat(note); noteErr == nil && err == nil && time.Since(info.ModTime()) < selectionAge {
		if k, err := unpacked(cache, string(remembered)); err == nil {
			return k, nil
		}
	}
	k, err := fetchKernel(ctx, cache, version, note)
	if err != nil && noteErr == nil {
		if old, oldErr := unpacked(cache, string(remembered)); oldErr == nil {
			return old, nil
		}
	}
	return k, err
}

// fetchKernel asks the archive, one part of it after the other, since the
// later ones have large indexes.
func fetchKernel(ctx context.Context, cache, version, note string) (*Kernel, error) {
	suites := []string{securitySuite, "trixie-backports", "sid"}
	if version == Newest {
		suites = []string{"trixie-backports sid"}
	}
	var errs []error
	for _, suite := range suites {
		a, err := newApt(ctx, cache, strings.Fields(suite)...)
		if err != nil {
			return nil, err
		}
		names, err := a.names(ctx, `^linux-(binary|image|modules)-[0-9.]+[+].*-cloud-amd64(-unsigned)?$`)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		name := choose(names, version)
		if name == "" {
			errs = append(errs, fmt.Errorf("%s has no kernel %s", suite, version))
			continue
		}
		if err := a.unpack(ctx, name, filepath.Join(cache, "kernels")); err != nil {
			return nil, err
		}
		if modules := modulesPrefix + releaseOf(name); slices.Contains(names, modules) {
			if err := a.unpack(ctx, modules, filepath.Join(cache, "kernels")); err != nil {
				return nil, err
			}
		}
		k, err := unpacked(cache, name)
		if err != nil {
			return nil, err
		}
		return k, os.WriteFile(note, []byte(name), 0o644)
	}
	return nil, errors.Join(errs...)
}

// modulesPrefix begins the names of the packages that have the modules, from
// 6.19 on.
const modulesPrefix = "linux-modules-"

// choose returns the package that has the image of the latest kernel of the
// version. Up to 6.18 that is linux-image-*; from 6.19 on linux-image is empty
// and linux-binary has it.
func choose(names []string, version string) string {
	var best string
	for _, name := range names {
		release := releaseOf(name)
		binary := strings.HasPrefix(name, "linux-binary-")
		v := numbers(release)
		switch {
		case strings.HasPrefix(name, modulesPrefix):
		case binary != (slices.Compare(v, []int{6, 19}) >= 0):
		case slices.Compare(v, []int{6, 12}) < 0:
		case version != Newest && !strings.HasPrefix(release, version+"."):
		case best == "" || slices.Compare(v, numbers(releaseOf(best))) > 0:
			best = name
		}
	}
	return best
}

// releaseOf returns the release of the kernel in a package.
func releaseOf(name string) string {
	name = strings.TrimSuffix(name, "-unsigned")
	return name[strings.IndexAny(name, "0123456789"):]
}

// numbers returns the numbers that a release begins with.
func numbers(release string) []int {
	var v []int
	for _, n := range strings.Split(regexp.MustCompile(`^[0-9.]*`).FindString(release), ".") {
		i, _ := strconv.Atoi(n) // too large a number is none we look for
		v = append(v, i)
	}
	return v
}

// unpacked returns the kernel of a package that is in the cache.
func unpacked(cache, name string) (*Kernel, error) {
	root, release := filepath.Join(cache, "kernels", name), releaseOf(name)
	for _, image := range []string{
		filepath.Join(root, "boot", "vmlinuz-"+release),
		filepath.Join(root, "usr/lib/modules", release, "vmlinuz"), // from 7.2 on
	} {
		if _, err := os.Stat(image); err == nil {
			modules := filepath.Join("lib/modules", release)
			return &Kernel{Release: release, Image: image, modules: []string{
				filepath.Join(root, modules), filepath.Join(root, "usr", modules),
				filepath.Join(cache, "kernels", modulesPrefix+release, "usr", modules),
			}}, nil
		}
	}
	return nil, fmt.Errorf("package %s has no kernel image", name)
}

// apt is a state of apt's own in the cache directory, beside that of the host.
type apt struct {
	dir     string
	options []string
}

// securitySuite stands for the host's own source of security updates.
const securitySuite = "security"

// newApt brings the indexes of the suites up to date, from the mirrors that the
// host uses.
func newApt(ctx context.Context, cache string, suites ...string) (*apt, error) {
	a := &apt{dir: filepath.Join(cache, "apt")}
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	sources, err := sourcesList(ctx, suites)
	if err != nil {
		return nil, err
	}
	list := filepath.Join(a.dir, strings.Join(suites, "+")+".list")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	for _, option := range []string{
		"Dir::Etc::SourceList=" + list, "Dir::Etc::SourceParts=-",
		"Dir::State::Lists=" + filepath.Join(a.dir, "lists"), "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"APT::Get::List-Cleanup=false", "APT::Sandbox::User=root", "Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "Acquire::Retries=2", "Acquire::http::Timeout=30",
	} {
		a.options = append(a.options, "-o", option)
	}
	_, err = a.run(ctx, "", "apt-get", "-qq", "update")
	return a, err
}

// sourcesList returns lines for the suites. Debian's mirrors are the host's.
func sourcesList(ctx context.Context, suites []string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	var mirror, security, securityRelease string
	for line := range strings.Lines(string(out)) {
		uri, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case strings.HasSuffix(release, "-security") && security == "":
			security, securityRelease = uri, release
		case strings.HasSuffix(uri, "/debian/") && mirror == "":
			mirror = uri
		}
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	var b strings.Builder
	for _, suite := range suites {
		uri := mirror
		if suite == securitySuite {
			uri, suite = security, securityRelease
		}
		if uri == "" {
			return "", fmt.Errorf("no mirror of Debian for %s among the sources of apt", suite)
		}
		fmt.Fprintf(&b, "deb %s%s %s main\n", signed, uri, suite)
	}
	return b.String(), nil
}

// names returns the packages whose names match.
func (a *apt) names(ctx context.Context, pattern string) ([]string, error) {
	out, err := a.run(ctx, "", "apt-cache", "search", "--names-only", pattern)
	var names []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names, err
}

// unpack fetches a package and unpacks it into a folder of its name below dir.
// The folder appears when it is complete.
func (a *apt) unpack(ctx context.Context, name, dir string) error {
	final := filepath.Join(dir, name)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := a.run(ctx, work, "apt-get", "-qq", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s: %d files: %w", name, len(debs), err)
	}
	content := filepath.Join(work, "content")
	if _, err := a.run(ctx, work, "dpkg-deb", "-x", debs[0], content); err != nil {
		return err
	}
	if err := os.Rename(content, final); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// run runs a program of apt's or dpkg's and returns its output.
func (a *apt) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	if strings.HasPrefix(program, "apt-") {
		args = append(slices.Clone(a.options), args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

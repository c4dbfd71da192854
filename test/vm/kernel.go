package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// imageRelease returns the release that a bzImage says it is: kernel_version in
// Documentation/arch/x86/boot.rst.
func imageRelease(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	const base, pointer = 0x200, 0x20e
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	head = head[:n]
	if n < pointer+2 || string(head[0x202:0x206]) != "HdrS" {
		return "", fmt.Errorf("%s: not a kernel image", file)
	}
	at := base + int(binary.LittleEndian.Uint16(head[pointer:]))
	release, _, ok := bytes.Cut(head[min(at, n):], []byte(" "))
	if !ok {
		return "", fmt.Errorf("%s: the image has no release", file)
	}
	return string(release), nil
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
		release, err := imageRelease(version)
		return &Kernel{Release: release, Image: version}, err
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
			errs = append(errs, err)
			continue
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

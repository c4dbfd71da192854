package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

// suite is the first release of Debian whose systemd has OpenFile= and whose
// archive will last.
const suite = "trixie"

// packages are what the guest has besides what is essential.
const packages = "systemd,systemd-sysv,rsyslog,logrotate,kmod,procps,curl" +
	",fsverity,cryptsetup-bin,e2fsprogs" // what docs/ipe-hosts.md uses

// paths are which files dpkg leaves out, since nobody reads them in the guest,
// and which not.
var paths = [...]string{
	"path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/man/*",
	"path-include=/usr/share/doc/ipe-auditd/*",
}

// tools are the programs that the guest is made with, besides those of test/vm,
// and the packages that have them.
var tools = [...]struct{ name, pkg string }{
	{"mmdebstrap", "mmdebstrap"},
	{"tar", "tar"},
}

// Missing returns what the host lacks, as an error that is vm.ErrMissing.
func Missing(lab *vm.Lab) error {
	if !lab.Verity {
		return fmt.Errorf("%w: mkfs.ext4, of the package e2fsprogs", vm.ErrMissing)
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("%w: %s, of the package %s", vm.ErrMissing, tool.name, tool.pkg)
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: root's rights, to install packages into a folder", vm.ErrMissing)
	}
	return nil
}

// Base returns the file name of a tar archive of Debian's root file system,
// which it makes when the cache directory has none. Remove it to get the
// packages of today.
func Base(ctx context.Context, cache string) (string, error) {
	sources, err := vm.Sources(ctx, suite)
	if err != nil {
		return "", err
	}
	args := []string{"--quiet", "--variant=minbase", "--include=" + packages, `--aptopt=APT::Install-Recommends "false"`}
	for _, path := range paths {
		args = append(args, "--dpkgopt="+path)
	}
	sum := sha256.Sum256([]byte(suite + strings.Join(args, "\n")))
	file := filepath.Join(cache, "debian-"+suite+"-"+hex.EncodeToString(sum[:4])+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	work, err := os.MkdirTemp(cache, "debian-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, "root.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, suite, made, "-")...)
	cmd.Stdin = strings.NewReader(sources)
	if err := run(cmd); err != nil {
		return "", err
	}
	return file, os.Rename(made, file)
}

//go:embed all:root
var additions embed.FS

// Root makes a root file system in dir: Debian as Base has it, these files of
// packages installed by dpkg, and what the test adds.
func Root(ctx context.Context, archive, dir string, debs ...string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := run(exec.CommandContext(ctx, "tar", "-x", "--numeric-owner", "--xattrs", "-f", archive, "-C", dir)); err != nil {
		return err
	}
	if err := install(ctx, dir, debs); err != nil {
		return err
	}
	if err := add(dir); err != nil {
		return err
	}
	for _, mountPoint := range []string{"opt/vm/bin", "opt/vm/state"} {
		if err := os.MkdirAll(filepath.Join(dir, mountPoint), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// add copies the folder root of this package over the root file system.
func add(dir string) error {
	return fs.WalkDir(additions, "root", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, strings.TrimPrefix(path, "root"))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := additions.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(target, text, mode); err != nil {
			return err
		}
		return os.Chmod(target, mode)
	})
}

// install installs packages into the root file system in dir, in the order
// given.
func install(ctx context.Context, dir string, debs []string) error {
	if len(debs) == 0 {
		return nil
	}
	const place = "/var/cache/apt/archives"
	args := []string{"--install"}
	for _, deb := range debs {
		text, err := os.ReadFile(deb)
		if err != nil {
			return err
		}
		inside := filepath.Join(place, filepath.Base(deb))
		if err := os.WriteFile(filepath.Join(dir, inside), text, 0o644); err != nil {
			return err
		}
		args = append(args, inside)
	}
	return inRoot(ctx, dir, "/usr/bin/dpkg", args...)
}

// inRoot runs a program with dir as its root directory, where it can reach
// nothing of the host's.
func inRoot(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     dir,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	return run(cmd)
}

// run runs a program; its error has what the program said.
func run(cmd *exec.Cmd) error {
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		const most = 4 << 10
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(out[max(0, len(out)-most):]))
	}
	return nil
}

package vm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrMissing is returned by NewLab when the host lacks a tool. The error says
// which, and which package of Debian has it.
var ErrMissing = errors.New("missing on this host")

// ImageFile is the name of the kernel's image in a guest, for kexec.
const ImageFile = "/boot/vmlinuz"

// Lab is what guests of all kernels share: a key that they trust and what they
// run.
type Lab struct {
	Key *Key

	// Cache is the directory where kernels are kept between runs.
	Cache string

	// Verity reports whether guests have a disk for ext4 with fs-verity,
	// /dev/nvme0n1.
	Verity bool

	mkfs     string
	firmware Firmware
	files    map[string]string

	probe       sync.Once
	accelerator string
}

// tools are the programs that a lab needs, and the packages that have them.
var tools = [...]struct{ name, pkg string }{
	{"qemu-system-x86_64", "qemu-system-x86"},
	{"busybox", "busybox-static"},
	{"openssl", "openssl"},
	{"apt-get", "apt"},
	{"dpkg-deb", "dpkg"},
}

// NewLab makes a key and builds what runs in guests, in dir, which has to stay
// as long as the lab is used. A daemon is the file name of a static one to run
// instead of the one of this source tree. The accelerator is kvm, tcg, or auto
// for what is found to work.
func NewLab(dir, daemon, accelerator string) (*Lab, error) {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			return nil, fmt.Errorf("%w: %s, of the package %s", ErrMissing, tool.name, tool.pkg)
		}
	}
	l := &Lab{accelerator: accelerator}
	if accelerator != "auto" {
		l.probe.Do(func() {})
	}
	for _, name := range []string{"mkfs.ext4", "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"} { // a user's PATH may lack the others
		if file, err := exec.LookPath(name); err == nil {
			l.mkfs, l.Verity = file, true
			break
		}
	}
	var err error
	if l.Cache, err = cacheDir(); err != nil {
		return nil, err
	}
	if l.Key, err = NewKey(dir, "ipe-auditd-test"); err != nil {
		return nil, err
	}
	if l.firmware, err = trustingFirmware(dir, l.Key); err != nil {
		return nil, err
	}
	l.files, err = Build(dir, daemon)
	return l, err
}

// cacheDir returns the directory for what is kept between runs.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: a place to keep kernels: %w", ErrMissing, err)
	}
	dir = filepath.Join(dir, "ipe-auditd-vm")
	return dir, os.MkdirAll(dir, 0o755)
}

// trustingFirmware returns OVMF as Debian ships it, with variables of its own
// in dir, that make the kernel trust the key.
func trustingFirmware(dir string, key *Key) (Firmware, error) {
	const ovmf = "/usr/share/OVMF/"
	for _, suffix := range []string{"_4M.fd", ".fd"} {
		empty, err := os.ReadFile(ovmf + "OVMF_VARS" + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Firmware{}, err
		}
		store, err := VariableStore(empty, key.Certificate)
		if err != nil {
			return Firmware{}, fmt.Errorf("%sOVMF_VARS%s: %w", ovmf, suffix, err)
		}
		f := Firmware{Code: ovmf + "OVMF_CODE" + suffix, Variables: filepath.Join(dir, "variables.fd")}
		return f, os.WriteFile(f.Variables, store, 0o600)
	}
	return Firmware{}, fmt.Errorf("%w: %sOVMF_VARS_4M.fd, of the package ovmf", ErrMissing, ovmf)
}

// Boot starts a guest. The command line is added to what the guest needs, and
// dir is for its files. With terminal, the guest's console is on standard input
// and output.
func (l *Lab) Boot(ctx context.Context, k *Kernel, commandLine, dir string, terminal bool) (*Guest, error) {
	m := &Machine{
		Kernel: k, Initramfs: filepath.Join(dir, "initramfs"), Firmware: l.firmware,
		Append: commandLine, Dir: dir, Terminal: terminal,
	}
	files := maps.Clone(l.files)
	files[ImageFile] = k.Image
	if err := Initramfs(m.Initramfs, files); err != nil {
		return nil, err
	}
	if l.Verity {
		m.Disk = filepath.Join(dir, "disk")
		out, err := exec.CommandContext(ctx, l.mkfs, "-q", "-O", "verity", "-b", "4096", m.Disk, "16M").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", l.mkfs, err, strings.TrimSpace(string(out)))
		}
	}
	var g *Guest
	l.probe.Do(func() { g, l.accelerator = fastest(ctx, m) })
	if g != nil {
		return g, nil
	}
	return Boot(ctx, m, l.accelerator)
}

// kvmTimeout is how long a guest may take with KVM.
const kvmTimeout = 20 * time.Second

// fastest returns the accelerator that works, and the guest that has shown it.
// KVM can be there and yet end QEMU, or hang in the firmware, where it is
// nested.
func fastest(ctx context.Context, m *Machine) (*Guest, string) {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return nil, "tcg"
	}
	f.Close()
	ctx, cancel := context.WithTimeout(ctx, kvmTimeout)
	defer cancel()
	g, err := Boot(ctx, m, "kvm")
	if err != nil {
		return nil, "tcg"
	}
	return g, "kvm"
}

package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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

	// Verity reports whether guests have disks. The one with the serial number
	// DiskEmpty has an empty ext4 for fs-verity. DiskSealed is for dm-verity:
	// SealedBlocks blocks of an ext4 with /program on it, then their hash tree.
	Verity     bool
	SealedRoot [sha256.Size]byte // root hash of the tree

	// Files are the files of every guest, as Build returned them.
	Files map[string]string

	mkfs     string
	sealed   []byte // content of the second disk
	firmware Firmware

	probe       sync.Once
	accelerator string
}

// Serial numbers of disks.
const (
	DiskEmpty  = "empty"
	DiskSealed = "sealed"
)

// SealedBlocks is the size of the file system for dm-verity in blocks of 4096
// bytes.
const SealedBlocks = 256

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
	if l.Verity {
		if err := l.seal(dir); err != nil {
			return nil, err
		}
	}
	if l.Cache, err = cacheDir(); err != nil {
		return nil, err
	}
	if l.Key, err = NewKey(dir, "ipe-auditd-test"); err != nil {
		return nil, err
	}
	if l.firmware, err = trustingFirmware(dir, l.Key); err != nil {
		return nil, err
	}
	l.Files, err = Build(dir, daemon)
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

// Format makes an ext4 file system with blocks of 4096 bytes, by mkfs.ext4 with
// these arguments more. It is for a lab with Verity.
func (l *Lab) Format(args ...string) error {
	out, err := exec.Command(l.mkfs, append([]string{"-q", "-F", "-b", "4096"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", l.mkfs, err, bytes.TrimSpace(out))
	}
	return nil
}

// seal makes the disk for dm-verity.
func (l *Lab) seal(dir string) error {
	root, image := filepath.Join(dir, "root"), filepath.Join(dir, "sealed")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "program"), Program(), 0o755); err != nil {
		return err
	}
	if err := l.Format("-O", "^has_journal", "-d", root, image, fmt.Sprint(SealedBlocks)); err != nil {
		return err
	}
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	var tree []byte
	tree, l.SealedRoot = VerityTree(data)
	l.sealed = append(data, tree...)
	return nil
}

// Boot starts a guest. The command line is added to what the guest needs, and
// dir is for its files. With terminal, the guest's console is on standard input
// and output.
func (l *Lab) Boot(ctx context.Context, k *Kernel, commandLine, dir string, terminal bool) (*Guest, error) {
	m := &Machine{
		Kernel: k, Initramfs: filepath.Join(dir, "initramfs"),
		Append: commandLine, Dir: dir, Terminal: terminal,
	}
	files := maps.Clone(l.Files)
	files[ImageFile] = k.Image
	if err := Initramfs(m.Initramfs, files); err != nil {
		return nil, err
	}
	if l.Verity {
		m.Disks = []string{filepath.Join(dir, DiskEmpty), filepath.Join(dir, DiskSealed)}
		if err := l.Format("-O", "verity", m.Disks[0], "16M"); err != nil {
			return nil, err
		}
		if err := os.WriteFile(m.Disks[1], l.sealed, 0o600); err != nil {
			return nil, err
		}
	}
	return l.Start(ctx, m)
}

// Start boots a machine with the lab's accelerator, and with a firmware that
// makes the kernel trust the lab's key.
func (l *Lab) Start(ctx context.Context, m *Machine) (*Guest, error) {
	m.Firmware = l.firmware
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

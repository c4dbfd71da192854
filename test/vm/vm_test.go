package vm_test

import (
	"context"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

var (
	enabled     = flag.Bool("vm", false, "boot real kernels in QEMU")
	versions    = flag.String("vm.kernel", "6.12", "kernels to boot, with commas between: 6.12, newest, all, the file name of an image")
	accelerator = flag.String("vm.accel", "auto", "what QEMU uses: kvm, tcg, or auto for what works")
	recordDir   = flag.String("vm.record", "", "directory to record captures in: ../captures makes goldens of them")
	daemonFile  = flag.String("vm.daemon", "", "file name of a static daemon to run in the guest; built when empty")
)

// firmware returns OVMF as Debian ships it.
func firmware(t *testing.T) vm.Firmware {
	t.Helper()
	const dir = "/usr/share/OVMF/"
	for _, suffix := range []string{"_4M.fd", ".fd"} {
		f := vm.Firmware{Code: dir + "OVMF_CODE" + suffix, Variables: dir + "OVMF_VARS" + suffix}
		if _, err := os.Stat(f.Code); err == nil {
			return f
		}
	}
	t.Skip("no UEFI firmware for the guest: needs the package ovmf")
	return vm.Firmware{}
}

// lab is what guests of all kernels share.
type lab struct {
	key      *vm.Key
	stranger *vm.Key // the kernel does not know it
	firmware vm.Firmware
	files    map[string]string // of every guest
	cache    string
	mkfs     string // makes ext4 file systems; empty when there is none

	once  sync.Once
	accel string // what was found to work
}

// newLab makes keys and the guest's root file system, or skips.
func newLab(t *testing.T) *lab {
	t.Helper()
	if !*enabled {
		t.Skip("boots kernels in QEMU: enable with go test ./test/vm -vm")
	}
	for tool, pkg := range map[string]string{
		"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "openssl": "openssl",
		"apt-get": "apt", "dpkg-deb": "dpkg",
	} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: needs the package %s", tool, pkg)
		}
	}
	dir := t.TempDir()
	l := &lab{firmware: firmware(t), cache: cacheDir(t)}
	for _, name := range []string{"mkfs.ext4", "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"} { // a user's PATH may lack the others
		if file, err := exec.LookPath(name); err == nil {
			l.mkfs = file
			break
		}
	}
	var err error
	if l.key, err = vm.NewKey(dir, "ipe-auditd-test"); err != nil {
		t.Fatal(err)
	}
	if l.stranger, err = vm.NewKey(dir, "stranger"); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(l.firmware.Variables)
	if err != nil {
		t.Fatal(err)
	}
	store, err := vm.VariableStore(empty, l.key.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	l.firmware.Variables = filepath.Join(dir, "variables.fd")
	if err := os.WriteFile(l.firmware.Variables, store, 0o600); err != nil {
		t.Fatal(err)
	}
	if l.files, err = vm.Build(dir, *daemonFile); err != nil {
		t.Fatal(err)
	}
	return l
}

// cacheDir is where kernels are kept between runs.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir() // no home directory
	}
	dir = filepath.Join(dir, "ipe-auditd-vm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// bootImage is the name of the kernel's image in the guest, for kexec.
const bootImage = "/boot/vmlinuz"

// boot starts a guest that ends with the test.
func (l *lab) boot(t *testing.T, k *vm.Kernel, commandLine string) *vm.Guest {
	t.Helper()
	dir := t.TempDir()
	m := &vm.Machine{Kernel: k, Initramfs: filepath.Join(dir, "initramfs"), Firmware: l.firmware, Append: commandLine, Dir: dir}
	files := maps.Clone(l.files)
	files[bootImage] = k.Image
	if err := vm.Initramfs(m.Initramfs, files); err != nil {
		t.Fatal(err)
	}
	if l.mkfs != "" {
		m.Disk = filepath.Join(dir, "disk")
		if out, err := exec.Command(l.mkfs, "-q", "-O", "verity", "-b", "4096", m.Disk, "16M").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", l.mkfs, err, out)
		}
	}
	var g *vm.Guest
	l.once.Do(func() { g, l.accel = l.probe(t, m) })
	if g == nil {
		var err error
		if g, err = vm.Boot(t.Context(), m, l.accel); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(g.Close)
	return g
}

// kvmTimeout is how long a guest may take with KVM. Nested KVM can be there
// and hang in the firmware.
const kvmTimeout = 20 * time.Second

// probe finds out which accelerator works. It returns a guest if it has one.
func (l *lab) probe(t *testing.T, m *vm.Machine) (*vm.Guest, string) {
	t.Helper()
	if *accelerator != "auto" {
		return nil, *accelerator
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		t.Logf("no KVM: %v", err)
		return nil, "tcg"
	}
	f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), kvmTimeout)
	defer cancel()
	g, err := vm.Boot(ctx, m, "kvm")
	if err != nil {
		t.Logf("KVM does not work here: %v", err)
		return nil, "tcg"
	}
	return g, "kvm"
}

func TestDaemonOnRealKernels(t *testing.T) {
	l := newLab(t)
	list := strings.Split(*versions, ",")
	if i := slices.Index(list, "all"); i >= 0 {
		list = slices.Replace(list, i, i+1, vm.Generations()...)
	}
	for _, version := range list {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			k, err := vm.FindKernel(ctx, l.cache, version)
			if err != nil {
				t.Skipf("no kernel: %v", err)
			}
			t.Logf("kernel %s", k.Release)
			for _, mode := range modes {
				t.Run(mode.name, func(t *testing.T) {
					t.Parallel()
					mode.run(t, l, k)
				})
			}
		})
	}
}

// modes are the ways to boot a guest, by what the kernel's command line says of
// audit.
var modes = []struct {
	name string
	run  func(*testing.T, *lab, *vm.Kernel)
}{
	{"audit unset", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := newSession(t, l, l.boot(t, k, ""), false)
		_ = s.recorded(t, "off", policies, accesses) && s.all(t, trust, floods, stopping)
	}},
	{"audit on", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := newSession(t, l, l.boot(t, k, "audit=1"), true)
		_ = s.recorded(t, "audit1", policies, accesses) && s.all(t, stopping)
		t.Logf("%d times the daemon said that it cannot know what the kernel lost", s.unknown)
	}},
	{"audit off", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := &session{lab: l, guest: l.boot(t, k, "audit=0")}
		s.all(t, silent) // nothing else can be told there
	}},
}

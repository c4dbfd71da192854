package debian

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

//go:embed init.sh
var initScript []byte

// policy returns the text of the policy that is in force when systemd starts.
func policy(image *Image) string {
	return fmt.Sprintf(`policy_name=guest policy_version=1.0.0
DEFAULT action=ALLOW
DEFAULT op=EXECUTE action=DENY
op=EXECUTE boot_verified=TRUE action=ALLOW
op=EXECUTE dmverity_roothash=sha256:%x action=ALLOW
`, image.Root)
}

// modules are what init.sh loads. Some are built in, or not there, in some
// kernels.
var modules = [...]string{"reed_solomon", "dax", "dm-mod", "dm-bufio", "dm-verity", "overlay", "loop"}

// commandLine gives the kernel room for a flood of records, and keeps systemd
// from what takes long and no test is about.
const commandLine = "audit_backlog_limit=8192 systemd.getty_auto=0" +
	" systemd.mask=getty.target systemd.mask=timers.target systemd.mask=systemd-logind.service" +
	" systemd.mask=systemd-udevd.service systemd.mask=systemd-udev-trigger.service" +
	" systemd.mask=systemd-hwdb-update.service systemd.mask=ldconfig.service" +
	" systemd.mask=dev-hugepages.mount systemd.mask=dev-mqueue.mount systemd.mask=sys-fs-fuse-connections.mount" +
	" systemd.mask=sys-kernel-debug.mount systemd.mask=sys-kernel-tracing.mount systemd.mask=systemd-random-seed.service"

// Boot starts a guest of the image. Its files are in dir. It returns when the
// guest's agent answers, which is before the boot has come to its end.
func Boot(ctx context.Context, lab *vm.Lab, k *vm.Kernel, image *Image, dir string) (*vm.Guest, error) {
	m := &vm.Machine{
		Kernel: k, Initramfs: filepath.Join(dir, "initramfs"), Dir: dir,
		Append: fmt.Sprintf("%s vm_blocks=%d vm_root=%x", commandLine, image.Blocks, image.Root),
	}
	state, err := stateDisk(lab, dir)
	if err != nil {
		return nil, err
	}
	m.Disks = []string{image.File, state}

	signed, err := lab.Key.Sign(policy(image))
	if err != nil {
		return nil, err
	}
	files := maps.Clone(lab.Files)
	program := files["/init"]
	files["/bin/act"], files["/bin/agent"] = program, program
	delete(files, "/bin/ipe-auditd") // the guest has it from its package
	write := func(name string, text []byte) error {
		files[name] = filepath.Join(dir, filepath.Base(name))
		return os.WriteFile(files[name], text, 0o600)
	}
	if err := errors.Join(write("/init", initScript), write("/root/policy", signed)); err != nil {
		return nil, err
	}
	for _, name := range modules {
		text, err := k.Module(name)
		switch {
		case errors.Is(err, os.ErrNotExist) && name != "dm-verity" && name != "overlay":
			continue
		case err != nil:
			return nil, err
		}
		if err := write("/boot/"+name+".ko", text); err != nil {
			return nil, err
		}
	}
	if err := vm.Initramfs(m.Initramfs, files); err != nil {
		return nil, err
	}
	return lab.Start(ctx, m)
}

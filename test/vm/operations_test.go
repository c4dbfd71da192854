package vm_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

// operations goes through what is judged besides execution. A policy for that
// becomes active, and a strict one after it.
func operations(t *testing.T, s *session) {
	s.load(t, "operations", "3.0.0",
		"DEFAULT action=DENY",
		"DEFAULT op=EXECUTE action=ALLOW",
		"op=KMODULE boot_verified=FALSE action=DENY",
		"op=KEXEC_IMAGE boot_verified=TRUE action=ALLOW",
	)
	s.activate(t, "operations")
	file, ino := s.newFile(t)
	for _, enforcing := range []bool{false, true} {
		s.enforce(t, enforcing)
		judge := func(op, hook, path, rule, kind string, properties []string, args ...string) {
			t.Helper()
			var d did
			if args[0] == "ima" {
				d = s.actCall(t, []byte(path), nil, "write", "/sys/kernel/security/ima/policy")
			} else {
				d = s.act(t, args...)
			}
			if enforcing {
				wantErrno(t, fmt.Sprint(args), d, syscall.EACCES)
			} // what else the kernel finds wrong with the file is not our business
			ev := s.denied(d.PID, hook, path, ino).with("ipe_op", op, "rule", rule, "rule_kind", kind)
			if properties != nil {
				ev = ev.with("rule_properties", properties)
			}
			s.expect(t, ev)
		}
		const (
			module = "op=KMODULE boot_verified=FALSE action=DENY"
			global = "DEFAULT action=DENY"
		)
		judge("KMODULE", "KERNEL_READ", file, module, "rule", []string{"boot_verified=FALSE"}, "finit", file)
		judge("KMODULE", "KERNEL_READ", file, module, "rule", []string{"boot_verified=FALSE"}, "finit", file, "compressed")
		judge("KMODULE", "KERNEL_LOAD", "", module, "rule", []string{"boot_verified=FALSE"}, "init")
		judge("KEXEC_IMAGE", "KERNEL_READ", file, global, "global_default", nil, "kexec-file", file, file)
		judge("KEXEC_INITRAMFS", "KERNEL_READ", file, global, "global_default", nil, "kexec-file", vm.ImageFile, file)
		judge("KEXEC_IMAGE", "KERNEL_LOAD", "", global, "global_default", nil, "kexec-load")
		judge("POLICY", "KERNEL_READ", file, global, "global_default", nil, "ima")
	}
	s.load(t, "strict", "3.0.0", strict...)
	s.activate(t, "strict")
	s.quiet(t)
}

// loadModules loads modules, the later of which may need the earlier. Where the
// archive lacks the last one the test skips; others may be built in.
func (s *session) loadModules(t *testing.T, names ...string) {
	t.Helper()
	for i, name := range names {
		module, err := s.guest.Kernel.Module(name)
		switch {
		case errors.Is(err, os.ErrNotExist) && i < len(names)-1:
			continue
		case errors.Is(err, os.ErrNotExist):
			t.Skipf("the archive has no modules for this kernel: %v", err)
		case err != nil:
			t.Fatal(err)
		}
		file := "/root/" + name
		s.put(t, file, module)
		wantErrno(t, "finit_module "+name, s.act(t, "finit", file), 0)
	}
}

// firmware lets a driver ask for its firmware. The kernel reads it for whoever
// binds the driver, so that the event names act; a driver that asks later does
// so in a kernel thread. Without the option FW_LOADER_USER_HELPER, which these
// kernels lack, there is no firmware but from files.
func firmware(t *testing.T, s *session) {
	const (
		parent = "/tmp/firmware"
		file   = parent + "/comedi/jr3pci.idm"
		driver = "/sys/bus/pci/drivers/jr3_pci/"
	)
	s.loadModules(t, "comedi", "comedi_pci", "jr3_pci")
	set := func(file, text string) syscall.Errno {
		t.Helper()
		return syscall.Errno(s.actCall(t, []byte(text), nil, "write", file).Errno)
	}
	must(t, set("/sys/module/firmware_class/parameters/path", parent))
	must(t, set("/sys/bus/pci/devices/"+vm.BoardAddress+"/driver_override", "jr3_pci"))
	ino := s.put(t, file, []byte("ffff\n")) // the end of a program without steps
	s.load(t, "firmware", "3.1.0", append([]string{"op=FIRMWARE boot_verified=FALSE action=DENY"}, strict...)...)
	s.activate(t, "firmware")
	for _, enforcing := range []bool{false, true} {
		s.enforce(t, enforcing)
		d := s.actCall(t, []byte(vm.BoardAddress), nil, "write", driver+"bind")
		if enforcing {
			wantErrno(t, "bind", d, syscall.ENOENT) // what the driver is told of firmware that it cannot have
		} else {
			wantErrno(t, "bind", d, 0)
			must(t, set(driver+"unbind", vm.BoardAddress))
		}
		s.expect(t, s.denied(d.PID, "KERNEL_READ", file, ino).with("ipe_op", "FIRMWARE",
			"rule", "op=FIRMWARE boot_verified=FALSE action=DENY", "rule_kind", "rule", "rule_properties", []string{"boot_verified=FALSE"}))
	}
	s.load(t, "strict2", "3.2.0", strict...)
	s.activate(t, "strict2")
	s.quiet(t)
}

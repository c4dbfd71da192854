package vm_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// A guest runs programs and tells what they printed.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	kernel, err := vm.FindKernel(ctx, "/var/cache/ipe-auditd-vm", "6.12")
	if err != nil {
		fmt.Println(err)
		return
	}
	guest, err := vm.Boot(ctx, &vm.Machine{
		Kernel:    kernel,
		Initramfs: "initramfs",                                                                     // made by vm.Initramfs
		Firmware:  vm.Firmware{Code: "/usr/share/OVMF/OVMF_CODE_4M.fd", Variables: "variables.fd"}, // made by vm.VariableStore
		Dir:       "guest",
	}, "tcg")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guest.Close()
	p, err := guest.Start(ctx, &wire.Call{Argv: [][]byte{[]byte("/bin/busybox"), []byte("uname"), []byte("-r")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := p.Wait(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", p.Stdout())
}

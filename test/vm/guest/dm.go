//go:build linux && amd64

package main

import (
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// From include/uapi/linux/dm-ioctl.h.
const (
	dmDevCreate    = 0xc138fd03 // DM_DEV_CREATE
	dmDevSuspend   = 0xc138fd06 // DM_DEV_SUSPEND; without DM_SUSPEND_FLAG it resumes
	dmTableLoad    = 0xc138fd09 // DM_TABLE_LOAD
	dmReadonlyFlag = 1          // DM_READONLY_FLAG
)

// dmIoctl is struct dm_ioctl, with room for one target behind it.
type dmIoctl struct {
	version                [3]uint32
	dataSize, dataStart    uint32
	targetCount            uint32
	openCount              int32
	flags, eventNr, unused uint32
	dev                    uint64
	name                   [128]byte
	uuid                   [129]byte
	_                      [7]byte

	// struct dm_target_spec and the target's parameters.
	sectorStart, length uint64
	status              int32
	next                uint32
	targetType          [16]byte
	parameters          [512]byte
}

const dmHeader = unsafe.Offsetof(dmIoctl{}.sectorStart)

// dm-verity NAME DEVICE BLOCKS ROOTHASH [signed] makes a device whose data are
// the first blocks of another one and whose hash tree is behind them. When
// signed, standard input is the signature of the root hash.
func dmVerity(args []string, _ *wire.Result) error {
	signature, err := signatureOf(args[4:])
	if err != nil {
		return before("read", err)
	}
	options := ""
	if len(signature) > 0 {
		name := "root-hash-of-" + args[0]
		if _, err := unix.AddKey("user", name, signature, unix.KEY_SPEC_SESSION_KEYRING); err != nil {
			return before("add_key", err)
		}
		options = " 2 root_hash_sig_key_desc " + name
	}
	blocks, err := strconv.ParseUint(args[2], 10, 32)
	if err != nil {
		return err
	}
	control, err := unix.Open("/dev/mapper/control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	defer unix.Close(control)

	request := func() *dmIoctl {
		r := &dmIoctl{version: [3]uint32{4}, dataSize: uint32(unsafe.Sizeof(dmIoctl{})), dataStart: uint32(dmHeader)}
		copy(r.name[:], args[0])
		return r
	}
	if err := ioctl(control, dmDevCreate, unsafe.Pointer(request())); err != nil {
		return before("DM_DEV_CREATE", err)
	}
	table := request()
	table.flags, table.targetCount, table.length = dmReadonlyFlag, 1, blocks*8
	copy(table.targetType[:], "verity")
	copy(table.parameters[:], fmt.Sprintf("1 %s %s 4096 4096 %d %d sha256 %s -%s", args[1], args[1], blocks, blocks, args[3], options))
	if err := ioctl(control, dmTableLoad, unsafe.Pointer(table)); err != nil {
		return before("DM_TABLE_LOAD", err)
	}
	return before("DM_DEV_SUSPEND", ioctl(control, dmDevSuspend, unsafe.Pointer(request())))
}

//go:build linux && amd64

package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

const (
	atExecveCheck = 0x10000 // AT_EXECVE_CHECK, include/uapi/linux/fcntl.h
	mfdExec       = 0x10    // MFD_EXEC, include/uapi/linux/memfd.h
)

func ptr(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// execveat is execveat(2) with an argument vector of one word and no
// environment.
func execveat(dirfd int, path string, flags int) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	program := []byte("program\x00")
	argv := [2]*byte{&program[0], nil}
	var envv [1]*byte
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(dirfd), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&argv)), uintptr(unsafe.Pointer(&envv)), uintptr(flags), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// openMapped opens what a mapping is of; -1 stands for anonymous memory.
func openMapped(args []string) (int, error) {
	if len(args) == 0 {
		return -1, nil
	}
	fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, before("open", err)
}

func mapFlags(fd int) int {
	if fd < 0 {
		return unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	}
	return unix.MAP_PRIVATE
}

// mmap maps one page and gives it back.
func mmap(fd, prot int) error {
	b, err := unix.Mmap(fd, 0, os.Getpagesize(), prot, mapFlags(fd))
	if err != nil {
		return err
	}
	return unix.Munmap(b)
}

// kexec-load takes back a kernel that was never loaded: no segments.
func kexecLoad([]string, *wire.Result) error {
	_, _, errno := unix.Syscall6(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// From include/uapi/linux/fsverity.h.
const (
	fsIocEnableVerity  = 0x40806685 // FS_IOC_ENABLE_VERITY
	fsIocMeasureVerity = 0xc0046686 // FS_IOC_MEASURE_VERITY
	fsVerityHashSHA256 = 1          // FS_VERITY_HASH_ALG_SHA256
)

// fsverity enables fs-verity on the file and returns its digest.
func fsverity(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, before("open", err)
	}
	defer unix.Close(fd)
	enable := struct {
		version, hash, blockSize, saltSize uint32
		salt                               uint64
		signatureSize, reserved            uint32
		signature                          uint64
		reserved2                          [11]uint64
	}{version: 1, hash: fsVerityHashSHA256, blockSize: 4096}
	if err := ioctl(fd, fsIocEnableVerity, unsafe.Pointer(&enable)); err != nil {
		return nil, err
	}
	measure := struct {
		algorithm, size uint16
		digest          [32]byte
	}{size: 32}
	if err := ioctl(fd, fsIocMeasureVerity, unsafe.Pointer(&measure)); err != nil {
		return nil, err
	}
	return measure.digest[:measure.size], nil
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

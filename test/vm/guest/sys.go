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

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

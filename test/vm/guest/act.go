//go:build linux && amd64

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// action does one thing and fills in what it found. An error is that of the
// system call that IPE judges, or a *stepError of what had to come before.
type action func(args []string, r *wire.Result) error

// stepError says that an action did not come to what it is about.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// before marks an error as one of the preparation.
func before(step string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{step, err}
}

func actions() map[string]action {
	return map[string]action{
		"put":        put,
		"write":      writeFile,
		"write-each": writeEach,
		"write-as":   writeAs,
		"exec":       execFile,
		"exec-as":    execAs,
		"memfd":      execMemfd,
		"deleted":    execDeleted,
		"check":      checkFile,
		"mmap":       mapFile,
		"mprotect":   protectFile,
		"deep":       mapDeep,
		"chroot":     mapInside,
		"landlock":   landlock,
		"ino":        tellIno,
		"disk":       findDisk,
		"mount":      mount,
		"mount-ro":   mountReadOnly,
		"verity":     enableVerity,
		"dm-verity":  dmVerity,
		"trust":      trustKey,
		"record":     record,
		"finit":      finitModule,
		"init":       initModule,
		"kexec-file": kexecFile,
		"kexec-load": kexecLoad,
		"flood":      flood,
		"send":       send,
		"audit-set":  auditSetting,
		"audit-rule": auditRule,
		"audit-lost": auditLost,
		"audit-idle": auditIdle,
		"activate":   activate,
		"hear":       hear,
	}
}

// act does the action and prints its result. It returns the exit status.
func act(name string, args []string) int {
	a := actions()[name]
	if a == nil {
		fmt.Fprintf(os.Stderr, "act: no action %q\n", name)
		return 2
	}
	runtime.LockOSThread()
	var r wire.Result
	err := a(args, &r)
	var step *stepError
	if errors.As(err, &step) {
		r.Step = step.Error()
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		r.Errno = int(errno)
	case err != nil:
		fmt.Fprintln(os.Stderr, "act:", err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "act:", err)
		return 1
	}
	return 0
}

// put PATH [MODE] makes a file from standard input, and the folders above it,
// and tells its inode.
func put(args []string, r *wire.Result) error {
	mode := uint64(0o755)
	if len(args) > 1 {
		var err error
		if mode, err = strconv.ParseUint(args[1], 8, 32); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(args[0]), 0o755); err != nil {
		return before("mkdir", err)
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, os.FileMode(mode))
	if err != nil {
		return before("open", err)
	}
	if _, err := io.Copy(f, os.Stdin); err != nil {
		return before("write", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return before("fstat", err)
	}
	r.Ino = st.Ino
	return before("close", f.Close())
}

// write PATH writes standard input with one write(2).
func writeFile(args []string, _ *wire.Result) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return before("read", err)
	}
	fd, err := unix.Open(args[0], unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, text)
	return err
}

// write-as AUID PATH writes as somebody who has logged in, and tells the
// session.
func writeAs(args []string, r *wire.Result) error {
	if err := os.WriteFile("/proc/self/loginuid", []byte(args[0]), 0); err != nil {
		return before("loginuid", err)
	}
	session, err := os.ReadFile("/proc/self/sessionid")
	if err != nil {
		return before("sessionid", err)
	}
	if r.Session, err = strconv.ParseUint(strings.TrimSpace(string(session)), 10, 32); err != nil {
		return err
	}
	return writeFile(args[1:], r)
}

// write-each PATH writes each part of standard input with one write(2) and tells
// the error of each. Before each part stands its length in 4 bytes, the lowest
// one first.
func writeEach(args []string, r *wire.Result) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return before("read", err)
	}
	fd, err := unix.Open(args[0], unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	defer unix.Close(fd)
	for len(input) >= 4 {
		n := int(binary.LittleEndian.Uint32(input))
		part := input[4 : 4+n]
		input = input[4+n:]
		var errno syscall.Errno
		if _, err := unix.Write(fd, part); err != nil && !errors.As(err, &errno) {
			return err
		}
		r.Errnos = append(r.Errnos, int(errno))
	}
	return nil
}

// exec PATH becomes the program.
func execFile(args []string, _ *wire.Result) error {
	return syscall.Exec(args[0], args, nil)
}

// exec-as COMM PATH becomes the program, but is called COMM until then.
func execAs(args []string, _ *wire.Result) error {
	name := append([]byte(args[0]), 0)
	if err := unix.Prctl(unix.PR_SET_NAME, ptr(name), 0, 0, 0); err != nil {
		return before("prctl", err)
	}
	return execFile(args[1:], nil)
}

// memfd NAME becomes the program on standard input.
func execMemfd(args []string, _ *wire.Result) error {
	fd, err := unix.MemfdCreate(args[0], unix.MFD_CLOEXEC|mfdExec)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(args[0], unix.MFD_CLOEXEC)
	}
	if err != nil {
		return before("memfd_create", err)
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return before("read", err)
	}
	if _, err := unix.Write(fd, text); err != nil {
		return before("write", err)
	}
	return execveat(fd, "", unix.AT_EMPTY_PATH)
}

// deleted PATH removes the file and becomes the program that it was.
func execDeleted(args []string, _ *wire.Result) error {
	fd, err := unix.Open(args[0], unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	if err := unix.Unlink(args[0]); err != nil {
		return before("unlink", err)
	}
	return execveat(fd, "", unix.AT_EMPTY_PATH)
}

// check PATH asks whether the file could be executed (Linux 6.14).
func checkFile(args []string, _ *wire.Result) error {
	return execveat(unix.AT_FDCWD, args[0], atExecveCheck)
}

// mmap PATH maps the file executable; without PATH, anonymous memory.
func mapFile(args []string, _ *wire.Result) error {
	fd, err := openMapped(args)
	if err != nil {
		return err
	}
	return mmap(fd, unix.PROT_READ|unix.PROT_EXEC)
}

// mprotect PATH maps the file, or anonymous memory, and then makes it executable.
func protectFile(args []string, _ *wire.Result) error {
	fd, err := openMapped(args)
	if err != nil {
		return err
	}
	b, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ, mapFlags(fd))
	if err != nil {
		return before("mmap", err)
	}
	return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
}

// deep LENGTH maps a file executable whose path below /tmp is LENGTH bytes
// long, and tells the path.
func mapDeep(args []string, r *wire.Result) error {
	length, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	path := []byte("/tmp")
	if err := unix.Chdir("/tmp"); err != nil {
		return before("chdir", err)
	}
	const longest = 200
	for length-len(path) > longest+2 {
		name := fmt.Sprintf("%0*d", longest, len(path))
		if err := unix.Mkdir(name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return before("mkdir", err)
		}
		if err := unix.Chdir(name); err != nil {
			return before("chdir", err)
		}
		path = append(append(path, '/'), name...)
	}
	name := fmt.Sprintf("%0*d", length-len(path)-1, 1)
	r.Path = append(append(path, '/'), name...)
	if err := put([]string{name}, r); err != nil {
		return err
	}
	return mapFile([]string{name}, r)
}

// chroot ROOT PATH maps a file executable in another root directory.
func mapInside(args []string, r *wire.Result) error {
	if err := unix.Chroot(args[0]); err != nil {
		return before("chroot", err)
	}
	return mapFile(args[1:], r)
}

// ino PATH tells the inode of a file.
func tellIno(args []string, r *wire.Result) error {
	var st unix.Stat_t
	err := unix.Stat(args[0], &st)
	r.Ino = st.Ino
	return before("stat", err)
}

// disk SERIAL tells the device that has this serial number. The kernel numbers
// disks in the order in which they answer.
func findDisk(args []string, r *wire.Result) error {
	files, err := filepath.Glob("/sys/block/*/device/serial")
	if err != nil {
		return err
	}
	for _, file := range files {
		serial, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(serial)) == args[0] {
			r.Path = []byte(filepath.Join("/dev", strings.Split(file, "/")[3]))
			return nil
		}
	}
	return before("disk "+args[0], unix.ENODEV)
}

// mount SOURCE TARGET TYPE mounts a file system.
func mount(args []string, _ *wire.Result) error {
	return mountWith(0, args)
}

// mount-ro SOURCE TARGET TYPE mounts a file system read-only.
func mountReadOnly(args []string, _ *wire.Result) error {
	return mountWith(unix.MS_RDONLY, args)
}

func mountWith(flags uintptr, args []string) error {
	if err := os.MkdirAll(args[1], 0o755); err != nil {
		return before("mkdir", err)
	}
	return unix.Mount(args[0], args[1], args[2], flags, "")
}

// finit PATH [compressed] loads a module from a file.
func finitModule(args []string, _ *wire.Result) error {
	fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return before("open", err)
	}
	flags := 0
	if len(args) > 1 {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return unix.FinitModule(fd, "", flags)
}

// init loads a module from memory. It is none, which the kernel finds out
// after IPE was asked.
func initModule([]string, *wire.Result) error {
	return unix.InitModule(make([]byte, 4096), "")
}

// kexec-file KERNEL INITRD loads a kernel from files.
func kexecFile(args []string, _ *wire.Result) error {
	var fds [2]int
	for i := range fds {
		fd, err := unix.Open(args[i], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return before("open", err)
		}
		fds[i] = fd
	}
	return unix.KexecFileLoad(fds[0], fds[1], "", 0)
}

// flood N PATH asks N times for an executable page of the file; without PATH,
// of anonymous memory.
func flood(args []string, r *wire.Result) error {
	n, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return err
	}
	fd, err := openMapped(args[1:])
	if err != nil {
		return err
	}
	for ; r.Attempts < n; r.Attempts++ {
		err := mmap(fd, unix.PROT_READ|unix.PROT_EXEC)
		switch {
		case errors.Is(err, unix.EACCES):
			r.Refused++
		case err != nil:
			return before("mmap", err)
		}
	}
	return nil
}

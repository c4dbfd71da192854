package doctor

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// serviceName is the user of the service, where there is one.
const serviceName = "ipe-auditd"

// account is the user as whom the service runs.
type account struct {
	uid, gid int
	groups   []int
}

// serviceAccount returns the user of the running daemon; without one the owner of
// the state directory, then the user named as the service, then ourselves.
func serviceAccount(s source, daemon *api.Status, stateDirectory string) (account, error) {
	if daemon != nil {
		return processAccount(s.root, daemon.PID)
	}
	uid := strconv.Itoa(s.euid)
	if info, err := os.Stat(stateDirectory); err == nil {
		uid = fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid)
	} else if u, err := user.Lookup(serviceName); err == nil {
		uid = u.Uid
	}
	return lookupAccount(uid)
}

// lookupAccount returns what the databases say about a user. One that they do
// not know has no groups.
func lookupAccount(uid string) (account, error) {
	n, err := strconv.Atoi(uid)
	if err != nil {
		return account{}, err
	}
	a := account{uid: n, gid: n}
	u, err := user.LookupId(uid)
	if err != nil {
		return a, nil
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			a.groups = append(a.groups, gid)
		}
	}
	return a, nil
}

// processAccount reads the user of a process: its ids for the file system
// (proc_pid_status(5)).
func processAccount(root string, pid int) (account, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return account{}, err
	}
	a := account{uid: -1, gid: -1}
	for line := range strings.Lines(string(text)) {
		key, rest, _ := strings.Cut(line, ":")
		var ids []int
		for _, word := range strings.Fields(rest) {
			if n, err := strconv.Atoi(word); err == nil {
				ids = append(ids, n)
			}
		}
		switch {
		case key == "Uid" && len(ids) == 4:
			a.uid = ids[3]
		case key == "Gid" && len(ids) == 4:
			a.gid = ids[3]
		case key == "Groups":
			a.groups = ids
		}
	}
	if a.uid < 0 || a.gid < 0 {
		return account{}, fmt.Errorf("the user of process %d cannot be read", pid)
	}
	return a, nil
}

// String returns the user for a finding.
func (a account) String() string {
	if u, err := user.LookupId(strconv.Itoa(a.uid)); err == nil {
		return text.Name(u.Username)
	}
	return fmt.Sprintf("user %d", a.uid)
}

// do runs f with the rights that the account has to files, so that the kernel
// itself answers, with access control lists and security modules. Without root it
// can do that only for ourselves, and returns probe.ErrOtherUser.
func (a account) do(f func() error) error {
	if a.uid == os.Geteuid() {
		return f()
	}
	if os.Geteuid() != 0 {
		return probe.ErrOtherUser
	}
	done := make(chan error)
	go func() {
		// The thread is not ours any more after this, and ends with the goroutine.
		// The calls are those of the kernel, which change one thread only; without
		// the user id of root it also loses the capabilities that pass over
		// permissions (setfsuid(2)).
		runtime.LockOSThread()
		done <- func() error {
			groups := make([]uint32, len(a.groups)+1)
			for i, g := range a.groups {
				groups[i] = uint32(g)
			}
			groups[len(a.groups)] = uint32(a.gid)
			if err := setThreadGroups(groups); err != nil {
				return os.NewSyscallError("setgroups", err)
			}
			if err := unix.Setfsgid(a.gid); err != nil {
				return os.NewSyscallError("setfsgid", err)
			}
			if err := unix.Setfsuid(a.uid); err != nil {
				return os.NewSyscallError("setfsuid", err)
			}
			return f()
		}()
	}()
	return <-done
}

// May implements [probe.Account].
func (a account) May(mode uint32, path string) error {
	return a.do(func() error {
		if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
			return &os.PathError{Op: "access", Path: path, Err: err}
		}
		return nil
	})
}

// setThreadGroups is setgroups(2) of the kernel, for the calling thread alone;
// that of package syscall is for all threads.
func setThreadGroups(groups []uint32) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

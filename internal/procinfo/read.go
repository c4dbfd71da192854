package procinfo

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// slack is by how much a process may seem to begin behind a record of its own, in
// milliseconds: stamps are those of the last tick (ktime_get_coarse_real_ts64 in
// audit_log_start, kernel/audit.c), and start times are in ticks of 10 ms.
const slack = 50

// errOther says that a number is that of another process by now, or of none.
var errOther = errors.New("the process has gone")

// reader reads /proc. It is for one goroutine, and does not allocate.
type reader struct {
	proc string // "/proc", but in tests
	path []byte
	buf  []byte
}

// process opens /proc/PID, if that is a process that began before the record of
// the stamp, in milliseconds since 1970. The descriptor stays that of the process:
// once that has gone, nothing can be read through it.
func (r *reader) process(pid uint64, stamp int64) (int, error) {
	r.path = append(append(r.path[:0], r.proc...), '/')
	r.path = append(strconv.AppendUint(r.path, pid, 10), 0)
	dir, err := openat(unix.AT_FDCWD, r.path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, errOther
	}
	start, ok := r.started(dir)
	if !ok || start > stamp+slack {
		unix.Close(dir)
		return -1, errOther
	}
	return dir, nil
}

// read fills in i from the /proc/PID that dir is: the control group first, which is
// there for a process that has ended, too.
func (r *reader) read(dir int, i *Info) {
	i.Cgroup = append(i.Cgroup[:0], cgroupOf(r.file(dir, "cgroup\x00"))...)
	status := r.file(dir, "status\x00")
	i.uid, i.euid = ids(status)
	if n, ok := auditrec.Uint(after(status, "\nPPid:\t")); ok {
		i.ppid = n
	}
	i.auid = number(r.file(dir, "loginuid\x00"))
	i.ses = number(r.file(dir, "sessionid\x00"))
}

// readCgroup fills in the control group only.
func (r *reader) readCgroup(dir int, i *Info) {
	i.Cgroup = append(i.Cgroup[:0], cgroupOf(r.file(dir, "cgroup\x00"))...)
}

// started returns when the process began, in milliseconds since 1970: field 22 of
// /proc/PID/stat, in ticks since the boot (proc(5)). The second field may hold
// anything, also parentheses.
func (r *reader) started(dir int) (ms int64, ok bool) {
	stat := r.file(dir, "stat\x00")
	stat = stat[bytes.LastIndexByte(stat, ')')+1:]
	for n := 2; n < 22; n++ {
		_, rest, ok := bytes.Cut(stat, []byte(" "))
		if !ok {
			return 0, false
		}
		stat = rest
	}
	field, _, _ := bytes.Cut(stat, []byte(" "))
	ticks, ok := auditrec.Uint(field)
	if !ok {
		return 0, false
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0, false
	}
	const tick = 10 // milliseconds: USER_HZ is 100 everywhere
	return time.Now().UnixMilli() - now.Nano()/1e6 + int64(ticks)*tick, true
}

// file returns what a file of the process has, nothing where that cannot be read.
// The name ends in a NUL. It lives until the next call.
func (r *reader) file(dir int, name string) []byte {
	r.path = append(r.path[:0], name...)
	fd, err := openat(dir, r.path, unix.O_RDONLY)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if r.buf == nil {
		r.buf = make([]byte, 8<<10)
	}
	n := 0
	for n < len(r.buf) {
		m, err := unix.Read(fd, r.buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			break
		}
		n += m
	}
	return r.buf[:n]
}

// ids returns the real and the effective user of /proc/PID/status.
func ids(status []byte) (uid, euid uint32) {
	const line = "\nUid:\t"
	real := after(status, line)
	if real == nil {
		return unset, unset
	}
	_, rest, _ := bytes.Cut(status[bytes.Index(status, []byte(line))+len(line):], []byte("\t"))
	effective, _, _ := bytes.Cut(rest, []byte("\t"))
	return number(real), number(effective)
}

// number reads one; what is none is unset.
func number(text []byte) uint32 {
	n, ok := auditrec.Uint(bytes.TrimSuffix(text, []byte("\n")))
	if !ok || n > unset {
		return unset
	}
	return uint32(n)
}

// after returns the word behind a key, nil if that is not there.
func after(text []byte, key string) []byte {
	i := bytes.Index(text, []byte(key))
	if i < 0 {
		return nil
	}
	word := text[i+len(key):]
	if end := bytes.IndexAny(word, "\t\n"); end >= 0 {
		word = word[:end]
	}
	return word
}

// Usable returns an error where /proc does not show the processes of others, so
// that there is no use in asking: not mounted, or mounted with hidepid=.
func Usable() error {
	_, err := os.ReadFile("/proc/1/cgroup")
	return err
}

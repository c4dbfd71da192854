package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// backlog returns a socket of the group with n records in its queue.
func backlog(n int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_USERSOCK)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "audit")
	if err := fill(fd, n); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fill(fd, n int) error {
	// The kernel accounts some 830 bytes for each, and doubles what is asked for.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, max(n, 1000)<<9); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	s, err := audittest.Here()
	if err != nil {
		return err
	}
	defer s.Close()
	var record []byte
	for i := range n {
		record = text(record[:0], i, "/tmp/true")
		if err := s.Multicast(ipe.TypeAccess, unsafe.String(&record[0], len(record))); err != nil {
			return err
		}
	}
	return nil
}

// worked returns the CPU time for each of n records that a child in the role
// says it took to work off a backlog of them.
func worked(role string, n int, params ...string) (time.Duration, error) {
	f, err := backlog(n)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := start(role, f, append(params, fmt.Sprint("n=", n))...)
	if err != nil {
		return 0, err
	}
	line, err := p.line()
	if err != nil {
		p.kill()
		return 0, fmt.Errorf("%s: %w", role, err)
	}
	if _, err := p.wait(); err != nil {
		return 0, fmt.Errorf("%s: %w", role, err)
	}
	ns, err := strconv.ParseInt(line, 10, 64)
	return time.Duration(ns) / time.Duration(n), err
}

// leastOf returns the least of several runs of each of the functions, which
// take turns.
func leastOf(rounds int, runs ...func() (time.Duration, error)) ([]time.Duration, error) {
	least := make([]time.Duration, len(runs))
	for range rounds {
		for i, run := range runs {
			d, err := run()
			if err != nil {
				return nil, err
			}
			if least[i] == 0 || d < least[i] {
				least[i] = d
			}
		}
	}
	return least, nil
}

func measureReceive(b *bench) error {
	n := b.records(150_000)
	of := func(role string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			dir := filepath.Join(b.dir, "spool")
			if err := os.RemoveAll(dir); err != nil {
				return 0, err
			}
			return worked(role, n, "dir="+dir)
		}
	}
	least, err := leastOf(b.rounds, of("floor"), of("receive"), of("keep"))
	if err != nil {
		return err
	}
	b.add("receive, CPU for a record of a backlog", least[1].String(),
		fmt.Sprintf("bare recvmmsg %v: %s", least[0], ratio(least[1], least[0])))
	b.add("receive, classify, append to the spool on disk, on one processor: CPU for a record", least[2].String(),
		fmt.Sprintf("bare recvmmsg %v: %s", least[0], ratio(least[2], least[0])))
	return nil
}

// ratio says how many times b a is.
func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f ×", float64(a)/float64(max(b, 1))) }

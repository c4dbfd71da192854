//go:build linux && amd64

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// From include/uapi/linux/audit.h.
const (
	auditGet     = 1000 // AUDIT_GET
	auditSet     = 1001 // AUDIT_SET
	auditAddRule = 1011 // AUDIT_ADD_RULE
	auditDelRule = 1012 // AUDIT_DEL_RULE
	groupReadlog = 1    // AUDIT_NLGRP_READLOG, as a bit
	statusSize   = 44   // struct audit_status up to and with backlog_wait_time_actual
	offMask      = 0
	offLost      = 24
	offBacklog   = 28
)

// settings are what AUDIT_SET can change, by the names of struct audit_status:
// the bit of the mask, and where the value is.
func settings() map[string]struct{ mask, offset uint32 } {
	return map[string]struct{ mask, offset uint32 }{
		"enabled":           {0x01, 4},
		"failure":           {0x02, 8},
		"rate_limit":        {0x08, 16},
		"backlog_limit":     {0x10, 20},
		"backlog_wait_time": {0x20, 36}, // in jiffies
	}
}

// message returns one netlink message.
func message(typ, flags uint16, payload []byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(payload)))
	m = binary.NativeEndian.AppendUint16(m, typ)
	m = binary.NativeEndian.AppendUint16(m, flags)
	m = append(m, make([]byte, 8)...) // sequence number and port: the kernel fills in the sender's address
	return append(m, payload...)
}

// send TYPE [PORT] sends standard input to the audit group, or to one listener,
// as a process may that has CAP_NET_ADMIN: a forgery.
func send(args []string, _ *wire.Result) error {
	typ, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return err
	}
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupReadlog}
	if len(args) > 1 {
		port, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return err
		}
		to.Pid, to.Groups = uint32(port), 0
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return before("read", err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return before("socket", err)
	}
	defer unix.Close(fd)
	// A multicast goes to the kernel too, which refuses the type in an answer
	// that nobody reads; the group has got it by then.
	return unix.Sendto(fd, message(uint16(typ), 0, text), 0, to)
}

// ask sends a message to the kernel and returns the payload of the answer of
// the type want, or fails with the kernel's error.
func ask(typ uint16, payload []byte, want uint16) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, message(typ, unix.NLM_F_REQUEST|unix.NLM_F_ACK, payload), 0, kernel); err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		if n < unix.NLMSG_HDRLEN+4 {
			return nil, fmt.Errorf("answer of %d bytes", n)
		}
		got, body := binary.NativeEndian.Uint16(buf[4:]), buf[unix.NLMSG_HDRLEN:n]
		if got == unix.NLMSG_ERROR {
			if errno := -int32(binary.NativeEndian.Uint32(body)); errno != 0 {
				return nil, unix.Errno(errno)
			}
		}
		if got == want {
			return body, nil
		}
	}
}

// audit-rule add|delete LIST ACTION [TYPE] adds or deletes a rule of the kernel's
// audit filters (struct audit_rule_data), for records of a type or for all. LIST and
// ACTION are their numbers.
func auditRule(args []string, _ *wire.Result) error {
	const fields = 64 // AUDIT_MAX_FIELDS
	typ := uint16(auditAddRule)
	if args[0] == "delete" {
		typ = auditDelRule
	}
	var numbers [3]uint32
	for i, arg := range args[1:] {
		n, err := strconv.ParseUint(arg, 10, 32)
		if err != nil {
			return err
		}
		numbers[i] = uint32(n)
	}
	words := make([]uint32, 3+64+3*fields+1)
	words[0], words[1] = numbers[0], numbers[1]
	if len(args) > 3 {
		words[2] = 1
		words[3+64], words[3+64+fields], words[3+64+2*fields] = 12, numbers[2], 0x40000000 // AUDIT_MSGTYPE, equal
	}
	var payload []byte
	for _, w := range words {
		payload = binary.NativeEndian.AppendUint32(payload, w)
	}
	_, err := ask(typ, payload, unix.NLMSG_ERROR)
	return before("AUDIT_ADD_RULE", err)
}

// audit-set NAME N changes a setting of the kernel's audit, as auditctl does.
func auditSetting(args []string, _ *wire.Result) error {
	setting, ok := settings()[args[0]]
	if !ok {
		return fmt.Errorf("no setting %q", args[0])
	}
	n, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return err
	}
	status := make([]byte, statusSize)
	binary.NativeEndian.PutUint32(status[offMask:], setting.mask)
	binary.NativeEndian.PutUint32(status[setting.offset:], uint32(n))
	_, err = ask(auditSet, status, unix.NLMSG_ERROR)
	return err
}

// audit-lost tells the kernel's count of lost records, as Attempts.
func auditLost(_ []string, r *wire.Result) error {
	status, err := auditStatus()
	if err != nil {
		return err
	}
	r.Attempts = uint64(binary.NativeEndian.Uint32(status[offLost:]))
	return nil
}

func auditStatus() ([]byte, error) {
	status, err := ask(auditGet, nil, auditGet)
	if err == nil && len(status) < offBacklog+4 {
		err = fmt.Errorf("status of %d bytes", len(status))
	}
	return status, err
}

// audit-idle waits until the kernel has sent everything to the group: nothing
// waits, and the thread that sends sleeps.
func auditIdle([]string, *wire.Result) error {
	kauditd, err := kernelThread("kauditd")
	if err != nil {
		return before("kauditd", err)
	}
	for {
		status, err := auditStatus()
		if err != nil {
			return err
		}
		stat, err := os.ReadFile(filepath.Join(kauditd, "stat"))
		if err != nil {
			return before("read", err)
		}
		// pid (comm) state
		if binary.NativeEndian.Uint32(status[offBacklog:]) == 0 && bytes.Contains(stat, []byte(") S ")) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// kernelThread returns the folder of a thread in /proc.
func kernelThread(name string) (string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if comm, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(comm)) == name {
			return filepath.Dir(file), nil
		}
	}
	return "", unix.ESRCH
}

// record FILE writes every message of the audit group to a file, as a capture
// (internal/input), until SIGTERM comes and there is none left. A line on
// standard output says that it has begun.
func record(args []string, _ *wire.Result) (err error) {
	var stopping atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM)
	go func() { <-signals; stopping.Store(true) }()

	out, err := os.Create(args[0])
	if err != nil {
		return before("create", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return before("socket", err)
	}
	defer unix.Close(fd)
	const room, wait = 64 << 20, 100_000 // bytes, microseconds
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room); err != nil {
		return before("setsockopt", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: wait}); err != nil {
		return before("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupReadlog}); err != nil {
		return before("bind", err)
	}
	fmt.Println("recording")
	for buf := make([]byte, 16<<10); ; {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) && stopping.Load():
			return nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return before("recvfrom", err)
		}
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return before("clock_gettime", err)
		}
		entry := binary.LittleEndian.AppendUint64(nil, uint64(now.Nano()))
		entry = binary.LittleEndian.AppendUint32(entry, from.(*unix.SockaddrNetlink).Pid)
		entry = binary.LittleEndian.AppendUint32(entry, uint32(n))
		if _, err := out.Write(append(entry, buf[:n]...)); err != nil {
			return before("write", err)
		}
	}
}

// hear SOCKET connects to a unix socket and tells what its owner writes until
// the end, as Heard. It sends nothing.
func hear(args []string, r *wire.Result) error {
	conn, err := net.DialTimeout("unix", args[0], 20*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return before("deadline", err)
	}
	r.Heard, err = io.ReadAll(conn)
	return before("read", err)
}

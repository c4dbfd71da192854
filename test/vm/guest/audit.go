//go:build linux && amd64

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// From include/uapi/linux/audit.h.
const (
	auditGet                 = 1000 // AUDIT_GET
	auditSet                 = 1001 // AUDIT_SET
	groupReadlog             = 1    // AUDIT_NLGRP_READLOG, as a bit
	statusBacklogLimit       = 0x10 // AUDIT_STATUS_BACKLOG_LIMIT
	statusSize               = 44   // struct audit_status up to and with backlog_wait_time_actual
	offMask                  = 0
	offBacklogLimit, offLost = 20, 24
)

// message returns one netlink message.
func message(typ, flags uint16, payload []byte) []byte {
	m := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(payload))
	binary.NativeEndian.PutUint32(m[0:], uint32(cap(m)))
	binary.NativeEndian.PutUint16(m[4:], typ)
	binary.NativeEndian.PutUint16(m[6:], flags)
	return append(m, payload...)
}

// send TYPE sends standard input to the audit group, as a process may that has
// CAP_NET_ADMIN: a forgery.
func send(args []string, _ *wire.Result) error {
	typ, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return err
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
	// A multicast goes to the kernel too, which answers ECONNREFUSED or EINVAL
	// after the group got it.
	return unix.Sendto(fd, message(uint16(typ), 0, text), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupReadlog})
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

// audit-limit N sets the backlog limit.
func auditLimit(args []string, _ *wire.Result) error {
	n, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return err
	}
	status := make([]byte, statusSize)
	binary.NativeEndian.PutUint32(status[offMask:], statusBacklogLimit)
	binary.NativeEndian.PutUint32(status[offBacklogLimit:], uint32(n))
	_, err = ask(auditSet, status, unix.NLMSG_ERROR)
	return err
}

// audit-lost tells the kernel's count of lost records, as Attempts.
func auditLost(_ []string, r *wire.Result) error {
	status, err := ask(auditGet, nil, auditGet)
	if err != nil {
		return err
	}
	if len(status) < offLost+4 {
		return fmt.Errorf("status of %d bytes", len(status))
	}
	r.Attempts = uint64(binary.NativeEndian.Uint32(status[offLost:]))
	return nil
}

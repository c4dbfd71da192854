package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func measureLatency(b *bench) error {
	const perSecond = 1000
	n := b.records(10_000)
	socket := filepath.Join(b.dir, "relay.sock")
	r, err := start("relay", nil, "socket="+socket)
	if err != nil {
		return err
	}
	least, err := latencies(socket, n, perSecond)
	r.kill()
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	b.addLatency("record sent to line read, by way of a relay of recvfrom(2) and write(2), 1000/s", least)
	for _, bm := range []struct {
		name  string
		sinks []string
	}{
		{"record sent to line read from the feed, 1000/s", nil},
		{"the same while a sink is stuck", []string{"type: exec, command: [/bin/sleep, infinity], mode: stream"}},
	} {
		p, dir, err := b.listening(bm.sinks...)
		if err != nil {
			return err
		}
		took, err := latencies(filepath.Join(dir, "api.sock"), n, perSecond)
		p.kill()
		if err != nil {
			return err
		}
		b.addLatency(bm.name, took)
	}
	return nil
}

func (b *bench) addLatency(what string, took []time.Duration) {
	slices.Sort(took)
	b.add(what, fmt.Sprintf("median %v", took[len(took)/2]),
		fmt.Sprintf("99 %% within %v, the longest %v", took[len(took)*99/100], took[len(took)-1]))
}

// relay passes on, to the one client of a unix socket, no more of a record than
// when it was sent. Nobody can for less: it waits in the kernel, and the runtime
// knows of nothing.
func relay() error {
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: param("socket")}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(l, 1); err != nil {
		return os.NewSyscallError("listen", err)
	}
	say("ready")
	client, _, err := unix.Accept(l)
	if err != nil {
		return os.NewSyscallError("accept", err)
	}
	in, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_USERSOCK)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(in, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	line := []byte("\n") // that it listens
	for buf := make([]byte, 16<<10); ; {
		if _, err := unix.Write(client, line); err != nil {
			return os.NewSyscallError("write", err)
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(in), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return os.NewSyscallError("recvfrom", errno)
		}
		_, sent, _ := bytes.Cut(buf[:n], []byte(` path="`))
		sent, _, _ = bytes.Cut(sent, []byte(`"`))
		line = append(append(append(line[:0], `"path":"`...), sent...), "\"\n"...)
	}
}

// latencies has a client read n events from the feed, and returns how long ago
// each was sent.
func latencies(socket string, n, rate int) ([]time.Duration, error) {
	p, err := start("follow", nil, "socket="+socket, fmt.Sprint("n=", n))
	if err != nil {
		return nil, err
	}
	if _, err := flood(n, rate, ipe.TypeAccess, "stamp=1"); err != nil {
		p.kill()
		return nil, err
	}
	took := make([]time.Duration, n)
	for i := range took {
		line, err := p.line()
		if err != nil {
			p.kill()
			return nil, fmt.Errorf("follow: %w", err)
		}
		ns, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return nil, err
		}
		took[i] = time.Duration(ns)
	}
	_, err = p.wait()
	return took, err
}

// follow is a client of the feed that waits in read(2), as a script does: where
// it waited in Go's poller, half of what it found out would be about that. It
// says of each event how long ago it was sent.
func follow() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: param("socket")}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	const request = "GET /events?follow=true&events=access HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := unix.Write(fd, []byte(request)); err != nil {
		return os.NewSyscallError("write", err)
	}
	buf := make([]byte, 64<<10)
	// The header tells that nothing escapes the client any more.
	if _, err := unix.Read(fd, buf); err != nil {
		return os.NewSyscallError("read", err)
	}
	say("ready")
	took := make([]int64, 0, number("n"))
	for rest := buf[:0]; len(took) < cap(took); {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[len(rest)])), uintptr(len(buf)-len(rest)))
		at := now()
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return fmt.Errorf("the feed ended after %d events: %w", len(took), errno)
		}
		rest = buf[:len(rest)+int(n)]
		for {
			line, more, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			rest = more
			_, path, found := bytes.Cut(line, []byte(`"path":"`))
			if !found {
				continue // the size of a chunk
			}
			path, _, _ = bytes.Cut(path, []byte(`"`))
			sent, err := strconv.ParseInt(string(path), 10, 64)
			if err != nil {
				return err
			}
			took = append(took, at-sent)
		}
		rest = buf[:copy(buf, rest)]
	}
	for _, ns := range took {
		say("%d", ns)
	}
	return nil
}

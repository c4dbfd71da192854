package syslog

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func TestUDPShortensOnlyWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := begun(t, UDP)
	s := r.sink()
	open(t, s)
	fits := head + ` a="1"] `
	fits += strings.Repeat("x", maxUDP-len(fits))
	mustDeliver(t, s, fits)
	r.wait(1)
	mustDeliver(t, s, fits+"y")
	got := r.wait(2)
	if string(got[0]) != fits || len(got[1]) > maxUDP || !bytes.HasSuffix(got[1], []byte(`xxx[shortened="38"]`)) {
		t.Errorf("got %d and %d bytes, want the first whole, and the second shortened to as many: %q",
			len(got[0]), len(got[1]), got[1][len(got[1])-30:])
	}
}

func TestUnixShortensToTheSendBuffer(t *testing.T) {
	t.Parallel()
	r := begun(t, Unix)
	s := r.sink()
	open(t, s)
	long := head + ` a="1"] ` + strings.Repeat("x", 60_000)
	mustDeliver(t, s, long)
	size := 0
	check(t, s.conn.(*datagram).raw.Control(func(fd uintptr) {
		check(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 8192))
		var err error
		size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		check(t, err)
	}))
	mustDeliver(t, s, long)
	got := r.wait(2)
	if string(got[0]) != long {
		t.Errorf("got %d bytes, want all %d", len(got[0]), len(long))
	}
	if len(got[1]) != size-unixOverhead || !bytes.HasSuffix(got[1], []byte(`"]`)) {
		t.Errorf("got %d bytes, want %d that end in a mark", len(got[1]), size-unixOverhead)
	}
}

// Nobody may count what the kernel knows was refused.
func TestUDPRefusedIsNotDelivered(t *testing.T) {
	t.Parallel()
	r := begun(t, UDP)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one")
	r.wait(1)
	r.end()
	if err := deliver(s, "two"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
	r.begin()
	check(t, s.Close())
	open(t, s)
	mustDeliver(t, s, "two")
	checkGot(t, r, "one", "two")
}

func TestUnixFollowsARestart(t *testing.T) {
	t.Parallel()
	r := begun(t, Unix)
	s := r.sink()
	open(t, s)
	mustDeliver(t, s, "one")
	r.end()
	if err := deliver(s, "two"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
	check(t, s.Close())
	r.begin()
	open(t, s)
	mustDeliver(t, s, "two")
	checkGot(t, r, "one", "two")
}

func TestDatagramsKeepEveryByte(t *testing.T) {
	t.Parallel()
	for _, network := range []string{Unix, UDP} {
		r := begun(t, network)
		s := r.sink()
		open(t, s)
		msgs := []string{"a", "two\nlines\n", "\x00\xff"}
		for i, m := range msgs {
			check(t, s.Write(limited(t), &sink.Entry{Bytes: []byte(m)}))
			r.wait(i + 1)
		}
		checkGot(t, r, msgs...)
	}
}

func TestFacility(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"kern": 0, "user": 1, "daemon": 3, "auth": 4, "authpriv": 10, "ftp": 11, "local0": 16, "local7": 23,
	} {
		if got, ok := facilityCode(name); got != want || !ok {
			t.Errorf("%s: got %d, %v, want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "Daemon", "local8"} {
		if _, ok := facilityCode(name); ok {
			t.Errorf("%q is a facility", name)
		}
	}
}

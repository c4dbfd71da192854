package netlinkaudit

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"golang.org/x/sys/unix"
)

// The tests in this file use the audit group of the machine, which other
// processes use at the same time.

func TestRecordRelayedByTheKernelIsReceivedAsSent(t *testing.T) {
	t.Parallel()
	c := listen(t, &Config{Types: []uint16{audittest.TypeUserAVC}, ReadBuffer: 1 << 20})
	r, token := relay(t)
	pad := strings.Repeat("x", 229)
	const sent = 40 // of every length modulo 4
	for i := range sent {
		must(t, r.Send(token+pad[:i]))
	}
	for next := 0; next < sent; {
		for _, m := range receive(t, c, 1) {
			text := string(m.Data)
			if !strings.Contains(text, token) {
				continue
			}
			if want := "msg='" + token + pad[:next] + "'"; !strings.HasSuffix(text, want) {
				t.Errorf("got %q, want it to end in %q: nothing cut off, no padding, no NUL", text, want)
			}
			if !strings.HasPrefix(text, "audit(") || m.Type != audittest.TypeUserAVC || m.Truncated {
				t.Errorf("got type %d, truncated %v, %q", m.Type, m.Truncated, text)
			}
			next++
		}
	}
	if !c.NamespaceVerified() {
		t.Error("the namespace should have been verified: records arrive, so /proc/sys/net is in the way")
	}
}

// A process may write into the group, or to us directly, and claim to be the
// kernel in the header.
func TestForgedMessageIsRefusedCountedAndReportedAtOnce(t *testing.T) {
	t.Parallel()
	typ := uniqueType()
	c := listen(t, &Config{Types: []uint16{typ, 1420}})
	forger := forger(t)
	var port uint32
	must(t, c.sock.use(func(fd int) error {
		sa, err := unix.Getsockname(fd)
		if err == nil {
			port = sa.(*unix.SockaddrNetlink).Pid
		}
		return err
	}))
	const text = `audit(1795440105.125:24): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=1 comm="x"`
	for i, send := range []func() error{
		func() error { return forger.Multicast(typ, text) },
		func() error { return forger.Unicast(port, typ, text) },
		func() error { return forger.Raw([]byte{6, 0, 0, 0, byte(1420 & 0xff), byte(1420 >> 8)}) },
		func() error { return forger.Multicast(1420, text) },
	} {
		must(t, send())
		for c.Stats().Forged <= uint64(i) {
			before := c.Stats()
			msgs, err := c.Receive()
			if len(msgs) != 0 || err != nil || c.Stats() == before {
				t.Fatalf("forgery %d: got %v, %v, %+v, want nothing but a higher count", i, msgs, err, c.Stats())
			}
		}
	}
	if s := c.Stats(); s.Received != 0 {
		t.Errorf("got %+v, want nothing received", s)
	}
}

func TestOverrunOnTheAuditGroupIsCountedExactly(t *testing.T) {
	t.Parallel()
	typ := uniqueType() // ours alone, so that we know what was sent
	c := listen(t, &Config{Types: []uint16{typ}})
	forger := forger(t)
	f := flood{conn: c, batch: 600, send: func() error { return forger.Multicast(typ, "flood") }}
	for range 5 {
		f.round(t, 700)
	}
	if drops(t, c) == 0 {
		t.Error("nothing was dropped: this test has tested nothing")
	}
}

// A small buffer overruns with the kernel's own records.
func TestRelayedRecordsAreReceivedAfterAnOverrun(t *testing.T) {
	t.Parallel()
	cfg := &Config{Types: []uint16{audittest.TypeUserAVC}, ReadBuffer: 1 << 20}
	probe, c := listen(t, cfg), listen(t, cfg)
	must(t, c.sock.use(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0) // the smallest there is
	}))
	r, token := relay(t)
	for round := range 10 {
		const filler = 20
		before := drops(t, c)
		for range filler {
			must(t, r.Send(token))
		}
		awaitRelayed(t, probe, token, filler)
		if drops(t, c) == before {
			t.Fatal("nothing was dropped: this test tests nothing")
		}
		// Others may fill the buffer, so it is sent until it arrives.
		mark := token + "mark-" + strconv.Itoa(round)
		for arrived := false; !arrived; {
			must(t, r.Send(mark))
			awaitRelayed(t, probe, mark, 1)
			for _, m := range receive(t, c, 1) {
				arrived = arrived || strings.Contains(string(m.Data), mark)
			}
		}
	}
}

func TestListenRaisesTheReadBuffer(t *testing.T) {
	t.Parallel()
	plain := listen(t, nil)
	before := plain.ReadBuffer()
	if before <= 0 {
		t.Errorf("asked for nothing: got %d", before)
	}
	for _, want := range []int{before / 2, before, 1 << 20, 128 << 20} {
		got := listen(t, &Config{ReadBuffer: want}).ReadBuffer()
		if got < before {
			t.Errorf("asked for %d: got %d, less than the %d without asking", want, got, before)
		}
		if os.Getuid() == 0 && got != max(want, before) {
			t.Errorf("asked for %d as root: got %d", want, got)
		}
	}
}

func TestOpenRefusesABadConfig(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	for name, cfg := range map[string]*Config{
		"batch too large": {Batch: 1025}, "batch negative": {Batch: -1}, "buffer negative": {ReadBuffer: -1},
		"coalesce negative": {Coalesce: -1}, "coalesce too long": {Coalesce: time.Minute},
		"more types than a filter can have": {Types: make([]uint16, 5000)},
	} {
		c, err := Listen(on(group, *cfg))
		if _, ok := errors.AsType[*OpError](err); !ok {
			t.Errorf("%s: got %v, %v, want *OpError", name, c, err)
		}
	}
}

package netlinkaudit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"golang.org/x/sys/unix"
)

func TestReceiveReturnsTheWholeDatagramAndNoMore(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	const room = slotSize - headerLen
	for _, tt := range []struct {
		size      int
		truncated bool
	}{
		{0, false}, {1, false}, {2, false}, {3, false}, {4, false}, {5, false}, {229, false}, // no alignment
		{8532 - headerLen, false}, // the longest IPE record seen
		{room, false}, {room + 1, true}, {room + 4000, true},
		{7, false}, // a slot that held a longer one
	} {
		text := strings.Repeat("0123456789", tt.size/10+1)[:tt.size]
		must(t, group.Multicast(1420, text))
		m := receive(t, c, 1)[0]
		if want := text[:min(tt.size, room)]; string(m.Data) != want {
			t.Errorf("size %d: got %d bytes %.40q, want %d bytes %.40q", tt.size, len(m.Data), m.Data, len(want), want)
		}
		if m.Type != 1420 || m.Truncated != tt.truncated {
			t.Errorf("size %d: got type %d, truncated %v, want 1420, %v", tt.size, m.Type, m.Truncated, tt.truncated)
		}
	}
	if s := c.Stats(); s.Truncated != 2 || s.Received != 12 {
		t.Errorf("got %+v, want 12 received, 2 truncated", s)
	}
}

func TestReceiveDoesNotTrustTheLengthInTheHeader(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	const text = "audit(1795440105.125:24): "
	for _, length := range []uint32{0, 1, headerLen, uint32(len(text)), headerLen + uint32(len(text)), 1 << 20, 1<<32 - 1} {
		b := make([]byte, headerLen, headerLen+len(text))
		binary.NativeEndian.PutUint32(b, length)
		binary.NativeEndian.PutUint16(b[4:], 1404)
		must(t, group.Raw(append(b, text...)))
		if m := receive(t, c, 1)[0]; string(m.Data) != text {
			t.Errorf("nlmsg_len %d: got %q, want %q", length, m.Data, text)
		}
	}
}

func TestReceiveReportsMalformedAtOnce(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	for n := 1; n < headerLen; n++ {
		must(t, group.Raw(make([]byte, n)))
		msgs, err := c.Receive()
		if len(msgs) != 0 || err != nil {
			t.Fatalf("%d bytes: got %v, %v, want nothing", n, msgs, err)
		}
		if got := c.Stats().Malformed; got != uint64(n) {
			t.Fatalf("%d bytes: got %d malformed, want %d", n, got, n)
		}
	}
}

func TestReceiveReturnsAtMostABatchInOrder(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{0, 1, 7, 64, 200} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			t.Parallel()
			group := audittest.StandIn(t)
			c := listen(t, on(group, Config{Batch: batch}))
			if batch == 0 {
				batch = defaultBatch
			}
			const sent = 150
			for i := range sent {
				must(t, group.Multicast(1420, fmt.Sprint(i)))
			}
			for next := 0; next < sent; {
				msgs, err := c.Receive()
				must(t, err)
				if want := min(batch, sent-next); len(msgs) != want {
					t.Fatalf("got a batch of %d, want %d", len(msgs), want)
				}
				for _, m := range msgs {
					if string(m.Data) != fmt.Sprint(next) {
						t.Fatalf("got %q, want %d", m.Data, next)
					}
					next++
				}
			}
		})
	}
}

func TestMessagesLiveUntilTheNextReceiveAndCannotReachEachOther(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Batch: 2}))
	for _, text := range []string{"first", "second", "third", "fourth"} {
		must(t, group.Multicast(1420, text))
	}
	msgs, err := c.Receive()
	must(t, err)
	if len(msgs) != 2 {
		t.Fatalf("got %d messages, want 2", len(msgs))
	}
	view, second := msgs[0].Data, msgs[1].Data
	_ = append(view, make([]byte, slotSize)...)
	if string(second) != "second" {
		t.Errorf("appending to one message made the next %q", second)
	}
	receive(t, c, 2)
	if string(view) != "third" {
		t.Errorf("got %q, want the same memory to hold the third message", view)
	}
}

func TestFilterRefusesForeignTypesInTheKernel(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Types: []uint16{1404, 1420, 1421, 1422, 1423}}))
	for range 1000 { // far more than the buffer holds
		must(t, group.Multicast(1300, "arch=c000003e"))
	}
	for _, typ := range []uint16{1403, 1404, 1405, 1419, 1420, 1421, 1422, 1423, 1424, 0x8c05, 0} {
		must(t, group.Multicast(typ, "x"))
	}
	var got []uint16
	for _, m := range receive(t, c, 5) {
		got = append(got, m.Type)
	}
	if want := "[1404 1420 1421 1422 1423]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := c.Stats(); s != (Stats{Received: 5}) {
		t.Errorf("got %+v, want 5 received and nothing else: the filter is not in the kernel", s)
	}
	if n := drops(t, c); n != 0 {
		t.Errorf("got %d drops, want none for what the filter refuses", n)
	}
}

func TestReceiveMeetsItsDeadlineAndGoesOn(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	for _, deadline := range []time.Time{time.Unix(1, 0), time.Now().Add(time.Millisecond)} {
		must(t, c.SetReadDeadline(deadline))
		if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
	}
	must(t, group.Multicast(1420, "kept"))
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if m := receive(t, c, 1)[0]; string(m.Data) != "kept" {
		t.Errorf("got %q, want what came after the deadline", m.Data)
	}
}

func TestDeadlineReachesAWaitingReceive(t *testing.T) {
	t.Parallel()
	c := listen(t, on(audittest.StandIn(t), Config{}))
	done := make(chan error)
	go func() {
		_, err := c.Receive()
		done <- err
	}()
	must(t, c.SetReadDeadline(time.Unix(1, 0)))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestCloseEndsAWaitingReceiveAndEverythingAfter(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	must(t, c.SetReadDeadline(time.Time{}))
	must(t, group.Multicast(1420, "x"))
	started, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := c.Receive()
		close(started)
		if err == nil {
			_, err = c.Receive()
		}
		done <- err
	}()
	<-started
	must(t, c.Close())
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Receive: got %v, want %v", err, os.ErrClosed)
	}
	_, errReceive := c.Receive()
	_, errDrops := c.Drops()
	for name, err := range map[string]error{
		"second Close": c.Close(), "Receive": errReceive, "Drops": errDrops, "SetReadDeadline": c.SetReadDeadline(time.Now()),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: got %v, want %v", name, err, os.ErrClosed)
		}
		if _, ok := errors.AsType[*OpError](err); !ok {
			t.Errorf("%s after Close: got %T, want *OpError", name, err)
		}
	}
}

// An overrun, again and again, in both of the kernel's modes. Without
// NETLINK_NO_ENOBUFS a receiver that waits at the wrong moment hears nothing
// ever after.
func TestEveryMessageIsReceivedOrCountedAsDroppedAndNothingWedges(t *testing.T) {
	t.Parallel()
	for _, enobufs := range []bool{false, true} {
		t.Run(fmt.Sprintf("ENOBUFS=%v", enobufs), func(t *testing.T) {
			t.Parallel()
			group := audittest.StandIn(t)
			c := listen(t, on(group, Config{Types: []uint16{1420}}))
			if enobufs {
				allowENOBUFS(t, c)
			}
			f := flood{conn: c, batch: 600, send: func() error { return group.Multicast(1420, "flood") }}
			for range 100 {
				f.round(t, 1000)
			}
			if drops(t, c) == 0 {
				t.Error("nothing was dropped: this test has tested nothing")
			}
			if s := c.Stats(); s.Received != f.received || enobufs != (s.Overruns > 0) {
				t.Errorf("got %+v, want %d received, overruns: %v", s, f.received, enobufs)
			}
			t.Logf("%d sent, %d received, %d dropped, %d overruns", f.sent, f.received, drops(t, c), c.Stats().Overruns)
		})
	}
}

// flood sends more than a Conn can take and keeps the account.
type flood struct {
	conn           *Conn
	send           func() error
	batch          int // how many of a round are sent before anything is received
	sent, received uint64
}

func (f *flood) round(t *testing.T, n int) {
	t.Helper()
	for range f.batch {
		must(t, f.send())
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for range n - f.batch {
			err = errors.Join(err, f.send())
		}
		// The receiver may be waiting for what will not come.
		sent <- errors.Join(err, f.conn.SetReadDeadline(time.Unix(1, 0)))
	}()
	f.sent += uint64(n)
	for {
		err := f.receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		must(t, err)
	}
	must(t, <-sent)
	must(t, f.conn.SetReadDeadline(time.Now().Add(patience)))
	f.settle(t)

	// Still alive?
	must(t, f.send())
	f.sent++
	f.settle(t)
}

// settle receives what is queued; all of it has been sent.
func (f *flood) settle(t *testing.T) {
	t.Helper()
	for {
		switch total := f.received + drops(t, f.conn); {
		case total == f.sent:
			return
		case total > f.sent:
			t.Fatalf("received %d + dropped %d of %d sent", f.received, drops(t, f.conn), f.sent)
		}
		if err := f.receive(); err != nil {
			t.Fatalf("wedged: received %d + dropped %d of %d sent: %v", f.received, drops(t, f.conn), f.sent, err)
		}
	}
}

func (f *flood) receive() error {
	before := f.conn.Stats()
	_, err := f.conn.Receive()
	now := f.conn.Stats()
	f.received += now.Received + now.Forged - before.Received - before.Forged
	return err
}

// A congested socket, with its error still to be reported, is adopted.
func TestAdoptedCongestedSocketRecovers(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	old := listen(t, on(group, Config{}))
	allowENOBUFS(t, old)
	const sent = 2000
	for i := range sent {
		must(t, group.Multicast(1420, fmt.Sprint(i)))
	}
	adopted, err := FileConn(duplicate(t, old), on(group, Config{}))
	c := opened(t, adopted, err)
	must(t, old.Close())

	f := flood{conn: c, sent: sent}
	f.settle(t)
	if s := c.Stats(); s.Overruns != 1 {
		t.Errorf("got %d overruns, want the one that was pending", s.Overruns)
	}
	must(t, group.Multicast(1420, "after"))
	if m := receive(t, c, 1)[0]; string(m.Data) != "after" {
		t.Errorf("got %q, want what came after", m.Data)
	}
}

func TestReceiveDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Batch: 2, Types: []uint16{1420}}))
	for range 210 {
		must(t, group.Multicast(1420, "x"))
	}
	n := testing.AllocsPerRun(100, func() {
		if msgs, err := c.Receive(); err != nil || len(msgs) != 2 {
			t.Fatal(len(msgs), err)
		}
	})
	if n != 0 {
		t.Errorf("Receive: %v allocations, want 0", n)
	}
	n = testing.AllocsPerRun(100, func() {
		_ = c.Stats()
		if _, err := c.Drops(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("Stats and Drops: %v allocations, want 0", n)
	}
}

func TestSenderWhoseAddressIsMissingIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		namelen uint32
		from    unix.RawSockaddrNetlink
		forged  uint64
	}{
		{"kernel", unix.SizeofSockaddrNetlink, unix.RawSockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}, 0},
		{"process", unix.SizeofSockaddrNetlink, unix.RawSockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1, Pid: 1}, 1},
		{"unicast", unix.SizeofSockaddrNetlink, unix.RawSockaddrNetlink{Family: unix.AF_NETLINK, Pid: 1 << 31}, 1},
		{"no address", 0, unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}, 1},
		{"other family", unix.SizeofSockaddrNetlink, unix.RawSockaddrNetlink{Family: unix.AF_UNIX}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &Conn{}
			c.batch.init(1)
			c.batch.n = 1
			c.batch.addrs[0] = tt.from
			c.batch.hdrs[0].hdr.Namelen = tt.namelen
			c.batch.hdrs[0].len = headerLen
			msgs, refused := c.validate()
			if got := c.Stats().Forged; got != tt.forged || refused != (tt.forged > 0) || len(msgs) != 1-int(tt.forged) {
				t.Errorf("got %d messages, %d forged, want %d forged", len(msgs), got, tt.forged)
			}
			if got := c.batch.hdrs[0].hdr.Namelen; got != unix.SizeofSockaddrNetlink {
				t.Errorf("the slot is left with room for an address of %d bytes", got)
			}
		})
	}
}

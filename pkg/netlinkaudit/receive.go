package netlinkaudit

import (
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// slotSize is how much of one message is kept. The largest IPE record seen
	// has 8,532 bytes (a path of PATH_MAX in hex digits).
	slotSize = 16 << 10

	headerLen = unix.NLMSG_HDRLEN // sizeof(struct nlmsghdr)
)

// Message is one message of the audit group.
type Message struct {
	// Type is the record type, nlmsg_type.
	Type uint16

	// Data is the text of the record, as in "audit(1795440105.125:24): ...":
	// everything behind the netlink header, unpadded and without a trailing
	// NUL. It lives until the next Receive.
	//
	// It ends where the datagram ends, for the kernel sends one message in a
	// datagram. What nlmsg_len says is not used: in the group it says the same,
	// but in what auditd gets it is 16 too small (audit_log_end and
	// kauditd_send_multicast_skb, kernel/audit.c).
	Data []byte

	// Truncated says that the message was longer than 16 KiB, and Data is only
	// its beginning.
	Truncated bool
}

// Stats counts what [Conn.Receive] met with since the Conn was made.
type Stats struct {
	Received  uint64 // messages returned, truncated ones included
	Truncated uint64 // messages returned of which the end is missing
	Forged    uint64 // refused: not sent by the kernel
	Malformed uint64 // refused: too short for a netlink header
	Filtered  uint64 // refused: of a type not asked for, queued before the filter
	Overruns  uint64 // ENOBUFS; normally 0, also when messages were dropped. See Drops
}

// counters is Stats as it is written by one goroutine and read by others.
type counters struct {
	received, truncated, forged, malformed, filtered, overruns atomic.Uint64
}

// Stats returns the present numbers. Each is exact, but they are read one after
// the other while Receive may be at work.
func (c *Conn) Stats() Stats {
	return Stats{
		Received:  c.stats.received.Load(),
		Truncated: c.stats.truncated.Load(),
		Forged:    c.stats.forged.Load(),
		Malformed: c.stats.malformed.Load(),
		Filtered:  c.stats.filtered.Load(),
		Overruns:  c.stats.overruns.Load(),
	}
}

// mmsghdr mirrors struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch is the memory for one call of recvmmsg(2).
type batch struct {
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	addrs []unix.RawSockaddrNetlink
	bufs  []byte    // len(hdrs) slots
	msgs  []Message // what Receive returns

	fill func(uintptr) bool // Conn.fill, made once: a func value would be allocated at each call
	n    int                // slots filled
	err  error              // why there are none
}

func (b *batch) init(size int) {
	b.hdrs = make([]mmsghdr, size)
	b.iovs = make([]unix.Iovec, size)
	b.addrs = make([]unix.RawSockaddrNetlink, size)
	b.bufs = make([]byte, size*slotSize)
	b.msgs = make([]Message, 0, size)
	for i := range b.hdrs {
		b.iovs[i].Base = &b.bufs[i*slotSize]
		b.iovs[i].SetLen(slotSize)
		h := &b.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&b.addrs[i]))
		h.Namelen = unix.SizeofSockaddrNetlink
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
	}
}

// Receive waits until there are messages and returns as many as there are, up
// to the size of a batch. They live until the next call.
//
// With a [Config].Coalesce it may let messages accumulate before it returns them,
// as described there.
//
// It returns no message and no error if forged or malformed messages arrived
// and nothing else: the caller may want to report them at once. [Conn.Stats]
// tells.
//
// The error is [os.ErrDeadlineExceeded] after the deadline and [os.ErrClosed]
// after Close. An overrun is no error: see [Conn.Drops].
func (c *Conn) Receive() ([]Message, error) {
	for {
		c.batch.n, c.batch.err = 0, nil
		err := c.poller.raw.Read(c.batch.fill)
		if err == nil {
			err = c.batch.err
		}
		if err != nil {
			return nil, c.fail("receive", err)
		}
		if msgs, refused := c.validate(); len(msgs) > 0 || refused {
			return msgs, nil
		}
	}
}

// fill fills the batch with what is queued, or waits for that, once: it may end
// with nothing. It reports false when Go's poller is to wait, which calls it
// again then. The poller calls it before the first wait as well, and after each
// of ours, so that a deadline and Close are met whatever comes.
func (c *Conn) fill(uintptr) bool {
	fd, err := c.sock.acquire()
	if err != nil {
		c.batch.err = err
		return true
	}
	defer c.sock.release()
	slept := c.poller.sleep()
	some := c.recvmmsg(fd)
	if !some && !slept {
		// Goroutines that the last batch has woken run first: see poller.
		runtime.Gosched()
		some = c.recvmmsg(fd)
	}
	if some {
		n := c.batch.n
		c.poller.received(n, n == len(c.batch.hdrs))
		return true
	}
	again, err := c.poller.wait()
	c.batch.err = err
	return again || err != nil
}

// recvmmsg takes what is queued into the batch. It reports false when that is
// nothing.
func (c *Conn) recvmmsg(fd int) bool {
	b := &c.batch
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&b.hdrs[0])), uintptr(len(b.hdrs)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.n = int(n)
			return true
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		case unix.ENOBUFS:
			// The kernel discards until a receive finds the queue empty, and this
			// call has not looked at it: look again before waiting.
			c.stats.overruns.Add(1)
		default:
			b.err = os.NewSyscallError("recvmmsg", errno)
			return true
		}
	}
}

// validate returns the messages of the batch that the kernel sent and that were
// asked for. It reports refused if any was forged or malformed.
func (c *Conn) validate() (msgs []Message, refused bool) {
	b := &c.batch
	var truncated, forged, malformed, filtered uint64
	msgs = b.msgs[:0]
	types := c.wanted()
	for i := range b.n {
		h, from := &b.hdrs[i], &b.addrs[i]
		data := b.bufs[i*slotSize:][:h.len:h.len]
		known := h.hdr.Namelen == unix.SizeofSockaddrNetlink && from.Family == unix.AF_NETLINK
		h.hdr.Namelen = unix.SizeofSockaddrNetlink // the kernel wrote how much it used

		// nl_pid is the port id of the sender as the kernel knows it; its own
		// is 0 (netlink_recvmsg, net/netlink/af_netlink.c). nlmsg_pid is not it.
		if !known || from.Pid != 0 && !c.anySender {
			forged++
			continue
		}
		if len(data) < headerLen {
			malformed++
			continue
		}
		m := Message{
			Type:      binary.NativeEndian.Uint16(data[4:]),
			Data:      data[headerLen:],
			Truncated: h.hdr.Flags&unix.MSG_TRUNC != 0,
		}
		if len(types) > 0 && !slices.Contains(types, m.Type) {
			filtered++
			continue
		}
		if m.Truncated {
			truncated++
		}
		msgs = append(msgs, m)
	}
	add(&c.stats.received, uint64(len(msgs)))
	add(&c.stats.truncated, truncated)
	add(&c.stats.forged, forged)
	add(&c.stats.malformed, malformed)
	add(&c.stats.filtered, filtered)
	return msgs, forged+malformed > 0
}

// wanted returns the types that Receive returns; empty for all.
func (c *Conn) wanted() []uint16 {
	if types := c.types.Load(); types != nil {
		return *types
	}
	return nil
}

// add spares the locked instruction in the usual case.
func add(c *atomic.Uint64, n uint64) {
	if n > 0 {
		c.Add(n)
	}
}

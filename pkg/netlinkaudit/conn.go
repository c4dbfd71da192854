package netlinkaudit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// groupReadLog is the multicast group that carries every record.
const groupReadLog = unix.AUDIT_NLGRP_READLOG // 1, since Linux 3.16

const (
	defaultBatch = 64
	maxBatch     = 1024 // UIO_MAXIOV, as sendmmsg(2) has it; 16 MiB of memory
)

// Config says what a [Conn] receives and how. A nil *Config is the zero value.
type Config struct {
	// Types lists the record types to receive, as in nlmsg_type. Others are
	// refused in the kernel by a filter, or, if they were queued on an
	// inherited socket before it had the filter, by Receive.
	//
	// If empty, every type is received; a filter that an inherited socket has
	// already is left in place. A filter of Types replaces it.
	Types []uint16

	// ReadBuffer is the size of the socket's receive buffer to ask for, in
	// bytes and in the unit of SO_RCVBUF: the kernel sets aside twice as much,
	// and charges each message with its overhead, some 450 bytes of this
	// number for a short record (socket(7), and truesize in the kernel).
	//
	// With CAP_NET_ADMIN the kernel grants it (SO_RCVBUFFORCE), without it as
	// much as net.core.rmem_max allows. The buffer is never made smaller. See
	// [Conn.ReadBuffer] for what was granted. If zero, it stays as it is.
	ReadBuffer int

	// Batch is the number of messages that one Receive can return, at most
	// 1024. Each takes 16 KiB of memory. If zero, it is 64.
	Batch int

	// Coalesce lets Receive trade latency for processor time while messages
	// arrive one by one and fast. It is the longest time for which Receive then
	// lets them accumulate before it returns them as a batch; a millisecond is a
	// good value. Receive sleeps like this only while messages arrive at more
	// than some eight per Coalesce and the receive buffer has room for a burst
	// (4 MiB or more), and never while a full batch is waiting. At lower rates a
	// Coalesce above zero makes Receive wait up to 5 ms in poll(2), which keeps
	// one thread in a system call, instead of parking its goroutine.
	//
	// If zero, Receive always parks its goroutine and returns as soon as there
	// is a message. It must not be negative or longer than a second.
	Coalesce time.Duration

	// Protocol is the netlink protocol. If zero, it is NETLINK_AUDIT, the only
	// one on which there are audit records. A test may use NETLINK_USERSOCK,
	// whose group 1 behaves in the same way and takes no capability; the kernel
	// sends nothing there, so messages from every sender are accepted.
	Protocol int

	// NetNS is a descriptor of the network namespace in which Listen opens the
	// socket, as in netlink.Config of github.com/mdlayher/netlink. If zero, it
	// is the namespace of the calling thread. It is of use with a Protocol
	// other than NETLINK_AUDIT only: audit records are delivered in the initial
	// network namespace and nowhere else.
	NetNS int
}

// Conn receives messages of the audit multicast group.
//
// One goroutine at a time may call Receive. All other methods may be called
// from any goroutine at any time.
type Conn struct {
	// Set at construction.
	sock       descriptor
	poller     *poller
	anySender  bool
	verified   bool
	cookie     uint64
	readBuffer int
	coalesce   time.Duration

	// Owned by the goroutine that calls Receive.
	batch batch

	// For all goroutines.
	types  atomic.Pointer[[]uint16] // that Receive returns; empty: all
	closed atomic.Bool
	stats  counters
	drops  dropCounter
}

// netSocket is what *netlink.Conn and *socket.Conn have in common and we use.
type netSocket interface {
	SyscallConn() (syscall.RawConn, error)
	SetBPF([]bpf.RawInstruction) error
	Close() error
}

// Listen opens an audit socket and joins the multicast group. The filter is in
// place before that, so that no foreign type is ever queued.
//
// It needs CAP_AUDIT_READ in the initial user namespace, and to run in the
// initial network namespace. It returns [ErrPermission], [ErrUnavailable] or
// [ErrForeignNamespace] where these apply.
func Listen(cfg *Config) (*Conn, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	verified := false
	if cfg.protocol() == unix.NETLINK_AUDIT && cfg.NetNS == 0 {
		initial, known := InInitialNamespace()
		if known && !initial {
			return nil, &OpError{Op: "open", Err: ErrForeignNamespace}
		}
		verified = known
	}

	s, err := netlink.Dial(cfg.protocol(), &netlink.Config{NetNS: cfg.NetNS})
	if err != nil {
		return nil, openError(err)
	}
	c, err := newConn(s, cfg)
	if err == nil {
		err = joinError(s.JoinGroup(groupReadLog))
	}
	if err == nil {
		err = c.attach(s)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	c.verified = verified
	return c, nil
}

// FileConn adopts the audit socket that f refers to, which must have joined the
// multicast group already. It needs no capability, and the process may be in
// another network namespace than the socket. The Conn uses a duplicate of the
// descriptor: f remains the caller's, who should close it.
//
// Messages that are queued will be received, except those of other types than
// cfg.Types, which are counted as Filtered. The socket's drop counter is that of
// its whole life, and before the filter also counts such messages.
//
// It returns [ErrNotAudit] or [ErrNotJoined] if f is something else. Such a
// descriptor is left as it was, but for O_NONBLOCK.
func FileConn(f *os.File, cfg *Config) (*Conn, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	s, err := socket.FileConn(f, "netlink-audit")
	if err != nil {
		return nil, opError("adopt", err)
	}
	c, err := (*Conn)(nil), verifyInherited(s, cfg.protocol())
	if err == nil {
		c, err = newConn(s, cfg)
	}
	if err == nil {
		err = c.attach(s)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return c, nil
}

func (cfg *Config) protocol() int {
	if cfg.Protocol == 0 {
		return unix.NETLINK_AUDIT
	}
	return cfg.Protocol
}

// newConn returns a Conn that has no socket yet, and prepares s to become it.
func newConn(s netSocket, cfg *Config) (*Conn, error) {
	size := cfg.Batch
	if size == 0 {
		size = defaultBatch
	}
	if size < 0 || size > maxBatch {
		return nil, opError("configure", fmt.Errorf("batch of %d messages: must be 1 to %d", cfg.Batch, maxBatch))
	}
	if cfg.ReadBuffer < 0 {
		return nil, opError("configure", fmt.Errorf("receive buffer of %d bytes: must not be negative", cfg.ReadBuffer))
	}
	if cfg.Coalesce < 0 || cfg.Coalesce > time.Second {
		return nil, opError("configure", fmt.Errorf("coalesce for %v: must be from 0 to 1s", cfg.Coalesce))
	}

	// The filter first: while the socket has none, foreign types are queued.
	if len(cfg.Types) > 0 {
		if err := setFilter(s, cfg.Types); err != nil {
			return nil, opError("set filter", err)
		}
	}

	raw, err := s.SyscallConn()
	if err != nil {
		return nil, opError("open", err)
	}
	c := &Conn{
		sock:      descriptor{fd: -1},
		anySender: cfg.protocol() != unix.NETLINK_AUDIT,
		coalesce:  cfg.Coalesce,
	}
	types := slices.Clone(cfg.Types)
	c.types.Store(&types)
	c.batch.init(size)
	c.batch.fill = c.fill

	// Of a socket that was congested before, this also clears the latch
	// (netlink_setsockopt, net/netlink/af_netlink.c).
	err = control(raw, func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1))
	})
	if err != nil {
		return nil, opError("set NETLINK_NO_ENOBUFS", err)
	}
	err = control(raw, func(fd int) (err error) {
		c.readBuffer, err = raiseReadBuffer(fd, cfg.ReadBuffer)
		return err
	})
	if err != nil {
		return nil, opError("set receive buffer", err)
	}
	err = control(raw, func(fd int) (err error) {
		c.cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return os.NewSyscallError("getsockopt", err)
	})
	if err != nil {
		return nil, opError("read cookie", err)
	}
	return c, nil
}

// attach makes s the socket of c, and closes s. What is left is a duplicate that
// Go's poller does not watch: see poller.
func (c *Conn) attach(s netSocket) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return opError("open", err)
	}
	err = control(raw, func(fd int) (err error) {
		c.sock.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err == nil {
		c.poller, err = newPoller(c.sock.fd, c.readBuffer, c.coalesce)
	}
	if err != nil {
		c.sock.close()
		return opError("open", err)
	}
	_ = s.Close() // the socket stays open, so there is nothing that could fail
	return nil
}

// Close closes the socket. A Receive that is waiting returns an error that is
// [os.ErrClosed], at once or a few milliseconds later, and so does every later
// call, of Close as well. The queue of an inherited socket lives on if somebody
// else holds the socket too.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return opError("close", os.ErrClosed)
	}
	err := c.poller.close() // ends a Receive, which has the descriptor
	return opError("close", errors.Join(err, c.sock.close()))
}

// SetReadDeadline sets the time after which Receive returns an error that is
// [os.ErrDeadlineExceeded], also to one that is waiting already; it may take some
// milliseconds longer. The zero time means never. After a deadline has passed,
// nothing is received until another one is set; nothing is lost either.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.fail("set deadline", c.poller.set.SetReadDeadline(t))
}

// SetTypes replaces the types that are received, of which there must be some. The
// kernel changes from one filter to the other between two messages (sk_attach_filter,
// net/core/filter.c), so nothing of a type that is in both is lost or comes twice.
// Messages that were queued and are of other types are refused by Receive, as
// Filtered. It may be called from any goroutine, from one at a time.
func (c *Conn) SetTypes(types []uint16) error {
	if len(types) == 0 {
		return opError("set filter", errors.New("no types"))
	}
	before := c.wanted()
	either := slices.Concat(before, types)
	if len(before) == 0 {
		either = nil
	}
	// Receive takes what either filter has let through, until the kernel's is in
	// place.
	c.types.Store(&either)
	err := c.sock.use(func(fd int) error { return attachFilter(fd, types) })
	after := slices.Clone(types)
	if err != nil {
		after = before
	}
	c.types.Store(&after)
	return c.fail("set filter", err)
}

// Leave leaves the multicast group: from now on the kernel queues nothing. What
// is queued can still be received, and once [Conn.Queued] returns 0 everything
// was. An inherited socket is left by every process that shares it, and cannot
// be adopted again.
func (c *Conn) Leave() error {
	err := c.sock.use(func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, groupReadLog))
	})
	return c.fail("leave group", err)
}

// ReadBuffer returns the size of the socket's receive buffer, as read back when
// the Conn was made, in bytes and in the unit of [Config].ReadBuffer: compare the
// two to see whether the kernel granted what was asked for. The kernel sets
// aside twice as much, and getsockopt(SO_RCVBUF) returns that.
func (c *Conn) ReadBuffer() int { return c.readBuffer }

// Cookie returns the number by which the kernel tells the socket from all
// others since it booted (SO_COOKIE, Linux 4.12). An inherited socket has the
// same one in every process that adopts it.
func (c *Conn) Cookie() uint64 { return c.cookie }

// NamespaceVerified reports whether the socket is known to be in the initial
// network namespace. It is false for an inherited socket, whose maker is
// trusted, and where /proc/sys/net is not to be seen (/proc not mounted, or
// mounted with subset=pid): then a socket that hears nothing may be in the
// wrong place.
func (c *Conn) NamespaceVerified() bool { return c.verified }

// fail is opError for a Conn that may have been closed meanwhile. Go's poller
// then has an error of its own, which is not os.ErrClosed.
func (c *Conn) fail(op string, err error) error {
	if err != nil && c.closed.Load() && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = os.ErrClosed
	}
	return opError(op, err)
}

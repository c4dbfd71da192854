package netlinkaudit

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Places in what SO_MEMINFO returns (include/uapi/linux/sock_diag.h).
const (
	meminfoQueued = 0 // SK_MEMINFO_RMEM_ALLOC
	meminfoDrops  = 8 // SK_MEMINFO_DROPS
)

// dropCounter reads sk_drops of a socket, and continues it beyond 32 bits.
type dropCounter struct {
	mu    sync.Mutex
	total uint64
	info  [meminfoDrops + 1]uint32
	size  uint32
}

// getsockopt fills d.info.
func (d *dropCounter) getsockopt(fd int) error {
	d.size = uint32(unsafe.Sizeof(d.info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&d.info)), uintptr(unsafe.Pointer(&d.size)), 0)
	if errno != 0 {
		return os.NewSyscallError("getsockopt", errno)
	}
	return nil
}

// extend advances d.total to the next number whose lower 32 bits are now.
func (d *dropCounter) extend(now uint32) uint64 {
	d.total += uint64(now - uint32(d.total))
	return d.total
}

// Drops returns how many messages the kernel has dropped at the socket because
// its receive buffer was full, since the socket was opened: neither more nor
// less (sk_drops, by SO_MEMINFO; Linux 4.12). Messages that the filter refused
// are not among them, forged ones are. It does not allocate.
//
// The kernel counts in 32 bits. Drops goes on beyond that if it is called once
// in 2^32 drops, but begins with the kernel's number when a socket is adopted:
// a number kept from an earlier process is to be compared modulo 2^32, and
// together with the Cookie and the boot id.
func (c *Conn) Drops() (uint64, error) {
	d := &c.drops
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := c.meminfo("read drop counter"); err != nil {
		return 0, err
	}
	return d.extend(d.info[meminfoDrops]), nil
}

// Queued returns how much of the receive buffer is taken by messages that were
// not received yet, in bytes and in the unit of [Conn.ReadBuffer]. It is 0 only
// when there are none.
func (c *Conn) Queued() (bytes int, err error) {
	d := &c.drops
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := c.meminfo("read queue length"); err != nil {
		return 0, err
	}
	return (int(d.info[meminfoQueued]) + 1) / 2, nil // sk_rmem_alloc is in the doubled unit
}

// meminfo fills c.drops.info. It is called with c.drops.mu held.
func (c *Conn) meminfo(op string) error {
	return c.fail(op, c.sock.use(c.drops.getsockopt))
}

package netlinkaudit

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pollTimeout is how long Receive waits in poll(2) for the next message. It
	// is less than the 10 ms for which the runtime leaves a processor (P) to a
	// system call (retake, runtime/proc.go). Receive begins to use poll(2) once
	// the queue was emptied pollAfter times within as many timeouts.
	pollTimeout = 5 * time.Millisecond
	pollAfter   = 8

	// Receive begins to sleep between two batches once the queue was emptied
	// coalesceAfter times within as many eighths of Config.Coalesce. It stops
	// when coalesceTries sleeps in a row have brought fewer than coalesceLeast
	// messages each.
	coalesceAfter = 64
	coalesceLeast = 4
	coalesceTries = 4

	// coalesceBuffer is the least receive buffer with which Receive sleeps, in
	// the unit of Config.ReadBuffer: the kernel fills it in some 15 ms at best.
	coalesceBuffer = 4 << 20
)

// poller waits for messages in the queue of a socket. It has three modes.
//
// While messages are rare it waits in Go's poller, as everything else does:
// that costs nothing, and the runtime can fall asleep as a whole. But to come
// back from there takes long. The runtime wakes its monitor before anything
// else, which can cost more than all the rest of the way of the message, and
// then watches itself closely for a while. With a Config.Coalesce of zero this
// is the only mode.
//
// While messages follow each other closely it waits in poll(2), on a thread
// that keeps its P meanwhile: it goes on at once, and the runtime does not fall
// asleep. The goroutine that was woken by the last message gets the P first: it
// runs here and now, and no other thread has to be woken for it.
//
// While messages come faster than one can be passed on, it sleeps for
// Config.Coalesce and then takes what has come, as network cards do with their
// interrupts: a batch costs little more than a message. After a full batch
// there is more to take, so it does not sleep.
//
// The socket must not be in Go's poller, because each message would wake that
// too. So it is in an epoll(7) set of its own, which is disarmed while nobody
// waits there, and Go's poller watches the set.
type poller struct {
	// Set at construction.
	fd       int      // of the socket
	set      *os.File // the epoll set
	raw      syscall.RawConn
	coalesce time.Duration // 0: park only
	sleeps   bool          // the receive buffer is large enough to sleep

	// Owned by the goroutine that calls Receive.
	mode  mode
	full  bool      // the last batch was full
	count int       // of emptied queues in the current run; of poor sleeps in a row
	begun time.Time // when the current run began
	fds   [1]unix.PollFd
	ts    unix.Timespec // how long a poll or a sleep takes
}

// mode is how a poller waits.
type mode uint8

const (
	modePark  mode = iota // in Go's poller
	modePoll              // in poll(2)
	modeSleep             // not for a message, but until some have accumulated
)

// newPoller returns a poller for the socket fd, which has a receive buffer of
// that many bytes. It must be closed before the socket.
func newPoller(fd, buffer int, coalesce time.Duration) (*poller, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Go's poller takes no other files.
	if err := unix.SetNonblock(set, true); err != nil {
		unix.Close(set)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: fd, set: os.NewFile(uintptr(set), "audit"), coalesce: coalesce, sleeps: buffer >= coalesceBuffer}
	p.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if p.raw, err = p.set.SyscallConn(); err == nil {
		err = p.control(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
	if err != nil {
		p.set.Close()
		return nil, err
	}
	return p, nil
}

// control changes what the set watches the socket for.
func (p *poller) control(op int, events uint32) error {
	return control(p.raw, func(set int) error {
		return os.NewSyscallError("epoll_ctl", unix.EpollCtl(set, op, p.fd, &unix.EpollEvent{Events: events, Fd: int32(p.fd)}))
	})
}

// sleep is called before anything is received. It sleeps in modeSleep, and
// reports whether it has.
func (p *poller) sleep() bool {
	if p.mode != modeSleep || p.full {
		return false
	}
	runtime.Gosched() // as in Conn.fill
	p.ts = unix.NsecToTimespec(p.coalesce.Nanoseconds())
	unix.Nanosleep(&p.ts, nil)
	return true
}

// received is told how many messages a batch had, and whether it was full. It
// chooses the mode in which to wait for the next ones.
func (p *poller) received(n int, full bool) {
	if p.full = full; full || p.coalesce == 0 {
		return
	}
	switch p.mode {
	case modePark:
		// With a single P everybody else would have to wait until the runtime
		// takes it away from us. An error (of a Close meanwhile) must not cost what
		// was received: the next call meets it.
		if p.busy(pollAfter, pollTimeout) && runtime.GOMAXPROCS(0) > 1 &&
			p.control(unix.EPOLL_CTL_MOD, 0) == nil {
			p.mode = modePoll
		}
	case modePoll:
		if p.busy(coalesceAfter, p.coalesce/8) && p.sleeps {
			p.mode = modeSleep
		}
	case modeSleep:
		if p.count++; n >= coalesceLeast {
			p.count = 0
		}
		if p.count == coalesceTries {
			p.mode, p.count = modePoll, 0
		}
	}
}

// busy counts emptied queues, and reports whether the last n took no longer
// than each, on average.
func (p *poller) busy(n int, each time.Duration) bool {
	if p.count++; p.count < n {
		return false
	}
	now := time.Now()
	took := now.Sub(p.begun)
	p.count, p.begun = 0, now
	return took <= time.Duration(n)*each
}

// wait is called when the queue is empty. It reports true when the queue is to
// be looked at again, and false when Go's poller is to wait.
func (p *poller) wait() (bool, error) {
	switch p.mode {
	case modePoll:
		p.ts = unix.NsecToTimespec(pollTimeout.Nanoseconds())
		n, err := unix.Ppoll(p.fds[:], &p.ts, nil) // Poll allocates
		if n > 0 || err == unix.EINTR {
			return true, nil
		}
		// From here on Go's poller hears of each message, but not of one that came
		// just before: the socket may still be in the ready list of the set, from
		// when it was armed last, and then EPOLL_CTL_MOD wakes nobody (ep_modify,
		// fs/eventpoll.c). So the queue is looked at again.
		if err := p.control(unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
			return false, err
		}
		p.mode, p.count = modePark, 0
		return true, nil
	case modeSleep:
		p.received(0, false)
		return true, nil // and sleep, if that is still the mode
	}
	return false, nil
}

// close ends a wait in Go's poller; any other wait ends by itself, soon.
func (p *poller) close() error { return p.set.Close() }

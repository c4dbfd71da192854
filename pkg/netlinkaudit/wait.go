package netlinkaudit

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// linger is how long Receive waits in poll(2) for the next message. It is
	// less than the 10 ms for which the runtime leaves a processor (P) to a
	// system call (retake, runtime/proc.go). It begins with that once the queue
	// was emptied pollAfter times within as many lingers.
	linger    = 5 * time.Millisecond
	pollAfter = 8

	// nap is for how long Receive lets messages come together. It begins with
	// that once the queue was emptied napAfter times within as many napBelow, and
	// ends when napPatience naps in a row have brought fewer than napLeast.
	nap         = time.Millisecond
	napBelow    = nap / 8
	napAfter    = 64
	napLeast    = 4
	napPatience = 4

	// napBuffer is the least receive buffer for naps, in the unit of
	// Config.ReadBuffer: the kernel fills it in some 15 ms at best.
	napBuffer = 4 << 20
)

// waiter waits for messages in the queue of a socket. It has three ways.
//
// While messages are rare it waits in Go's poller, as everything else does:
// that costs nothing, and the runtime can fall asleep as a whole. But to come
// back from there takes long. The runtime wakes its monitor before anything
// else, which can cost more than all the rest of the way of the message, and
// then watches itself closely for a while.
//
// While messages come close upon each other it waits in poll(2), on a thread
// that keeps its P meanwhile: it goes on at once, and the runtime does not fall
// asleep. Whoever was woken by the last message gets the P before: it runs here
// and now, and no other thread has to be woken for it.
//
// While they come closer than it takes to pass one on, it sleeps for a
// millisecond and then takes what has come, as network cards do with their
// interrupts: a batch costs little more than a message. With a full batch there
// is more to take, and no sleep.
//
// The socket must not be in Go's poller, for each message would wake that too.
// So it is in an epoll(7) set of its own, which is disarmed while nobody waits
// there, and Go's poller watches the set.
type waiter struct {
	// Set at construction.
	fd   int      // of the socket
	set  *os.File // the epoll set
	raw  syscall.RawConn
	naps bool // the receive buffer is large enough for them

	// Owned by the goroutine that calls Receive.
	way   way
	more  bool      // the last batch was full
	count int       // of what often counts; of poor naps in a row
	begun time.Time // when often began to count
	poll  [1]unix.PollFd
	spell unix.Timespec // how long a poll or a nap takes
}

// way is how a waiter waits.
type way uint8

const (
	park way = iota // in Go's poller
	poll            // in poll(2)
	doze            // not for a message, but until some have come together
)

// newWaiter returns a waiter for the socket fd, which has a receive buffer of
// that many bytes. It must be closed before the socket.
func newWaiter(fd, buffer int) (*waiter, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Go's poller takes no other files.
	if err := unix.SetNonblock(set, true); err != nil {
		unix.Close(set)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &waiter{fd: fd, set: os.NewFile(uintptr(set), "audit"), naps: buffer >= napBuffer}
	w.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if w.raw, err = w.set.SyscallConn(); err == nil {
		err = w.control(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
	if err != nil {
		w.set.Close()
		return nil, err
	}
	return w, nil
}

// control changes what the set watches the socket for.
func (w *waiter) control(op int, events uint32) error {
	return control(w.raw, func(set int) error {
		return os.NewSyscallError("epoll_ctl", unix.EpollCtl(set, op, w.fd, &unix.EpollEvent{Events: events, Fd: int32(w.fd)}))
	})
}

// rest is called before anything is received. It sleeps where that is the way,
// and reports whether it has.
func (w *waiter) rest() bool {
	if w.way != doze || w.more {
		return false
	}
	runtime.Gosched() // as in Conn.fill
	w.spell = unix.NsecToTimespec(nap.Nanoseconds())
	unix.Nanosleep(&w.spell, nil)
	return true
}

// received is told how many messages there were, and whether there may be more.
// It chooses the way to wait for the next ones.
func (w *waiter) received(n int, more bool) {
	if w.more = more; more {
		return
	}
	switch w.way {
	case park:
		// With a single P everybody else would have to wait until the runtime
		// takes it away from us. An error (of a Close meanwhile) must not cost what
		// was received: the next call meets it.
		if w.often(pollAfter, linger) && runtime.GOMAXPROCS(0) > 1 &&
			w.control(unix.EPOLL_CTL_MOD, 0) == nil {
			w.way = poll
		}
	case poll:
		if w.often(napAfter, napBelow) && w.naps {
			w.way = doze
		}
	case doze:
		if w.count++; n >= napLeast {
			w.count = 0
		}
		if w.count == napPatience {
			w.way, w.count = poll, 0
		}
	}
}

// often counts, and reports whether the last n times took no longer than each,
// on average.
func (w *waiter) often(n int, each time.Duration) bool {
	if w.count++; w.count < n {
		return false
	}
	now := time.Now()
	took := now.Sub(w.begun)
	w.count, w.begun = 0, now
	return took <= time.Duration(n)*each
}

// wait is called when there is nothing. It reports true when the queue is to be
// looked at again, and false when Go's poller is to wait.
func (w *waiter) wait() (bool, error) {
	switch w.way {
	case poll:
		w.spell = unix.NsecToTimespec(linger.Nanoseconds())
		n, err := unix.Ppoll(w.poll[:], &w.spell, nil) // Poll allocates
		if n > 0 || err == unix.EINTR {
			return true, nil
		}
		// From here on Go's poller hears of each message, but not of one that came
		// just before: the socket may still be in the ready list of the set, from
		// when it was armed last, and then EPOLL_CTL_MOD wakes nobody (ep_modify,
		// fs/eventpoll.c). So the queue is looked at again.
		if err := w.control(unix.EPOLL_CTL_MOD, unix.EPOLLIN); err != nil {
			return false, err
		}
		w.way, w.count = park, 0
		return true, nil
	case doze:
		w.received(0, false)
		return true, nil // and rest, if it is the way still
	}
	return false, nil
}

// close ends a wait in Go's poller; any other one is over soon.
func (w *waiter) close() error { return w.set.Close() }

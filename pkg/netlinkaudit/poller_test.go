package netlinkaudit

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"golang.org/x/sys/unix"
)

// coalesce is what the daemon uses.
const coalesce = time.Millisecond

// goOver makes c wait in that mode, as if the messages so far asked for it.
func goOver(tb testing.TB, c *Conn, to mode) {
	tb.Helper()
	events := uint32(unix.EPOLLIN)
	if to != modePark {
		events = 0
	}
	must(tb, c.poller.control(unix.EPOLL_CTL_MOD, events))
	c.poller.mode, c.poller.count, c.poller.full = to, 0, false
}

var modes = map[mode]string{modePark: "park", modePoll: "poll", modeSleep: "sleep"}

func TestEveryModeOfWaitingHearsMessagesDeadlinesAndClose(t *testing.T) {
	t.Parallel()
	for from, name := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := audittest.StandIn(t)
			c := listen(t, on(group, Config{Coalesce: coalesce}))

			goOver(t, c, from)
			sent := make(chan error, 1)
			go func() {
				time.Sleep(3 * pollTimeout) // it waits, and has changed its mode
				sent <- group.Multicast(1420, "late")
			}()
			if m := receive(t, c, 1)[0]; string(m.Data) != "late" {
				t.Errorf("got %q", m.Data)
			}
			must(t, <-sent)

			goOver(t, c, from)
			must(t, c.SetReadDeadline(time.Now().Add(2*time.Millisecond)))
			if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			must(t, c.SetReadDeadline(time.Now().Add(patience)))

			goOver(t, c, from)
			closed := make(chan error, 1)
			go func() {
				time.Sleep(time.Millisecond)
				closed <- c.Close()
			}()
			if _, err := c.Receive(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("got %v, want closed", err)
			}
			must(t, <-closed)
			if _, err := c.Drops(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("drops: got %v, want closed", err)
			}
		})
	}
}

// A deadline holds although there is always something to receive.
func TestDeadlineIsMetInAFloodInEveryMode(t *testing.T) {
	t.Parallel()
	for from, name := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := audittest.StandIn(t)
			c := listen(t, on(group, Config{Batch: 1, Coalesce: coalesce}))
			for i := range 100 {
				must(t, group.Multicast(1420, fmt.Sprint(i)))
			}
			goOver(t, c, from)
			receive(t, c, 1)
			must(t, c.SetReadDeadline(time.Now().Add(-time.Second)))
			if msgs, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %v, %v, want the deadline", msgs, err)
			}
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			if m := receive(t, c, 99)[0]; string(m.Data) != "1" {
				t.Errorf("got %q behind the deadline, want 1", m.Data)
			}
		})
	}
}

// armed reports whether Go's poller is told of what is in the queue of c.
func armed(tb testing.TB, c *Conn) bool {
	tb.Helper()
	n := 0
	must(tb, c.poller.raw.Control(func(set uintptr) {
		n, _ = unix.EpollWait(int(set), make([]unix.EpollEvent, 1), 0)
	}))
	return n > 0
}

func TestTheModeOfWaitingFollowsTheMessages(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("with one processor the runtime gets it back after every message")
	}
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Coalesce: coalesce}))
	c.poller.sleeps = true // the stand-in may not have the buffer for it
	next := 0
	one := func() {
		t.Helper()
		must(t, group.Multicast(1420, fmt.Sprint(next)))
		if m := receive(t, c, 1)[0]; string(m.Data) != fmt.Sprint(next) {
			t.Fatalf("got %q, want %d", m.Data, next)
		}
		next++
	}
	// Each of these takes some microseconds, but on a busy machine now and then
	// more.
	reach := func(want mode) {
		t.Helper()
		for end := time.Now().Add(patience); c.poller.mode != want; one() {
			if time.Now().After(end) {
				t.Fatalf("after %d messages: %s, want %s", next, modes[c.poller.mode], modes[want])
			}
		}
	}
	if c.poller.mode != modePark {
		t.Fatalf("begins with %s", modes[c.poller.mode])
	}
	one()
	if c.poller.mode != modePark {
		t.Errorf("%s after a single message", modes[c.poller.mode])
	}
	reach(modePoll)
	must(t, group.Multicast(1420, "for nobody but us"))
	if armed(t, c) {
		t.Error("each message wakes Go's poller too")
	}
	receive(t, c, 1)
	reach(modeSleep)
	// One at a time is too little to sleep for.
	reach(modePoll)
	go func() {
		time.Sleep(3 * pollTimeout)
		_ = group.Multicast(1420, "at last")
	}()
	receive(t, c, 1)
	if c.poller.mode != modePark {
		t.Errorf("%s after a pause of %v, want park", modes[c.poller.mode], 3*pollTimeout)
	}
}

func TestWithoutCoalesceTheGoroutineIsParked(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{}))
	c.poller.sleeps = true
	for i := range 10 * pollAfter {
		must(t, group.Multicast(1420, fmt.Sprint(i)))
		receive(t, c, 1)
		if c.poller.mode != modePark {
			t.Fatalf("after %d messages: %s, want %s", i+1, modes[c.poller.mode], modes[modePark])
		}
	}
}

// What comes during a sleep, or while the queue is never empty, is received in order
// and whole.
func TestAFullBatchIsFollowedByNoSleep(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Batch: 8, Coalesce: coalesce}))
	const sent = 8 * 20
	for i := range sent {
		must(t, group.Multicast(1420, fmt.Sprint(i)))
	}
	goOver(t, c, modeSleep)
	for i, m := range receive(t, c, sent) {
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", m.Data, i)
		}
	}
	if c.poller.sleep() {
		t.Error("slept behind a full batch")
	}
	must(t, group.Multicast(1420, "alone"))
	receive(t, c, 1)
	if !c.poller.sleep() {
		t.Error("did not sleep behind the last message there was")
	}
}

func TestWaitingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Coalesce: coalesce}))
	must(t, group.Multicast(1420, "so that poll(2) returns at once"))
	for mode, name := range modes {
		goOver(t, c, mode)
		// Often: what the rest of the process allocates meanwhile counts too.
		n := testing.AllocsPerRun(100, func() {
			c.poller.sleep()
			if _, err := c.poller.wait(); err != nil {
				t.Fatal(err)
			}
			c.poller.mode, c.poller.count = mode, 0
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// When poll(2) has ended in vain, a message can come before the set is armed.
// That wakes nobody: the kernel still has the socket in the set's list of those
// that are ready (ep_modify, fs/eventpoll.c).
func TestAMessageBetweenPollAndArmingIsHeard(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Coalesce: coalesce}))
	sent := make(chan error, 1)
	send := func(text string, after time.Duration) {
		time.Sleep(after)
		sent <- group.Multicast(1420, text)
	}
	go send("by Go's poller, which leaves the socket in the list", 20*time.Millisecond)
	receive(t, c, 1)
	must(t, <-sent)
	goOver(t, c, modePoll)
	c.poller.fds[0].Fd = -1 // poll(2) sees nothing, as if it had just ended
	go send("in between", time.Millisecond)
	if m := receive(t, c, 1)[0]; string(m.Data) != "in between" {
		t.Errorf("got %q", m.Data)
	}
	must(t, <-sent)
}

// What was taken from the socket is returned, although Close has begun: the queue
// of an inherited socket would have kept it.
func TestCloseDoesNotLoseWhatWasTaken(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Coalesce: coalesce}))
	must(t, group.Multicast(1420, "taken"))
	goOver(t, c, modePark)
	c.poller.count, c.poller.begun = pollAfter-1, time.Now() // this one changes the mode
	must(t, c.poller.set.Close())
	if !c.fill(0) || c.batch.n != 1 || c.batch.err != nil {
		t.Errorf("got %d messages, %v, want one", c.batch.n, c.batch.err)
	}
}

// Somebody else who reads the socket may always be faster: then there seems to be
// something, and is nothing.
func TestDeadlineIsMetWhilePollPromisesInVain(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Coalesce: coalesce}))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	_, err = w.WriteString("x")
	must(t, err)
	goOver(t, c, modePoll)
	c.poller.fds[0].Fd = int32(r.Fd())
	must(t, c.SetReadDeadline(time.Now().Add(2*time.Millisecond)))
	if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

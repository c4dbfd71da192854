package audittest

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Group is a stand-in for the audit group that nobody else can see.
type Group struct {
	*Sender
	netns *os.File
}

// StandIn makes a network namespace and returns its group, which sends and is
// closed with the test. It skips the test where it may not: that takes
// CAP_SYS_ADMIN, which an ordinary user has under "unshare -Urn go test".
func StandIn(tb testing.TB) *Group {
	tb.Helper()
	type result struct {
		g   *Group
		err error
	}
	done := make(chan result)
	go func() {
		// The thread is in the new namespace for good: it ends with the goroutine.
		runtime.LockOSThread()
		g, err := newGroup()
		done <- result{g, err}
	}()
	r := <-done
	if errors.Is(r.err, os.ErrPermission) {
		tb.Skipf("needs CAP_SYS_ADMIN to make a network namespace (unshare -Urn gives it): %v", r.err)
	}
	if r.err != nil {
		tb.Fatal(r.err)
	}
	tb.Cleanup(func() {
		_ = r.g.Close()
		_ = r.g.netns.Close()
	})
	return r.g
}

// Here returns a Sender for the stand-in group of the network namespace that the
// calling thread is in, for programs that have one for themselves.
func Here() (*Sender, error) { return newSender(unix.NETLINK_USERSOCK) }

// newGroup moves the calling thread into a new network namespace.
func newGroup() (*Group, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	s, err := Here()
	if err != nil {
		_ = netns.Close()
		return nil, err
	}
	return &Group{Sender: s, netns: netns}, nil
}

// Protocol is the netlink protocol of stand-in groups, for netlinkaudit.Config.
const Protocol = unix.NETLINK_USERSOCK

// NetNS returns a descriptor of the group's network namespace, for
// netlinkaudit.Config. It is closed with the test.
func (g *Group) NetNS() int { return int(g.netns.Fd()) }

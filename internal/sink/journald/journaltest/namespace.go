package journaltest

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is a thread with a mount namespace and a network namespace of its
// own. What is started from it lives there too, and dies with it if it asks for
// Pdeathsig.
type namespace struct {
	calls chan func()
	gone  chan struct{}
}

// A mount binds the file or folder from over to.
type mount struct{ from, to string }

func newNamespace(mounts []mount) (*namespace, error) {
	ns := &namespace{calls: make(chan func()), gone: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(ns.gone)
		// Never unlocked: the thread must not serve other goroutines again, and
		// ends with this one.
		runtime.LockOSThread()
		err := enter(mounts)
		ready <- err
		if err != nil {
			return
		}
		for f := range ns.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return ns, nil
}

func enter(mounts []mount) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	for _, m := range mounts {
		if err := unix.Mount(m.from, m.to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind over %s: %w", m.to, err)
		}
	}
	return nil
}

// do runs f on the thread and returns when f has.
func (ns *namespace) do(f func()) {
	done := make(chan struct{})
	ns.calls <- func() { defer close(done); f() }
	<-done
}

// close ends the thread and with it the namespaces, unless a process still
// lives in them.
func (ns *namespace) close() {
	close(ns.calls)
	<-ns.gone
}

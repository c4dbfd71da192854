package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
)

// connLimiter is a listener that bounds how many connections there are, and how many
// come from one user in a time. When there are too many, one makes room that
// waits for its request: of the user who has most of these, the one that has
// waited longest. So connections that ask for nothing keep nobody out, least of
// all others than who made them.
type connLimiter struct {
	net.Listener
	task   *fairshare.Task // of the goroutine that accepts
	served context.Context // ends with the server

	mu      sync.Mutex
	open    map[net.Conn]uint32 // by whom
	waiting []net.Conn          // for a whole request, in the order in which they came
	users   map[uint32]*allowance
	closed  bool
}

func newConnLimiter(served context.Context, l net.Listener, task *fairshare.Task) *connLimiter {
	return &connLimiter{Listener: l, task: task, served: served, open: make(map[net.Conn]uint32), users: make(map[uint32]*allowance)}
}

// Accept returns the next connection that there is room for.
func (g *connLimiter) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		// To take connections is work too, and so is to refuse them.
		err = g.task.Spend(g.served, fairshare.Request/4)
		admitted := err == nil && g.admit(c, userOf(c), time.Now())
		if err == nil && !admitted {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // there is room in the buffer anyway
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		g.task.Leave()
		if admitted {
			return c, nil
		}
		c.Close()
	}
}

// userOf returns the effective UID of whoever connected, 0xffffffff (nobody's) if
// that cannot be known.
func userOf(c net.Conn) uint32 {
	uid := ^uint32(0)
	if uc, ok := c.(*net.UnixConn); ok {
		if raw, err := uc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
					uid = cred.Uid
				}
			})
		}
	}
	return uid
}

// admit takes c of a user if there is room or can be made.
func (g *connLimiter) admit(c net.Conn, user uint32, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !g.allow(user, now) {
		return false
	}
	if len(g.open) >= maxConns {
		if len(g.waiting) == 0 {
			return false
		}
		last := g.longest()
		last.Close() // whoever serves it finds out
		g.forget(last)
	}
	g.open[c] = user
	g.waiting = append(g.waiting, c)
	return true
}

// longest returns the connection that makes room; there must be one that waits.
// It is called with mu held.
func (g *connLimiter) longest() net.Conn {
	counts := make(map[uint32]int)
	for _, c := range g.waiting {
		counts[g.open[c]]++
	}
	var longest net.Conn
	for _, c := range g.waiting {
		if longest == nil || counts[g.open[c]] > counts[g.open[longest]] {
			longest = c
		}
	}
	return longest
}

// A user may make so many connections at once, and so many in a second from then
// on. That is far more than anybody needs, and little enough work.
const (
	connBurst = 2000
	connPause = time.Millisecond
)

// maxUsers is how many users are remembered before those are forgotten who may
// do what a new one may.
const maxUsers = 256

// allowance is when the connections of a user would have come to an end, if they had
// come with the pause between them.
type allowance struct{ end time.Time }

// allow reports whether a user may make another connection. It is called with mu
// held.
func (g *connLimiter) allow(user uint32, now time.Time) bool {
	p := g.users[user]
	if p == nil {
		if len(g.users) >= maxUsers {
			for other, p := range g.users {
				if !p.end.After(now) {
					delete(g.users, other)
				}
			}
		}
		p = &allowance{}
		g.users[user] = p
	}
	if p.end.Before(now) {
		p.end = now
	}
	if p.end.Sub(now) >= connBurst*connPause {
		return false
	}
	p.end = p.end.Add(connPause)
	return true
}

// changed follows what becomes of a connection; it is http.Server.ConnState.
func (g *connLimiter) changed(c net.Conn, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateActive:
		g.arrived(c)
	case http.StateClosed:
		g.forget(c)
	}
}

// arrived notes that c need not be waited for. It is called with mu held.
func (g *connLimiter) arrived(c net.Conn) {
	if i := slices.Index(g.waiting, c); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// forget gives up the place of c. It is called with mu held.
func (g *connLimiter) forget(c net.Conn) {
	g.arrived(c)
	delete(g.open, c)
}

// closeWaiting closes all connections without a request and admits no more.
func (g *connLimiter) closeWaiting() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.waiting {
		c.Close()
	}
}

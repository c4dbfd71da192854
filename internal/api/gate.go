package api

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// gate is a listener that bounds how many connections there are. When there
// are too many, the one that has waited longest for its request makes room: so
// connections that ask for nothing keep nobody out.
type gate struct {
	net.Listener

	mu      sync.Mutex
	open    map[net.Conn]struct{}
	waiting []net.Conn // for a whole request, in the order in which they came
	closed  bool
}

func newGate(l net.Listener) *gate {
	return &gate{Listener: l, open: make(map[net.Conn]struct{})}
}

// Accept returns the next connection that there is room for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.admit(c) {
			return c, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // there is room in the buffer anyway
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		c.Close()
	}
}

// admit takes c if there is room or can be made.
func (g *gate) admit(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if len(g.open) >= maxConns {
		if len(g.waiting) == 0 {
			return false
		}
		oldest := g.waiting[0]
		oldest.Close() // whoever serves it finds out
		g.forget(oldest)
	}
	g.open[c] = struct{}{}
	g.waiting = append(g.waiting, c)
	return true
}

// changed follows what becomes of a connection; it is http.Server.ConnState.
func (g *gate) changed(c net.Conn, state http.ConnState) {
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
func (g *gate) arrived(c net.Conn) {
	if i := slices.Index(g.waiting, c); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// forget gives up the place of c. It is called with mu held.
func (g *gate) forget(c net.Conn) {
	g.arrived(c)
	delete(g.open, c)
}

// closeWaiting closes all connections without a request and admits no more.
func (g *gate) closeWaiting() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.waiting {
		c.Close()
	}
}

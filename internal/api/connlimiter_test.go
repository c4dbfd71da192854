package api

import (
	"context"
	"net"
	"os"
	"testing"
	"time"
)

// visitor is a connection of which it is only seen whether it was closed.
type visitor struct {
	net.Conn
	closed bool
}

func (v *visitor) Close() error { v.closed = true; return nil }

func testGate() *connLimiter { return newConnLimiter(context.Background(), nil, nil) }

// Somebody who makes connections as fast as he can closes none but his own.
func TestRoomIsMadeByWhoeverHasMost(t *testing.T) {
	t.Parallel()
	g := testGate()
	now := time.Now()
	other := &visitor{}
	if !g.admit(other, 1000, now) {
		t.Fatal("refused")
	}
	var conns []*visitor
	for range 10 * maxConns {
		v := &visitor{}
		if conns = append(conns, v); !g.admit(v, 1001, now) {
			t.Fatal("refused")
		}
	}
	if other.closed {
		t.Error("the connection of somebody else was closed")
	}
	for i, v := range conns {
		if want := i <= 9*maxConns; v.closed != want {
			t.Fatalf("connection %d: closed %v, want %v", i, v.closed, want)
		}
	}
	if len(g.open) != maxConns {
		t.Errorf("%d connections are open, want %d", len(g.open), maxConns)
	}
}

func TestAUserMakesSoManyConnectionsInATime(t *testing.T) {
	t.Parallel()
	g := testGate()
	now := time.Now()
	admitted := func(user uint32) (n int) {
		for range 3 * connBurst {
			if g.admit(&visitor{}, user, now) {
				n++
			}
		}
		return n
	}
	if n := admitted(1000); n != connBurst {
		t.Errorf("%d connections at once, want %d", n, connBurst)
	}
	if n := admitted(1001); n != connBurst {
		t.Errorf("another user: %d connections at once, want %d", n, connBurst)
	}
	now = now.Add(100 * connPause)
	if n := admitted(1000); n != 100 {
		t.Errorf("%d connections after %v, want 100", n, 100*connPause)
	}
	now = now.Add(time.Hour)
	for user := range uint32(10 * maxUsers) {
		g.admit(&visitor{}, user, now)
		now = now.Add(connPause)
	}
	if len(g.users) > maxUsers {
		t.Errorf("%d users are remembered", len(g.users))
	}
}

func TestTheUserOfAConnectionIsKnown(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.dial("")
	eventually(t, "it is open", func() bool {
		w.gate.mu.Lock()
		defer w.gate.mu.Unlock()
		for _, user := range w.gate.open {
			return user == uint32(os.Geteuid())
		}
		return false
	})
}

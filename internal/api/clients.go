package api

import (
	"context"
	"net"
	"os"
	"sync"
)

// reserved is how many streams root and the daemon's own user may have beside
// [MaxClients], so that whoever may read the feed cannot keep out those who look
// after the machine by taking all of them.
const reserved = 8

// clients counts streams. The zero clients has none.
type clients struct {
	mu      sync.Mutex
	all     int
	trusted int // of them, those of root and of the daemon's user
}

// enter takes a place for a stream of a user, if there is one; leave must be
// called then.
func (c *clients) enter(user uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	trusted := isTrusted(user)
	if c.all >= MaxClients && !(trusted && c.trusted < reserved) {
		return false
	}
	c.all++
	if trusted {
		c.trusted++
	}
	return true
}

func (c *clients) leave(user uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if isTrusted(user) {
		c.trusted--
	}
}

func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func isTrusted(user uint32) bool { return user == 0 || user == uint32(os.Geteuid()) }

// userKey is the key of a request's user in its context.
type userKey struct{}

// withUser is http.Server.ConnContext.
func withUser(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, userKey{}, userOf(c))
}

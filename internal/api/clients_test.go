package api

import (
	"os"
	"testing"
)

// Whoever takes all streams keeps out neither root nor the user of the daemon, and
// all together are bounded.
func TestStreamsAreKeptForThoseWhoLookAfterTheMachine(t *testing.T) {
	t.Parallel()
	stranger := uint32(os.Geteuid()) + 1
	enter := func(c *clients, user uint32) (n int) {
		for c.enter(user) {
			n++
		}
		return n
	}
	for _, tt := range []struct {
		name  string
		users []uint32
		want  []int
	}{
		{"a stranger first", []uint32{stranger, 0, stranger}, []int{MaxClients, reserved, 0}},
		{"root alone", []uint32{0, stranger}, []int{MaxClients, 0}},
		{"root and the daemon's user", []uint32{stranger, 0, uint32(os.Geteuid())}, []int{MaxClients, reserved, 0}},
	} {
		c := &clients{}
		for i, user := range tt.users {
			if n := enter(c, user); n != tt.want[i] {
				t.Errorf("%s: user %d got %d streams, want %d", tt.name, user, n, tt.want[i])
			}
		}
		c.leave(0)
		if !c.enter(0) || c.enter(0) {
			t.Errorf("%s: a stream that ended did not leave one place", tt.name)
		}
	}
}

package syslog

import (
	"sync"
	"time"
)

// acks counts the messages that Flush has passed and that are not known to be
// taken. A receiver that will not have a message ends the connection at once, when
// its kernel has long acknowledged it; so a message counts only when the connection
// has lasted a while behind it. Its methods may be called by any goroutine.
type acks struct {
	while time.Duration

	mu      sync.Mutex
	recent  []ack
	void    uint64 // to be sent again
	givenUp uint64
}

// ack is that n messages were acknowledged.
type ack struct {
	at time.Time
	n  uint64
}

// add counts messages that were acknowledged now.
func (a *acks) add(now time.Time, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age(now)
	if last := len(a.recent) - 1; last >= 0 && now.Sub(a.recent[last].at) < a.while/64 {
		a.recent[last].n += uint64(n)
		a.recent[last].at = now
		return
	}
	a.recent = append(a.recent, ack{now, uint64(n)})
}

// age forgets what counts now.
func (a *acks) age(now time.Time) {
	i := 0
	for i < len(a.recent) && now.Sub(a.recent[i].at) >= a.while {
		i++
	}
	a.recent = append(a.recent[:0], a.recent[i:]...)
}

// broken says that the connection has ended.
func (a *acks) broken(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age(at)
	for _, r := range a.recent {
		a.void += r.n
	}
	a.recent = a.recent[:0]
}

// resent says that all is delivered that had to be sent again.
func (a *acks) resent() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.void = 0
}

// gaveUp says that a message was given up, which Flush has passed or not.
func (a *acks) gaveUp(passed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.givenUp++
	if passed && a.void > 0 {
		a.void--
	}
}

// undelivered returns the number.
func (a *acks) undelivered(now time.Time) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age(now)
	n := a.void + a.givenUp
	for _, r := range a.recent {
		n += r.n
	}
	return n
}

// wait returns for how long messages that were acknowledged do not count yet.
func (a *acks) wait(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.recent) == 0 {
		return 0
	}
	return max(0, a.while-now.Sub(a.recent[len(a.recent)-1].at))
}

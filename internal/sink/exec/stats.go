package exec

import (
	"maps"
	"os"
	"sync"
	"sync/atomic"
)

// Stats counts what the command did since New.
type Stats struct {
	Runs      uint64 // started, or tried to, for an event (mode Each)
	Failed    uint64 // runs without exit status 0, and commands that did not start
	Timeouts  uint64 // runs that took too long (mode Each)
	Coalesced uint64 // events that had no run of their own (mode Each)
	Own       uint64 // events that the command's runs caused (mode Each)

	// Exits counts processes by their exit status; -1 is for those that a
	// signal ended.
	Exits map[int]uint64
}

type counters struct {
	runs, failed, timeouts, coalesced, own atomic.Uint64

	mu    sync.Mutex
	exits map[int]uint64
}

func (c *counters) exit(st *os.ProcessState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exits == nil {
		c.exits = make(map[int]uint64)
	}
	c.exits[st.ExitCode()]++
}

// Stats returns the counts so far. Any goroutine may call it at any time.
func (s *Sink) Stats() Stats {
	c := &s.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Runs:      c.runs.Load(),
		Failed:    c.failed.Load(),
		Timeouts:  c.timeouts.Load(),
		Coalesced: c.coalesced.Load(),
		Own:       c.own.Load(),
		Exits:     maps.Clone(c.exits),
	}
}

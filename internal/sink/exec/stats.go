package exec

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// counters count what the command did since New.
type counters struct {
	runs      atomic.Uint64 // started, or tried to, for an event (mode each)
	failed    atomic.Uint64 // runs without exit status 0, and commands that did not start
	timeouts  atomic.Uint64 // runs that took too long (mode each)
	coalesced atomic.Uint64 // events that had no run of their own (mode each)
	own       atomic.Uint64 // events that the command's runs caused (mode each)

	mu    sync.Mutex
	exits map[int]uint64 // processes by their exit status; -1 is for those that a signal ended
}

func (c *counters) exit(st *os.ProcessState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exits == nil {
		c.exits = make(map[int]uint64)
	}
	c.exits[st.ExitCode()]++
}

// Counters returns what the command did since New.
func (s *Sink) Counters() []sink.Counter {
	c := &s.stats
	var list []sink.Counter
	if s.mode == ModeEach {
		list = []sink.Counter{
			{Name: "runs", Help: "Runs of the command.", Count: c.runs.Load()},
			{Name: "timeouts", Help: "Runs that took too long and were ended.", Count: c.timeouts.Load()},
			{Name: "without_run", Help: "Events that had no run of their own, because of max_per_minute.", Count: c.coalesced.Load()},
			{Name: "own_events", Help: "Events that the command itself caused, and that were not delivered to it.", Count: c.own.Load()},
		}
	}
	list = append(list, sink.Counter{Name: "command_failures", Help: "Runs that ended without exit status 0, and commands that could not be started.", Count: c.failed.Load()})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, status := range slices.Sorted(maps.Keys(c.exits)) {
		value := strconv.Itoa(status)
		if status < 0 {
			value = "signal"
		}
		list = append(list, sink.Counter{Name: "exits", Help: "Processes of the command that ended, by exit status.",
			Label: "status", Value: value, Count: c.exits[status]})
	}
	return list
}

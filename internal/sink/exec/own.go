package exec

import (
	"bytes"
	"os"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// recentRuns is how many runs are remembered: half an hour of them at the
// default limit, for events that come late through the spool.
const recentRuns = 1024

// The stamp is of the kernel's coarse clock (audit_log_start takes
// ktime_get_coarse_real_ts64), so it may be some milliseconds early.
const (
	runSlack   = time.Second           // with the pid, which is not used again that soon
	startSlack = 20 * time.Millisecond // without a pid: as little as possible
)

// ownEvents knows which events the command's own runs caused.
type ownEvents struct {
	comm []byte // of this process, as the kernel has it
	runs []ownRun
	next int // the oldest of runs once it is full
}

// ownRun is one run: its pid, 0 if the kernel refused to start it, and when.
type ownRun struct {
	pid        uint64
	begin, end int64 // milliseconds since 1970
}

func newOwnEvents() ownEvents {
	comm, _ := os.ReadFile("/proc/self/comm")
	return ownEvents{comm: bytes.TrimSuffix(comm, []byte("\n"))}
}

// add notes a run that has ended.
func (o *ownEvents) add(pid int, begin, end time.Time) {
	slack := runSlack
	if pid == 0 {
		slack = startSlack
	}
	r := ownRun{uint64(pid), begin.Add(-slack).UnixMilli(), end.Add(slack).UnixMilli()}
	if len(o.runs) < recentRuns {
		o.runs = append(o.runs, r)
		return
	}
	o.runs[o.next] = r
	o.next = (o.next + 1) % recentRuns
}

// match reports whether ev was caused by one of the runs. The process of a run
// that could not start was a child of ours, with our name and a pid that nobody
// was told.
func (o *ownEvents) match(ev *ipe.Event) bool {
	if ev.Kind != ipe.KindAccess || ev.Has&ipe.HasPID == 0 || ev.Has&ipe.HasStamp == 0 {
		return false
	}
	for i := range o.runs {
		r := &o.runs[i]
		if ev.Time < r.begin || ev.Time > r.end {
			continue
		}
		if r.pid == ev.PID || r.pid == 0 && len(o.comm) > 0 && bytes.Equal(ev.Comm, o.comm) {
			return true
		}
	}
	return false
}

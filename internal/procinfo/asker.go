package procinfo

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of what an Asker does.
const (
	maxWaiting = 64   // processes that wait to be looked at
	perSecond  = 1000 // of them that are looked at, so that a flood does not cost a processor
	burst      = 200

	// oldest is how old a record may be, in milliseconds: behind it numbers may have
	// gone round.
	oldest = 10_000
)

// Asker asks /proc about processes in a goroutine of its own.
type Asker struct {
	// Append is given the text about the process of a record, also where nothing was
	// found; it must keep nothing of it. It is called by Run.
	Append func(text []byte)

	// Named reports whether companions are to be expected, which name the parent of
	// a process that has gone. Nil: they are not.
	Named func() bool

	wake  chan struct{}
	asked atomic.Uint64
	found atomic.Uint64
	drops atomic.Uint64

	mu      sync.Mutex
	waiting []job // the newest is the last
	held    int   // how many of the last ones Begin was not called for
	gone    []job // processes that have gone, whose parent may be named
	working job   // pid 0: none

	// Owned by Run.
	reader reader
	info   Info
	text   []byte
	tokens float64
	filled time.Time
}

// job is a process to look at.
type job struct {
	key    ipe.Key
	pid    uint64
	parent uint64 // 0: look at the process itself
}

// NewAsker returns an Asker for the processes in proc, which is "/proc".
func NewAsker(proc string) *Asker {
	return &Asker{
		wake: make(chan struct{}, 1), waiting: make([]job, 0, maxWaiting), gone: make([]job, 0, maxWaiting),
		reader: reader{proc: proc}, tokens: burst,
	}
}

// Ask asks about the process of a record that was received now, once Begin is
// called: what is found must not come before the record. It never waits for /proc
// and does not allocate. Where too many wait, the oldest is given up. Any goroutine
// may call it.
func (a *Asker) Ask(k ipe.Key, pid uint64) { a.add(job{key: k, pid: pid}) }

// Begin lets Run look at what was asked.
func (a *Asker) Begin() {
	a.mu.Lock()
	held := a.held
	a.held = 0
	a.mu.Unlock()
	if held == 0 {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Parent names the parent of the process of a record, as a companion does, once
// Begin is called. It matters where the process has gone.
func (a *Asker) Parent(k ipe.Key, ppid uint64) {
	if ppid == 0 {
		return
	}
	a.mu.Lock()
	if a.working.key == k {
		a.working.parent = ppid
	}
	for i := range a.waiting {
		if a.waiting[i].key == k {
			a.waiting[i].parent = ppid
		}
	}
	var again job
	for i, j := range a.gone {
		if j.key == k {
			again = j
			a.gone = append(a.gone[:i], a.gone[i+1:]...)
			break
		}
	}
	a.mu.Unlock()
	if again.pid != 0 {
		again.parent = ppid
		a.add(again)
	}
}

func (a *Asker) add(j job) {
	a.mu.Lock()
	if n := len(a.waiting); n > 0 && a.waiting[n-1].key == j.key {
		a.mu.Unlock()
		return // a second access of one system call
	}
	if len(a.waiting) == maxWaiting {
		copy(a.waiting, a.waiting[1:])
		a.waiting = a.waiting[:maxWaiting-1]
		a.drops.Add(1)
	}
	a.waiting = append(a.waiting, j)
	a.held = min(a.held+1, maxWaiting)
	a.mu.Unlock()
}

// Pending reports whether the process of a record is still to be looked at. Once
// it is not, Append has returned. Any goroutine may call it.
func (a *Asker) Pending(k ipe.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.working.pid != 0 && a.working.key == k {
		return true
	}
	for i := range a.waiting {
		if a.waiting[i].key == k {
			return true
		}
	}
	return false
}

// Counts says how many processes were looked at, of how many of them something was
// found, and how many were given up unseen. Any goroutine may call it.
func (a *Asker) Counts() (asked, found, dropped uint64) {
	return a.asked.Load(), a.found.Load(), a.drops.Load()
}

// Run looks at processes until ctx ends.
func (a *Asker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		j, ok := a.next()
		if !ok {
			select {
			case <-a.wake:
			case <-ctx.Done():
			}
			continue
		}
		if wait := a.pace(time.Now()); wait > 0 {
			a.giveUp() // but for what comes after the pause
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		a.look(j)
		a.mu.Lock()
		a.working = job{}
		a.mu.Unlock()
	}
}

// next returns the newest job.
func (a *Asker) next() (job, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.waiting) - a.held - 1
	if n < 0 {
		return job{}, false
	}
	j := a.waiting[n]
	a.waiting = append(a.waiting[:n], a.waiting[n+1:]...)
	a.working = j
	return j, true
}

// giveUp drops everything that waits, and what was taken.
func (a *Asker) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.waiting) - a.held
	a.drops.Add(uint64(n) + 1)
	a.waiting = append(a.waiting[:0], a.waiting[n:]...)
	a.working = job{}
}

// pace returns how long to wait for the next look.
func (a *Asker) pace(now time.Time) time.Duration {
	if !a.filled.IsZero() {
		a.tokens = min(burst, a.tokens+now.Sub(a.filled).Seconds()*perSecond)
	}
	a.filled = now
	if a.tokens < 1 {
		return 10 * time.Millisecond
	}
	a.tokens--
	return 0
}

// look looks at a process, or at its parent where it has gone, and tells what it
// has found.
func (a *Asker) look(j job) {
	a.info.reset()
	a.asked.Add(1)
	age := time.Now().UnixMilli() - j.key.Time
	known := age < oldest && age > -oldest && a.process(j)
	if !known && !a.parent(&j) {
		return
	}
	if len(a.info.Cgroup) > 0 {
		a.found.Add(1)
	}
	a.text = a.info.append(a.text[:0], j.key, j.pid)
	a.Append(a.text)
}

// process looks at the process itself, and reports whether it was there.
func (a *Asker) process(j job) bool {
	dir, err := a.reader.process(j.pid, j.key.Time)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	a.reader.read(dir, &a.info)
	return len(a.info.Cgroup) > 0
}

// parent looks at the parent of a process that has gone. It reports false where
// that is still to be named.
func (a *Asker) parent(j *job) bool {
	a.mu.Lock()
	j.parent = a.working.parent
	if j.parent == 0 && a.Named != nil && a.Named() {
		if len(a.gone) == maxWaiting {
			copy(a.gone, a.gone[1:])
			a.gone = a.gone[:maxWaiting-1]
		}
		a.gone = append(a.gone, *j)
		a.mu.Unlock()
		return false
	}
	a.mu.Unlock()
	a.info.reset()
	if j.parent == 0 {
		return true
	}
	dir, err := a.reader.process(j.parent, j.key.Time)
	if err != nil {
		return true
	}
	defer unix.Close(dir)
	a.reader.readCgroup(dir, &a.info)
	a.info.ofParent = true
	return true
}

package fairshare

import (
	"slices"
	"sync"
	"time"
)

// Class is a kind of task. Classes that wait get the same amount of work done.
type Class int

// The classes.
const (
	Sinks    Class = iota // what the configuration asked for
	Feed                  // streams of events to clients
	Requests              // of clients, all but streams

	classes = iota
)

const (
	// quantum is the work after which a task gives way, in units of Task.Spend:
	// some 100 µs.
	quantum = 256

	// Patience is how long a daemon's Pool watches a task without progress while
	// others wait for its place.
	Patience = 2 * time.Millisecond
)

// Pool has places at which tasks work. The nil Pool has as many as are wanted.
type Pool struct {
	patience time.Duration // set at construction

	mu     sync.Mutex
	places int
	inside []*Task // that have a place; more than places after a Resize, for a while
	queues [classes]queue
	now    uint64      // what a class had done when it was given a place last; it never falls
	watch  *time.Timer // calls look while somebody waits
}

// queue is the tasks of one class that wait, in the order in which they came.
type queue struct {
	tasks []*Task
	done  uint64 // work of the class, raised to Pool.now when it comes back
}

// NewPool returns a Pool with that many places, at least one. A task that makes no
// progress for patience, or for twice that at most, loses its place to those who
// wait.
func NewPool(places int, patience time.Duration) *Pool {
	p := &Pool{places: max(places, 1), patience: patience}
	p.watch = time.AfterFunc(time.Hour, p.look)
	p.watch.Stop() // it runs only while somebody waits
	return p
}

// Resize changes the number of places, to at least one. A task that has a place
// keeps it until it gives way.
func (p *Pool) Resize(places int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places = max(places, 1)
	p.fill()
}

// Places returns how many places there are for n processors: one processor is
// left to whoever must not wait.
func Places(n int) int { return max(n-1, 1) }

// waiting reports whether any task waits. It is called with mu held.
func (p *Pool) waiting() bool {
	for c := range p.queues {
		if len(p.queues[c].tasks) > 0 {
			return true
		}
	}
	return false
}

// enter gives t a place, or makes it wait for one. It reports whether it has to
// wait. It is called with mu held.
func (p *Pool) enter(t *Task) (wait bool) {
	if len(p.inside) < p.places && !p.waiting() {
		p.admit(t)
		return false
	}
	p.enqueue(t)
	p.fill()
	return true
}

// enqueue makes t wait. It is called with mu held.
func (p *Pool) enqueue(t *Task) {
	if !p.waiting() {
		for _, other := range p.inside {
			other.watched = other.progress.Load()
		}
		p.watch.Reset(p.patience)
	}
	q := &p.queues[t.class]
	if len(q.tasks) == 0 {
		q.done = max(q.done, p.now) // a class that was away has not saved up anything
	}
	q.tasks = append(q.tasks, t)
}

// dequeue takes t out of its queue. It reports false if it was not there. It is
// called with mu held.
func (p *Pool) dequeue(t *Task) bool {
	q := &p.queues[t.class]
	i := slices.Index(q.tasks, t)
	if i < 0 {
		return false
	}
	q.tasks = slices.Delete(q.tasks, i, i+1)
	if !p.waiting() {
		p.watch.Stop()
	}
	return true
}

// fill gives free places to those who wait. It is called with mu held.
func (p *Pool) fill() {
	for len(p.inside) < p.places && p.waiting() {
		var next *queue
		for c := range p.queues {
			if q := &p.queues[c]; len(q.tasks) > 0 && (next == nil || q.done < next.done) {
				next = q
			}
		}
		t := next.tasks[0]
		p.dequeue(t)
		p.admit(t)
		t.ready <- struct{}{}
	}
}

// admit gives t a place. It is called with mu held.
func (p *Pool) admit(t *Task) {
	q := &p.queues[t.class]
	q.done = max(q.done, p.now)
	p.now = q.done
	t.left = quantum
	t.watched = t.progress.Load() - 1 // the first look only learns it
	p.inside = append(p.inside, t)
}

// leave takes the place of t, if it has one still, and notes what it has done. It
// is called with mu held, by the task's goroutine.
func (p *Pool) leave(t *Task) {
	if p.expel(t) || t.lost.Load() {
		p.queues[t.class].done += uint64(quantum - t.left)
		t.lost.Store(false)
	}
	t.left = 0
}

// expel takes the place of t and reports whether it had one. It is called with
// mu held.
func (p *Pool) expel(t *Task) bool {
	i := slices.Index(p.inside, t)
	if i < 0 {
		return false
	}
	p.inside = slices.Delete(p.inside, i, i+1)
	return true
}

// look takes the places of tasks that have not got on since the last look.
func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting() {
		return
	}
	for i := len(p.inside) - 1; i >= 0; i-- {
		t := p.inside[i]
		if at := t.progress.Load(); at != t.watched {
			t.watched = at
			continue
		}
		p.expel(t)
		t.lost.Store(true)
	}
	p.watch.Reset(p.patience)
	p.fill()
}

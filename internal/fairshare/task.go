package fairshare

import (
	"context"
	"runtime"
	"sync/atomic"
)

// Task is one reader. Its methods are for one goroutine. The nil Task always has
// a place.
type Task struct {
	// Set at construction.
	pool  *Pool
	class Class
	ready chan struct{} // holds a token when the task was given a place that it waits for

	left int // work until it gives way; the goroutine's while it has a place, else the pool's

	progress atomic.Uint32 // changes while the task works
	lost     atomic.Bool   // its place was taken

	watched uint32 // progress at the last look; guarded by Pool.mu
}

// Task returns a task of that class, without a place. It is nil for the nil Pool.
func (p *Pool) Task(c Class) *Task {
	if p == nil {
		return nil
	}
	return &Task{pool: p, class: c, ready: make(chan struct{}, 1)}
}

// Enter waits for a place, unless the task has one. If ctx has ended, or ends
// before, it returns its error, and the task has none.
func (t *Task) Enter(ctx context.Context) error {
	if t == nil || t.left > 0 && !t.lost.Load() {
		return nil
	}
	return t.Spend(ctx, 0)
}

// Spend counts work that was done: a unit is about what it takes to decode an
// ordinary record. A task that has done its share gives way to those who wait,
// and waits for its next place; so does one that has lost its place, or has not
// had any. The error is that of Enter.
func (t *Task) Spend(ctx context.Context, work int) error {
	if t == nil {
		return nil
	}
	before := t.left
	t.left -= work
	if t.left>>4 != before>>4 { // not each time, for it costs as much as all the rest
		t.progress.Add(1)
	}
	if t.left > 0 && !t.lost.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		t.giveBack() // what is done for somebody who is gone helps nobody
		return err
	}
	if before > 0 && runtime.GOMAXPROCS(0) == 1 {
		// The one processor is ours until the runtime takes it away, after 10 ms:
		// whoever must not wait may have it now.
		runtime.Gosched()
	}
	p := t.pool
	p.mu.Lock()
	p.leave(t)
	wait := p.enter(t)
	p.mu.Unlock()
	if !wait {
		return nil
	}
	return t.wait(ctx)
}

// wait waits for the place that the task is queued for.
func (t *Task) wait(ctx context.Context) error {
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
	}
	p := t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dequeue(t) {
		<-t.ready // it was given one meanwhile
		p.leave(t)
		p.fill()
	}
	return ctx.Err()
}

// Leave gives the place up, if the task has one: before it waits for anything but
// a place. It never blocks.
func (t *Task) Leave() {
	if t == nil || t.left == 0 { // a place that has no work left is given up in Spend
		return
	}
	t.giveBack()
}

// giveBack gives the place up, if the task has one, however much work is left.
func (t *Task) giveBack() {
	p := t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(t)
	p.fill()
}

// Lost reports whether the task has lost its place, because it blocked: until it
// enters again.
func (t *Task) Lost() bool { return t != nil && t.lost.Load() }

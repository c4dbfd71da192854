package accesscount

import (
	"context"
	"errors"
	"sync"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Other is the operation of accesses with one that is not in Ops.
const Other = "other"

// verdicts is how many verdicts there are, VerdictNone included.
const verdicts = int(ipe.VerdictUnknown) + 1

// ops are the operations with a number of their own, by that number.
var ops = func() (names []string) {
	for _, op := range policy.Ops() {
		names = append(names, op.String())
	}
	return append(names, Other)
}()

// opNumbers has the number of each operation.
var opNumbers = func() map[string]int {
	numbers := make(map[string]int)
	for i, name := range ops {
		numbers[name] = i
	}
	return numbers
}()

// Ops returns the operations that are counted by name, and Other.
func Ops() []string { return append([]string(nil), ops...) }

// maxOps is at least how many operations there are, as a constant.
const maxOps = 8

// Counts is what was counted. The zero Counts is that of the start.
type Counts struct {
	accesses [verdicts][maxOps]uint64

	// LastDenial is the time of the newest access that was denied, in
	// milliseconds since 1970, from its stamp, but not later than it was received;
	// 0 if there was none.
	LastDenial int64

	// Missed is how many entries were overwritten before they could be counted,
	// where that is known. They need not be accesses.
	Missed uint64
}

// Of returns how many accesses had that verdict and operation, by its name in Ops.
func (c *Counts) Of(v ipe.Verdict, op string) uint64 { return c.accesses[v][opNumbers[op]] }

// Total returns how many accesses had that verdict.
func (c *Counts) Total(v ipe.Verdict) (n uint64) {
	for _, count := range c.accesses[v] {
		n += count
	}
	return n
}

// Source is where entries come from: a *spool.Reader.
type Source interface {
	Next(context.Context) (*spool.Entry, error)
	TryNext() (*spool.Entry, bool, error)
}

// Counter counts the accesses that a Source has.
type Counter struct {
	// Set at construction.
	source Source
	task   *fairshare.Task

	// Owned by the goroutine of Run.
	decoder  entry.Decoder
	event    ipe.Event
	identity format.Identity

	mu      sync.Mutex
	counts  Counts
	waiting []chan struct{}    // of Settle, closed once everything is counted
	wake    context.CancelFunc // ends the wait of Run for an entry; nil while it counts
	ended   bool
}

// New returns a Counter that reads source, as a task of its own, which may be nil.
func New(source Source, task *fairshare.Task) *Counter {
	return &Counter{source: source, task: task}
}

// Counts returns what was counted by now. It may be called from any goroutine.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Settle waits until everything is counted that the source had when it was called.
// It returns earlier when ctx or Run ends; in a flood that is the rule.
func (c *Counter) Settle(ctx context.Context) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.waiting = append(c.waiting, done)
	if c.wake != nil {
		c.wake()
	}
	c.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Run counts until ctx or the source ends. It allocates where it waits for an
// entry, and not for each one.
func (c *Counter) Run(ctx context.Context) {
	defer c.end()
	for {
		// Who asks from here on waits for the next round.
		c.mu.Lock()
		asked := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		err := c.drain(ctx)
		for _, done := range asked {
			close(done)
		}
		if err == nil {
			err = c.await(ctx)
		}
		if err != nil {
			return
		}
	}
}

// drain counts what there is.
func (c *Counter) drain(ctx context.Context) error {
	for {
		e, ok, err := c.source.TryNext()
		switch {
		case err != nil:
			if err = c.missed(err); err != nil {
				return err
			}
		case !ok:
			c.task.Leave()
			return nil
		default:
			if err := c.take(ctx, e); err != nil {
				return err
			}
		}
	}
}

// await waits for an entry, which it counts, or for somebody who asks.
func (c *Counter) await(ctx context.Context) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	if c.waiting != nil {
		c.mu.Unlock()
		return nil
	}
	c.wake = cancel
	c.mu.Unlock()
	e, err := c.source.Next(waiting)
	c.mu.Lock()
	c.wake = nil
	c.mu.Unlock()
	switch {
	case err == nil:
		return c.take(ctx, e)
	case errors.Is(err, context.Canceled) && ctx.Err() == nil:
		return nil
	}
	return c.missed(err)
}

// take counts an entry.
func (c *Counter) take(ctx context.Context, e *spool.Entry) error {
	if err := c.task.Enter(ctx); err != nil {
		return err
	}
	class := c.decoder.Decode(&c.event, &c.identity, e)
	if class == ipe.ClassIPE && c.event.Kind == ipe.KindAccess {
		op, known := opNumbers[string(c.event.Op)]
		if !known {
			op = maxOps - 1
		}
		c.mu.Lock()
		c.counts.accesses[c.event.Verdict][op]++
		if c.event.Verdict == ipe.VerdictDenied && c.event.Has&ipe.HasStamp != 0 {
			// A clock that was wrong for a while must not hide what comes later.
			c.counts.LastDenial = max(c.counts.LastDenial, min(c.event.Time, e.Time/1e6))
		}
		c.mu.Unlock()
	}
	return c.task.Spend(ctx, fairshare.Passed(len(e.Data)))
}

// missed counts what err says is missing, and returns any other error.
func (c *Counter) missed(err error) error {
	var gap *spool.GapError
	if !errors.As(err, &gap) {
		return err
	}
	c.mu.Lock()
	c.counts.Missed += gap.Count
	c.mu.Unlock()
	return nil
}

// end lets nobody wait any more.
func (c *Counter) end() {
	c.task.Leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, done := range c.waiting {
		close(done)
	}
	c.waiting = nil
}

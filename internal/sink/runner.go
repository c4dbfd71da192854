package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/coalesce"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of a batch and of the pause after a failure.
const (
	DefaultBatch = 512 // entries

	maxBatchBytes = 256 << 10 // formatted, overstepped by one entry at most
	defaultPause  = 100 * time.Millisecond
	maxPause      = 30 * time.Second
	maxStopPause  = time.Second // once Stop was called

	// blockingWrites is for how many writes a runner leaves its place once one has
	// blocked.
	blockingWrites = 64

	// cancelGrace is how long one that was cancelled has to close. It is longer than
	// any sink takes: a command may finish for two seconds before it is killed, and
	// what it started with it, which must not outlive us.
	cancelGrace = 3 * time.Second

	// stopGrace is how long a sink has to end a batch, and then to be
	// cancelled, when the time for draining is over.
	stopGrace = time.Second
)

// ErrUndelivered says that a runner had to stop before everything in the spool
// was delivered. The rest waits for the next start.
var ErrUndelivered = errors.New("stopped before everything was delivered")

// ErrBisecting is wrapped by an error of a [Resender] that looks for an entry which
// its receiver refuses: it comes closer with each attempt, so the pauses between
// them do not become longer.
var ErrBisecting = errors.New("the receiver may refuse one event")

// Source is where a runner reads. A *spool.Reader is one, and an *entry.Joiner, of
// which Hurry is called once the runner drains.
type Source interface {
	Next(ctx context.Context) (*spool.Entry, error)
	TryNext() (e *spool.Entry, ok bool, err error)
	Rewind(c spool.Cursor)
}

// Config is what a runner is made of. Sink, Source and Format are needed.
type Config struct {
	Name   string // of the sink, for errors
	Sink   Sink
	Source Source         // used by the runner alone; whoever made it closes it after Run
	Start  spool.Cursor   // where Source stands; the zero cursor if that is not known
	Match  *match.Matcher // nil: everything
	Format format.Func

	// Omit takes away keys that the sink is not to have. Nil: none.
	Omit *format.Omission

	// Host returns the name of the host; it is asked before each batch. Nil: it is
	// that of Context.
	Host func() []byte

	// Context holds what is the same for all events: Host and Raw.
	Context format.Context

	// Policy returns the policy that an entry's context stands for, nil where
	// it says nothing. It may be nil.
	Policy func(context uint16) *ipe.Policy

	// Coalesce is for how long accesses of one kind are counted after the first
	// one was delivered; they then come as one event. 0: never.
	Coalesce time.Duration

	// Task is the runner's share of the processors. Nil: it takes what it gets.
	Task *fairshare.Task

	// Batch is the most entries between two flushes, DefaultBatch if 0. A sink
	// whose every entry costs (a process, a page to somebody) wants 1, so that
	// a crash repeats one only.
	Batch int

	// Pause is the shortest pause after a failure, 100 ms if 0. The others are
	// longer, up to half a minute.
	Pause time.Duration

	// Save keeps the cursor for the next start. It is called from a goroutine of
	// its own, so that a slow disk delays no entry, at most every 50 ms, and a
	// last time before Run returns. Start is saved first: a sink that was new
	// keeps its place in the spool, even if it never delivers. Nil: not kept.
	Save func(spool.Cursor) error

	// Delivered is told the new cursor after each flush, from the runner's
	// goroutine, for Reader.Delivered. It may be nil.
	Delivered func(spool.Cursor)

	// OnGap is told how often the spool gave up entries before the sink came,
	// and how many these were as far as is known, once that was delivered as an
	// event. It is called from the runner's goroutine, must not block, and may
	// be nil.
	OnGap func(gaps, entries uint64)

	// OnChange is told when the state changes, from the runner's goroutine. It
	// must not block, and may be nil.
	OnChange func(Status)
}

// Runner delivers to one sink.
type Runner struct {
	config Config

	drain, halt       context.CancelFunc
	draining, halting context.Context // end with the first and second phase of Stop
	cancel            context.CancelFunc
	cancelled         context.Context // ends with the last phase
	done              chan struct{}   // closed when Run returns
	err               error           // of Run, once done is closed
	saver             *saver          // nil when the cursor is not kept
	resender          Resender        // the sink, if it is one
	undelivering      Undelivering    // likewise

	// Owned by Run.
	decoder entry.Decoder
	event   ipe.Event
	context format.Context // of event
	entry   Entry
	buf     []byte
	cursor  spool.Cursor        // everything up to it is flushed, or counted
	given   spool.Cursor        // the last event that was written, with Match
	flushed spool.Cursor        // the last of those that is flushed
	windows *coalesce.Coalescer // nil: every event is written
	batch   batch
	limit   int           // of the next batch, in entries
	blocks  int           // writes for which it leaves its place, because one has blocked
	pause   time.Duration // after the next failure

	mu     sync.Mutex
	status Status
	shown  uint64 // the last Delivered that Status returned
}

// batch is what was read since the last flush.
type batch struct {
	cursor spool.Cursor // of the newest entry
	time   int64        // when that was received
	read   int          // entries and gaps
	told   int          // events that tell what was counted
	bytes  int
	counts Counts
}

// New returns a runner. Run must be called once.
func New(c Config) *Runner {
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.Pause == 0 {
		c.Pause = defaultPause
	}
	r := &Runner{config: c, done: make(chan struct{}), context: c.Context,
		cursor: c.Start, limit: c.Batch, pause: c.Pause,
		decoder: entry.Decoder{Policy: c.Policy, Host: c.Context.Host}}
	r.draining, r.drain = context.WithCancel(context.Background())
	r.halting, r.halt = context.WithCancel(context.Background())
	r.cancelled, r.cancel = context.WithCancel(context.Background())
	r.status = Status{Since: time.Now(), Cursor: c.Start, Kept: c.Start}
	r.resender, _ = c.Sink.(Resender)
	r.undelivering, _ = c.Sink.(Undelivering)
	if c.Coalesce > 0 {
		r.windows = coalesce.New(c.Coalesce, maxWindows, r.writeRepeated)
		r.windows.SetHost(c.Context.Host)
	}
	if c.Host != nil {
		r.rename(c.Host())
	}
	if c.Save != nil {
		r.saver = newSaver(c.Save, r.saved)
	}
	return r
}

// Run delivers until the source ends (io.EOF) or Stop was called, and
// everything is delivered; then it returns nil. When ctx ends it returns at
// once, with the context's error. An error of the last Save is returned too:
// then the next start may repeat entries.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.cancelled, cancel)()
	if r.saver != nil {
		if r.config.Start != (spool.Cursor{}) {
			r.saver.set(r.config.Start)
		}
		r.saver.start()
	}
	r.err = r.run(ctx)
	if r.saver != nil {
		r.err = errors.Join(r.err, r.saver.stop())
	}
	r.change(Stopped, nil)
	close(r.done)
	return r.err
}

func (r *Runner) run(ctx context.Context) error {
	for {
		err := r.session(ctx)
		if err == nil {
			return nil
		}
		if stopped := r.stopped(ctx); stopped != nil {
			return stopped
		}
		r.limit = 1
		if r.resender != nil {
			r.limit = 2 // it finds out by itself which one fails, and wants another one for that
		}
		if errors.Is(err, ErrBisecting) {
			r.pause = r.config.Pause
		}
		if r.windows != nil {
			r.windows.Rollback()
		}
		if r.cursor != (spool.Cursor{}) {
			r.config.Source.Rewind(r.cursor)
		}
		r.change(Retrying, err)
		r.wait(ctx)
		if stopped := r.stopped(ctx); stopped != nil {
			return stopped
		}
	}
}

// stopped returns why there is to be no other attempt, nil if there is.
func (r *Runner) stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.halting.Err() != nil {
		return ErrUndelivered
	}
	return nil
}

// wait makes the pause after a failure: longer each time, and at random, so
// that sinks that failed together do not come back together. Stop ends it.
func (r *Runner) wait(ctx context.Context) {
	t := time.NewTimer(r.pause/2 + rand.N(r.pause/2))
	defer t.Stop()
	r.pause = min(2*r.pause, maxPause)
	stopping := r.draining.Done()
	if r.draining.Err() != nil {
		stopping = nil // it ended a pause already
		r.pause = min(r.pause, maxStopPause)
	}
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-r.halting.Done():
	case <-stopping:
		r.pause = r.config.Pause
	}
}

// Stop lets the runner deliver everything that the spool has, and waits for Run
// to return. When ctx ends before, the runner may still flush the batch that it
// has begun, so that this is not repeated at the next start; a second later it
// is cancelled. Stop returns the error of Run, or one that says that even then
// the sink did not return. It must not be called before Run.
func (r *Runner) Stop(ctx context.Context) error {
	r.drain()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	r.halt()
	if r.ended(stopGrace) {
		return r.err
	}
	r.cancel()
	if r.ended(cancelGrace) {
		return r.err
	}
	return fmt.Errorf("sink %q: does not return from a call", r.config.Name)
}

// ended waits for Run to return.
func (r *Runner) ended(patience time.Duration) bool {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-r.done:
		return true
	case <-t.C:
		return false
	}
}

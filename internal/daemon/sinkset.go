package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
)

// cursorsDir is the folder of cursors within the state directory.
const cursorsDir = statedir.Cursors

// sinkInstance is a sink with its runner.
type sinkInstance struct {
	config config.Sink
	built  sink.Built
	runner *sink.Runner
	tried  chan struct{} // closed when it was opened, or that has failed
	done   chan struct{} // closed when the runner has returned
}

// sinkSet holds the runners. Its methods are for one goroutine, but for status.
type sinkSet struct {
	d      *daemon
	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup

	mu        sync.Mutex // held by that goroutine only to change instances
	instances map[string]*sinkInstance
}

func newSinkSet(d *daemon) *sinkSet {
	f := &sinkSet{d: d, instances: make(map[string]*sinkInstance)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// startAll starts the sinks of a daemon that begins. Those that never ran get
// the events from this start on.
func (f *sinkSet) startAll(sinks []config.Sink) error {
	if dir := f.d.dir(cursorsDir); dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			f.d.log.Error("the cursors of the sinks cannot be saved: a restart delivers events again", zap.Error(err))
		}
	}
	for i := range sinks {
		if err := f.start(&sinks[i], f.begin(&sinks[i], f.d.spool.End())); err != nil {
			f.cancel()
			return err
		}
	}
	return nil
}

// start starts one sink at begin.
func (f *sinkSet) start(c *config.Sink, begin spool.Start) error {
	log := f.d.log.With(zap.String("sink", c.Name))
	built, matcher, err := build(c, f.d.environment(c.Name), f.d.log)
	if err != nil {
		return fmt.Errorf("sink %q: %w", c.Name, err)
	}
	omission, err := format.NewOmission(c.Omit)
	if err != nil {
		return fmt.Errorf("sink %q: omit: %w", c.Name, err)
	}
	tried := make(chan struct{})
	tell := sync.OnceFunc(func() { close(tried) })
	begin.Blocking = f.d.Input != nil
	begin.Attachments = true
	reader := f.d.spool.NewReader(begin)
	joiner := entry.NewJoiner(reader)
	if f.d.who != nil {
		joiner.Wait, joiner.Expect = f.d.Config.Source.Join, f.d.who
	}
	rc := sink.Config{
		Name: c.Name, Sink: built.Sink, Source: joiner, Match: matcher, Format: built.Format, Omit: omission,
		Context: format.Context{Raw: c.Raw}, Batch: built.Batch,
		Host:      f.d.hostname.Bytes,
		Policy:    f.d.policies.Policy,
		Coalesce:  c.Coalesce,
		Task:      f.d.share.Task(fairshare.Sinks),
		Delivered: reader.Delivered,
		OnGap:     (&gapLog{log: log}).add,
		OnChange:  func(s sink.Status) { tell(); logChange(log, s) },
	}
	if begin.After != nil {
		rc.Start = *begin.After
	}
	dir := f.d.dir(cursorsDir)
	kept := spool.NewCursorFile(dir, c.Name)
	if dir != "" {
		rc.Save = (&cursorFile{dir: dir, file: kept, log: log}).save
	}
	s := &sinkInstance{config: *c, built: built, runner: sink.New(rc), tried: tried, done: make(chan struct{})}
	f.mu.Lock()
	f.instances[c.Name] = s
	f.mu.Unlock()
	f.wg.Go(func() {
		defer close(s.done)
		defer reader.Close()
		defer kept.Close()
		if err := s.runner.Run(f.ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, sink.ErrUndelivered) {
			log.Warn("sink ended with an error", zap.Error(err))
		}
	})
	return nil
}

// openTimeout is how long a daemon that begins waits for its sinks to be opened
// before it says that it is ready. It receives all the while.
const openTimeout = 5 * time.Second

// awaitOpen waits until every sink was opened, or will be tried again, or has taken
// too long for that.
func (f *sinkSet) awaitOpen(ctx context.Context) {
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	for _, s := range f.instances {
		select {
		case <-s.tried:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// begin says where in the spool a sink goes on: where it stood, or behind end
// if it never ran.
func (f *sinkSet) begin(c *config.Sink, end spool.Cursor) spool.Start {
	log := f.d.log.With(zap.String("sink", c.Name))
	dir := f.d.dir(cursorsDir)
	if dir != "" {
		cursor, err := spool.LoadCursor(dir, c.Name)
		switch {
		case err == nil:
			return spool.Start{After: &cursor}
		case !errors.Is(err, fs.ErrNotExist):
			log.Error("the cursor of the sink cannot be read: it gets everything that is left in the spool, part of it again", zap.Error(err))
			return spool.Start{}
		}
	}
	if c.From == config.FromOldest {
		return spool.Start{}
	}
	if dir != "" {
		// At once, before anything is appended: a process that is killed before
		// the first delivery must not make the next one begin behind it.
		if err := spool.SaveCursor(dir, c.Name, end, false); err != nil {
			log.Error("the cursor of a new sink cannot be saved", zap.Error(err))
		}
	}
	return spool.Start{After: &end}
}

// logChange says once when a sink starts to fail, and once when it is well
// again.
func logChange(log *zap.Logger, s sink.Status) {
	switch {
	case s.State == sink.Retrying:
		log.Warn("sink fails; its events wait in the spool and are tried again", zap.NamedError("cause", s.LastError))
	case s.State == sink.OK && s.Failures > 0:
		log.Info("sink delivers again")
	}
}

// cursorFile is where the cursor of a sink is kept. It is for one goroutine.
type cursorFile struct {
	dir   string
	file  *spool.CursorFile
	log   *zap.Logger
	fails bool // and that was said
}

// save writes the cursor. The folder is made again if somebody removed it, but
// not the state directory: on that we hold a lock.
func (f *cursorFile) save(c spool.Cursor) error {
	err := f.file.Save(c)
	if errors.Is(err, fs.ErrNotExist) && os.Mkdir(f.dir, 0o700) == nil {
		err = f.file.Save(c)
	}
	switch {
	case err != nil && !f.fails:
		f.log.Error("the cursor of the sink cannot be saved: a restart may deliver events again, or miss some", zap.Error(err))
	case err == nil && f.fails:
		f.log.Info("the cursor of the sink is saved again")
	}
	f.fails = err != nil
	return err
}

// gapLog says what a sink missed, at most once a second. It is for one
// goroutine.
type gapLog struct {
	log           *zap.Logger
	gaps, entries uint64 // not yet said
	last          time.Time
}

func (g *gapLog) add(gaps, entries uint64) {
	g.gaps, g.entries = g.gaps+gaps, g.entries+entries
	now := time.Now()
	if now.Sub(g.last) < time.Second {
		return // said with the next ones
	}
	g.log.Warn("events are missing for this sink: the spool gave them up before it came, or they are damaged; make the spool larger if the sink was slow",
		zap.Uint64("gaps", g.gaps), zap.Uint64("known_to_be_missing", g.entries))
	g.gaps, g.entries, g.last = 0, 0, now
}

// stop ends sinks, all at once, and returns where they stand, which is zero for
// those that have not read anything. Each gets its patience for what is spooled, or
// until ctx ends; without, it ends the batch it has begun.
func (f *sinkSet) stop(ctx context.Context, patience map[string]time.Duration) map[string]spool.Cursor {
	var wg sync.WaitGroup
	var mu sync.Mutex
	stood := make(map[string]spool.Cursor)
	for name, patience := range patience {
		s := f.instances[name]
		f.mu.Lock()
		delete(f.instances, name)
		f.mu.Unlock()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if err := s.runner.Stop(ctx); err != nil && (patience > 0 || !errors.Is(err, sink.ErrUndelivered)) {
				f.d.log.Warn("sink stopped before it had everything", zap.String("sink", name), zap.Error(err))
			}
			mu.Lock()
			defer mu.Unlock()
			stood[name] = s.runner.Status().Kept
		})
	}
	wg.Wait()
	return stood
}

// wait waits until every sink has what the closed spool holds, for at most
// timeout if that is not 0, and until ctx ends if it had not ended before. It
// returns the names of those that were late.
func (f *sinkSet) wait(ctx context.Context, timeout time.Duration) (late []string) {
	all := make(chan struct{})
	go func() { f.wg.Wait(); close(all) }()
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	cancelled := ctx.Done()
	if ctx.Err() != nil {
		cancelled = nil // that is why we stop
	}
	select {
	case <-all:
		return nil
	case <-expired:
	case <-cancelled:
	}
	for name, s := range f.instances {
		select {
		case <-s.done:
		default:
			late = append(late, name)
		}
	}
	slices.Sort(late)
	// They end their batch, so that it does not come again, or are cancelled.
	past, cancel := context.WithCancel(context.Background())
	cancel()
	var wg sync.WaitGroup
	for _, name := range late {
		wg.Go(func() { _ = f.instances[name].runner.Stop(past) })
	}
	wg.Wait()
	f.cancel()
	return late
}

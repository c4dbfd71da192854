package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// Spool is the log. All methods may be called by any goroutine.
type Spool struct {
	// Set by Open.
	opts Options
	lock *os.File // holds the directory; nil in memory
	end  Cursor
	tell *notifier
	sync *syncer // nil in memory

	ordinal atomic.Uint64 // of the next segment
	closing chan struct{} // closed by Close
	returns sync.WaitGroup

	// appendMu serialises appenders, and changes of form. It is never held
	// for much longer than Options.StallTimeout. Taken before mu.
	appendMu sync.Mutex
	timer    *time.Timer
	writer   *writer       // nil in the memory form
	left     []*writer     // of failed disks; they clean up behind themselves
	toRemove []string      // segments given up, still to be removed
	stopped  bool          // nothing is appended any more
	backAt   time.Time     // when the disk was last taken back
	pause    time.Duration // before a failed disk is tried again

	// mu guards what follows. It is never held while something is read or
	// written.
	mu        sync.Mutex
	oldest    *epoch
	cur       *epoch // changed only with appendMu held too
	diskBytes int64  // of all segments
	memBytes  int64  // of all chunks of epochs that are in memory only
	bufBytes  int64  // of all other chunks
	unsynced  []*segmentFile
	run       *runMark // nil in the memory form
	dirty     bool     // the syncer knows that there is something to sync
	newNames  bool     // the directory has to be synced too
	waiting   []*Reader
	blocking  []*Reader
	room      chan struct{} // not nil: somebody waits for the blocking readers
	closed    bool
	readers   int  // that are not closed
	settled   bool // Close is done: the last reader unlocks the directory
	appended  uint64
	attached  uint64
	cut       uint64
	given     uint64
	syncs     uint64
	failures  uint64
	err       error
}

// Open opens the spool in opts.Dir, or one in memory when that is empty.
//
// It fails when the directory cannot be made, read or locked; ErrLocked means
// that another process has it, and has not let go of it within a second. A
// directory that can be read but not written is no reason to fail: its entries
// are there for readers, and the spool begins in the memory form.
func Open(opts Options) (*Spool, error) {
	opts.setDefaults()
	s := &Spool{opts: opts, closing: make(chan struct{}), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	s.ordinal.Store(1)
	if opts.Dir == "" {
		s.tell = startNotifier(opts.Notify)
		s.link(&epoch{id: s.mint(), memory: true, next: segment.Origin})
		s.end = Cursor{ID: s.cur.id}
		return s, nil
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := lockDir(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.lock = lock
	rec, err := s.recover()
	if err != nil {
		unlockDir(lock)
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.tell = startNotifier(opts.Notify)
	for _, c := range rec.changes {
		s.tell.enqueue(c)
	}
	s.sync = startSyncer(s)
	if err := s.begin(rec); err != nil {
		s.takeOver(err, opts.StallTimeout)
	}
	s.end = s.newest()
	return s, nil
}

// End returns the end of the spool as it was before the first Append: where a
// reader begins that wants nothing of what earlier processes left.
func (s *Spool) End() Cursor { return s.end }

// newest returns the newest event, or what stands before the first one. It is
// called with appendMu or mu held, or before anybody else has the spool.
func (s *Spool) newest() Cursor { return Cursor{ID: s.cur.id, Seq: s.cur.next.Seq - 1} }

// mint draws a new id.
func (s *Spool) mint() ID {
	return segment.NewID(func(id ID) bool { return s.find(id) != nil })
}

// find returns the epoch with the id, or nil. It is called with mu held, or
// before anybody else has the spool.
func (s *Spool) find(id ID) *epoch {
	for e := s.oldest; e != nil; e = e.succ {
		if e.id == id {
			return e
		}
	}
	return nil
}

// link makes e the current epoch.
func (s *Spool) link(e *epoch) {
	if s.cur == nil {
		s.oldest = e
	} else {
		e.no = s.cur.no + 1
		s.cur.succ = e
	}
	s.cur = e
}

// Sync returns when everything appended before is synced. In the memory form
// it has nothing to do. It does not hold up appenders.
func (s *Spool) Sync(ctx context.Context) error {
	if s.sync == nil {
		return nil
	}
	return s.sync.now(ctx)
}

// Close ends appending, syncs and marks the end as clean, so that the id is
// continued by the next Open. Readers get what is left, then io.EOF. Entries
// that are in memory only because the disk failed are written if the disk lets
// it; the loss of others is told to Options.Notify. The directory stays locked
// until the last reader is closed: who opens it then finds every cursor where
// its reader has left it. A disk that hangs holds up
// Close for at most some multiples of Options.StallTimeout, and leaves the
// directory locked until the process ends.
func (s *Spool) Close() error {
	s.appendMu.Lock()
	if s.stopped {
		s.appendMu.Unlock()
		return ErrClosed
	}
	s.stopped = true
	close(s.closing)
	s.appendMu.Unlock()

	var err error
	if s.lock != nil {
		err = s.closeDisk()
	}
	s.mu.Lock()
	s.closed = true
	s.wake()
	var lost uint64
	for e := s.oldest; e != nil && s.lock != nil; e = e.succ {
		if e.memory {
			for _, c := range e.chunks {
				lost += c.next.Seq - c.first.Seq
			}
		}
	}
	s.mu.Unlock()
	if lost > 0 {
		s.tell.enqueue(Change{Kind: LostInMemory, Count: lost})
	}
	if err != nil {
		s.tell.enqueue(Change{Kind: SyncFailed, Err: err})
		err = fmt.Errorf("close spool: %w", err)
	}
	s.tell.end()
	if !errors.Is(err, errSilent) {
		s.mu.Lock()
		s.settled = true
		s.unlock()
		s.mu.Unlock()
	} // else something of ours may still write: the lock ends with the process
	return err
}

// unlock gives the directory free once nobody uses it any more. It is called
// with mu held.
func (s *Spool) unlock() {
	if s.settled && s.readers == 0 {
		unlockDir(s.lock)
		s.lock = nil
	}
}

var errSilent = errors.New("the disk does not answer")

// closeDisk brings everything to the disk, as far as it answers.
func (s *Spool) closeDisk() error {
	if err := s.within(func() error { s.returns.Wait(); return nil }); err != nil {
		return err
	}
	err := s.within(s.finish)
	left := s.within(func() error {
		for _, w := range s.left {
			<-w.gone
		}
		return nil
	})
	return cmp.Or(left, err)
}

// within returns what f does, or errSilent when that takes too long.
func (s *Spool) within(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timeout := time.NewTimer(5 * s.opts.StallTimeout)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		return errSilent
	}
}

// finish ends the syncer and the writer and marks a clean end.
func (s *Spool) finish() error {
	err := s.sync.end()
	s.appendMu.Lock()
	w := s.writer
	s.writer = nil
	s.appendMu.Unlock()
	if w == nil {
		return err // in the memory form: not a clean end
	}
	w.end()
	<-w.gone
	s.mu.Lock()
	run := s.run
	s.mu.Unlock()
	run.close()
	if err != nil {
		// The kernel may have thrown away what it could not write: the mark
		// must not vouch for it.
		s.opts.FS.Remove(s.path(segment.MarkName))
		return err
	}
	return markEnd(s.opts.FS, s.opts.Dir, s.cur.id, s.cur.next)
}

// Stats is what there is to say about a spool at one moment.
type Stats struct {
	ID       ID     // current
	Last     uint64 // sequence number of the newest event of ID; 0 when there is none
	OnDisk   bool   // new entries go to the disk
	Disk     int64  // bytes on disk
	Memory   int64  // bytes of memory for entries, the buffer of entries that are on disk included
	Entries  uint64 // events that can be read
	Oldest   Cursor // oldest event that can be read; zero when there is none
	Appended uint64 // events since Open
	Attached uint64 // attachments since Open
	Cut      uint64 // entries whose data was longer than MaxData, since Open
	GivenUp  uint64 // events given up for the bound since Open, read or not
	Syncs    uint64 // successful syncs since Open
	Failures uint64 // times the disk failed since Open
	Err      error  // why the disk failed last; nil when it never did
}

// Stats returns the state of the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		ID: s.cur.id, Last: s.cur.next.Seq - 1, OnDisk: !s.cur.memory,
		Disk: s.diskBytes, Memory: s.memBytes + s.bufBytes,
		Appended: s.appended, Attached: s.attached, Cut: s.cut, GivenUp: s.given,
		Syncs: s.syncs, Failures: s.failures, Err: s.err,
	}
	for e := s.oldest; e != nil; e = e.succ {
		first := e.available(segment.Origin).Seq
		if first < e.next.Seq && st.Oldest.ID == 0 {
			st.Oldest = Cursor{ID: e.id, Seq: first}
		}
		st.Entries += e.next.Seq - first
	}
	return st
}

// path returns the path of a file of the spool.
func (s *Spool) path(name string) string { return filepath.Join(s.opts.Dir, name) }

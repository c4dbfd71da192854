package spool

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// syncer makes durable what was written, in a goroutine of its own: appenders
// never wait for a sync.
type syncer struct {
	dirty  chan struct{} // there is something to sync
	urgent chan struct{} // at once
	asked  chan chan error
	stop   chan struct{}
	gone   chan struct{}
	err    error // of the last pass; to be read once gone
}

func startSyncer(s *Spool) *syncer {
	y := &syncer{
		dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		asked: make(chan chan error),
		stop:  make(chan struct{}), gone: make(chan struct{}),
	}
	go y.run(s)
	return y
}

func (y *syncer) kick(urgent bool) {
	c := y.dirty
	if urgent {
		c = y.urgent
	}
	select {
	case c <- struct{}{}:
	default:
	}
}

// now returns when a pass that began after the call is over.
func (y *syncer) now(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case y.asked <- answer:
	case <-y.gone:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end does a last pass and returns its error.
func (y *syncer) end() error {
	close(y.stop)
	<-y.gone
	return y.err
}

func (y *syncer) run(s *Spool) {
	defer close(y.gone)
	timer := time.NewTimer(time.Hour)
	timer.Stop() // runs only while there is something to sync: an idle spool does not wake up
	defer timer.Stop()
	for {
		var answer chan error
		select {
		case <-y.dirty:
			timer.Reset(s.opts.Sync)
			continue
		case <-timer.C:
		case <-y.urgent:
		case answer = <-y.asked:
		case <-y.stop:
			y.err = s.syncPass()
			return
		}
		timer.Stop()
		err := s.syncPass()
		if answer != nil {
			answer <- err
		}
	}
}

// syncPass syncs what was written before the call. A failed sync is a failed
// disk: the kernel may have thrown the unsynced pages away and will not say so
// a second time, so the file is not written to any more.
func (s *Spool) syncPass() error {
	type target struct {
		g      *segmentFile
		f      File
		sealed bool
	}
	s.mu.Lock()
	e := s.cur
	targets := make([]target, 0, 4)
	for _, g := range s.unsynced {
		g.unsynced = false
		targets = append(targets, target{g, g.file, g.sealed})
		if g.sealed {
			g.file = nil
		}
	}
	clear(s.unsynced)
	s.unsynced = s.unsynced[:0]
	s.dirty = false
	run, end := s.run, e.next
	names := s.newNames
	s.newNames = false
	s.mu.Unlock()

	var first error
	for _, t := range targets {
		if t.f == nil {
			continue // of a failed disk: the writer left it, and has it
		}
		err := t.f.Sync()
		if err == nil && unlinked(t.f) && s.writes(t.g) {
			err = errUnlinked
		}
		if err != nil && first == nil {
			first = err
		}
		if t.sealed {
			t.f.Close()
		}
	}
	if first == nil && names {
		first = s.opts.FS.SyncDir(s.opts.Dir)
	}
	if first != nil {
		first = fmt.Errorf("sync: %w", first)
		s.syncFailed(e, first)
		return first
	}
	if run != nil && run.note.ID == e.id {
		run.synced(end)
	}
	s.mu.Lock()
	s.syncs++
	s.mu.Unlock()
	return nil
}

// errUnlinked is why the disk counts as failed when somebody has removed the
// segment that is being written: everything in it would end with the process.
var errUnlinked = errors.New("the segment was removed")

// writes reports whether g is still being written. What is not may have been
// removed by ourselves, for the bound; asked behind unlinked, it cannot have.
func (s *Spool) writes(g *segmentFile) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !g.sealed
}

// unlinked reports whether f has no name any more.
func unlinked(f File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}

// markUnsynced notes that g has something to sync, or to close when it is
// sealed. It is called with mu held.
func (s *Spool) markUnsynced(g *segmentFile) {
	if !g.unsynced && g.file != nil {
		g.unsynced = true
		s.unsynced = append(s.unsynced, g)
	}
}

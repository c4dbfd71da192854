package spool

import (
	"fmt"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// takeOver goes on in memory, under a new id, because the disk failed. It is
// called with appendMu held, or before anybody else has the spool. Nothing of
// the old epoch changes any more: what a writer that hangs does when it wakes
// up, it does to a file nobody appends to.
//
// The mark goes first, but that is waited for no longer than patience. Where
// the disk hangs it is removed when that answers again, and before the lock is
// free: a process that is killed has its directory locked until its last
// system call returns.
func (s *Spool) takeOver(why error, patience time.Duration) {
	if s.writer != nil {
		// A writer that failed or hangs is about to end by itself; an idle
		// one, after a failed sync, has to be told.
		if s.writer.state.Load() == writerIdle {
			s.writer.end()
		}
		s.left = slices.DeleteFunc(append(s.left, s.writer), (*writer).isGone)
		s.writer = nil
	}
	s.mu.Lock()
	e := &epoch{id: s.mint(), memory: true, next: segment.Origin}
	run := s.run
	s.run = nil
	if s.cur != nil {
		e.prior = s.cur.ended()
		for _, g := range s.cur.segs {
			if !g.sealed {
				g.sealed, g.file = true, nil // the writer syncs and closes it
			}
		}
	}
	s.link(e)
	s.failures++
	s.err = why
	s.mu.Unlock()
	s.tell.enqueue(Change{Kind: WentToMemory, ID: e.id, Err: why})

	// A disk that fails again and again is not tried at the same pace.
	slowest := s.opts.slowestRetry()
	if time.Since(s.backAt) > slowest {
		s.pause = s.opts.Retry
	} else {
		s.pause = min(2*s.pause, slowest)
	}
	unmarked := make(chan struct{})
	s.returns.Add(1)
	go s.returnToDisk(e, s.pause, run, unmarked)
	s.timer.Reset(patience)
	select {
	case <-unmarked:
	case <-s.timer.C:
	}
	s.timer.Stop()
}

// syncFailed is told by the syncer that epoch e could not be synced.
func (s *Spool) syncFailed(e *epoch, err error) {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	if s.cur == e && s.writer != nil && !s.stopped {
		s.takeOver(err, s.opts.StallTimeout)
	}
}

// returnToDisk removes the mark, then tries the disk until it can be written
// again and switches over to it. It is a goroutine of its own, one for each
// failure; the next one begins behind the switch, so it cannot remove the mark
// that this one makes before.
func (s *Spool) returnToDisk(e *epoch, pause time.Duration, run *runMark, unmarked chan<- struct{}) {
	defer s.returns.Done()
	s.opts.FS.Remove(s.path(segment.MarkName)) // tried again with the disk
	close(unmarked)
	if run != nil {
		run.close()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		last := false
		select {
		case <-timer.C:
		case <-s.closing:
			last = true
		}
		err := s.tryReturn(e)
		if err == nil || last {
			return
		}
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		pause = min(2*pause, s.opts.slowestRetry())
		timer.Reset(pause)
	}
}

// tryReturn opens a new epoch on disk. What is in memory goes into a segment
// before it, so that it outlives the process: most of it before the switch,
// which proves that the disk has room, and the rest after.
func (s *Spool) tryReturn(e *epoch) error {
	if err := removeMark(s.opts.FS, s.opts.Dir); err != nil {
		return err
	}
	sp := spill{s: s, e: e}
	err := sp.begin()
	if err == nil {
		err = sp.write()
	}
	if err != nil {
		sp.undo()
		return err
	}
	s.mu.Lock()
	d := &epoch{id: s.mint(), next: segment.Origin, prior: segment.Ancestor{ID: e.id, End: segment.Point{N: segment.Uncertain}}} // until all of e is in its file
	s.mu.Unlock()
	h := s.newHeader(d, segment.Origin)
	f, err := s.newFile(h)
	if err != nil {
		sp.undo()
		return err
	}

	s.appendMu.Lock()
	s.writer = startWriter(s.opts.FS, s.opts.Dir, f)
	s.backAt = time.Now()
	s.mu.Lock()
	s.attach(d, newSegment(h, f))
	s.link(d)
	s.mu.Unlock()
	s.appendMu.Unlock()

	if err = sp.write(); err == nil {
		err = sp.finish()
	}
	if err != nil {
		sp.undo()                                  // it stays in memory until it is overwritten
		s.opts.FS.Remove(s.path(segment.MarkName)) // so a kill is told by the next Open
	} else {
		s.appendMu.Lock()
		s.mu.Lock()
		d.prior = e.ended()
		h.Prior = d.prior
		s.mu.Unlock()
		s.appendMu.Unlock()
		f.WriteAt(h.Encode(), 0) // if that fails, more than necessary is told
	}
	s.tell.enqueue(Change{Kind: BackOnDisk, ID: d.id})
	return nil
}

// newFile makes a segment durable before anything depends on it, and the mark
// that entries go to it.
func (s *Spool) newFile(h *segment.Header) (File, error) {
	f, err := createSegment(s.opts.FS, s.opts.Dir, h)
	if err != nil {
		return nil, err
	}
	if err = f.Sync(); err == nil {
		err = s.opts.FS.SyncDir(s.opts.Dir)
	}
	var run *runMark
	if err == nil {
		run, err = markRun(s.opts.FS, s.opts.Dir, h.ID, h.First)
	}
	if err != nil {
		f.Close()
		s.opts.FS.Remove(s.path(segment.Name(h.Ordinal)))
		return nil, err
	}
	s.mu.Lock()
	s.run = run
	s.mu.Unlock()
	return f, nil
}

func (s *Spool) newHeader(e *epoch, first segment.Point) *segment.Header {
	return &segment.Header{
		ID: e.id, Ordinal: s.ordinal.Add(1) - 1, First: first,
		Boot: s.opts.BootID, Created: time.Now().UnixNano(), Prior: e.prior,
	}
}

func newSegment(h *segment.Header, f File) *segmentFile {
	return &segmentFile{
		ordinal: h.Ordinal, first: h.First, next: h.First, boot: h.Boot,
		created: h.Created, size: segment.HeaderSize, file: f,
	}
}

// attach adds a segment to an epoch. It is called with mu held.
func (s *Spool) attach(e *epoch, g *segmentFile) {
	e.segs = append(e.segs, g)
	s.diskBytes += g.bytes()
}

// spill writes an epoch that is in memory into one segment.
type spill struct {
	s *Spool
	e *epoch
	g *segmentFile
}

// begin makes the file, also when nothing came yet: each id says how the one
// before ended, and segments are in the order of their ids.
func (sp *spill) begin() error {
	_, first, _, created := sp.more()
	h := sp.s.newHeader(sp.e, first)
	if created != 0 {
		h.Created = created
	}
	f, err := createSegment(sp.s.opts.FS, sp.s.opts.Dir, h)
	if err == nil {
		sp.g = newSegment(h, f)
	}
	return err
}

// write adds all that is published and not yet in the file.
func (sp *spill) write() error {
	for {
		p, first, next, _ := sp.more()
		if len(p) == 0 {
			return nil
		}
		if _, err := sp.g.file.WriteAt(p, sp.g.size); err != nil {
			return err
		}
		sp.g.index = append(sp.g.index, segment.Place{At: first, Off: sp.g.size})
		sp.g.size += int64(len(p))
		sp.g.next = next
	}
}

// more returns the frames that are to be written next.
func (sp *spill) more() (p []byte, first, next segment.Point, created int64) {
	sp.s.mu.Lock()
	defer sp.s.mu.Unlock()
	at := segment.Origin
	if sp.g != nil {
		at = sp.g.next
	}
	at = sp.e.available(at) // what was overwritten meanwhile is a hole in the file
	c := sp.e.chunkOf(at.N)
	if c == nil {
		return nil, at, at, 0
	}
	p = c.buf[:c.n]
	for n := c.first.N; n < at.N; n++ {
		p = p[segment.SizeOf(p):]
	}
	return p, at, c.next, c.created
}

// finish makes the file durable and part of the spool. Its chunks turn from
// the only copy into a buffer.
func (sp *spill) finish() error {
	s, g := sp.s, sp.g
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := s.opts.FS.SyncDir(s.opts.Dir); err != nil {
		return err
	}
	g.file.Close()
	g.file, g.sealed = nil, true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attach(sp.e, g)
	sp.e.memory = false
	for _, c := range sp.e.chunks {
		s.memBytes -= int64(len(c.buf))
		s.bufBytes += int64(len(c.buf))
	}
	return nil
}

func (sp *spill) undo() {
	if sp.g == nil || sp.g.file == nil {
		return
	}
	sp.g.file.Close()
	name := segment.Name(sp.g.ordinal)
	if sp.s.opts.FS.Remove(sp.s.path(name)) != nil {
		sp.s.appendMu.Lock()
		sp.s.toRemove = append(sp.s.toRemove, name) // with the next segment given up
		sp.s.appendMu.Unlock()
	}
	sp.g = nil
}

package spool

import (
	"context"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// Append adds the records in order and returns the identity of the last one,
// or of the newest event there was when recs is empty or has only attachments.
// It copies them, never
// waits for a reader, and never fails: when the disk does, or does not return
// within Options.StallTimeout, the records are kept in memory under a new id
// before Append returns. They have then survived the end of this process only
// if they are on disk, that of the machine only once they are synced.
//
// After Close it does nothing and returns the zero Cursor.
func (s *Spool) Append(recs []Record) Cursor {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	if s.stopped {
		return Cursor{}
	}
	patience := s.newPatience()
	for len(recs) > 0 {
		recs = recs[s.appendSome(recs, &patience):]
	}
	return s.newest()
}

// AppendWait is Append for input that can wait: instead of giving up entries
// which a reader with Start.Blocking has not delivered, it waits for that
// reader. It returns the context's error, or ErrClosed; the records before
// were appended.
func (s *Spool) AppendWait(ctx context.Context, recs []Record) (Cursor, error) {
	var last Cursor
	for {
		s.appendMu.Lock()
		if s.stopped {
			s.appendMu.Unlock()
			return last, ErrClosed
		}
		var room chan struct{}
		if len(recs) > 0 {
			if room = s.awaitRoom(&recs[0]); room == nil {
				patience := s.newPatience()
				recs = recs[s.appendSome(recs, &patience):]
			}
		}
		last = s.newest()
		s.appendMu.Unlock()
		switch {
		case room != nil:
			select {
			case <-room:
			case <-s.closing:
			case <-ctx.Done():
				return last, ctx.Err()
			}
		case len(recs) == 0:
			return last, nil
		}
	}
}

// appendSome appends at least one of the records, as many as one chunk and one
// segment take, and returns how many. It is called with appendMu held.
func (s *Spool) appendSome(recs []Record, w *patience) int {
	if s.writer != nil {
		n, err := s.appendDisk(recs, w)
		if err == nil {
			return n
		}
		s.takeOver(err, w.rest())
	}
	c := s.chunk(segment.FrameSize(&recs[0]), recs[0].Time)
	p, n, next := c.encode(s.cur.id, recs, int64(len(c.buf)))
	s.mu.Lock()
	s.publish(c, p, recs[:n], next)
	s.mu.Unlock()
	return n
}

// appendDisk is appendSome on the disk. On an error nothing was published.
func (s *Spool) appendDisk(recs []Record, w *patience) (int, error) {
	e := s.cur
	g := e.segs[len(e.segs)-1]
	full := s.opts.segmentSize()
	j := job{off: g.size}
	if g.size > segment.HeaderSize && g.size+int64(segment.FrameSize(&recs[0])) > full {
		j.off = segment.HeaderSize
		j.header = s.newHeader(e, e.next)
		j.remove = s.giveUpSegments(full)
	}
	c := s.chunk(segment.FrameSize(&recs[0]), recs[0].Time)
	var n int
	var next segment.Point
	j.p, n, next = c.encode(e.id, recs, full-j.off)

	if err := s.writer.do(j, s.timer, w); err != nil {
		return 0, err
	}

	var urgent bool
	for i := range recs[:n] {
		urgent = urgent || recs[i].Urgent
	}
	s.mu.Lock()
	if j.header != nil {
		s.toRemove = nil
		s.newNames = true
		g.sealed = true
		s.markUnsynced(g)
		g = newSegment(j.header, s.writer.file)
		e.segs = append(e.segs, g)
		s.diskBytes += g.bytes()
	}
	if c.n == 0 {
		g.index = append(g.index, segment.Place{At: c.next, Off: j.off})
	}
	s.diskBytes -= g.bytes()
	g.size = j.off + int64(len(j.p))
	g.next = next
	s.diskBytes += g.bytes()
	s.markUnsynced(g)
	first := !s.dirty
	s.dirty = true
	s.publish(c, j.p, recs[:n], next)
	s.mu.Unlock()
	if first || urgent {
		s.sync.kick(urgent)
	}
	return n, nil
}

// publish shows what was encoded at the end of c to the readers. It is called
// with mu held.
func (s *Spool) publish(c *chunk, p []byte, recs []Record, next segment.Point) {
	s.appended += next.Seq - c.next.Seq
	s.attached += c.next.Attachments(next)
	c.n += len(p)
	c.next = next
	s.cur.next = next
	for i := range recs {
		if len(recs[i].Data) > MaxData {
			s.cut++
		}
	}
	s.wake()
}

// wake lets all waiting readers go on. It is called with mu held.
func (s *Spool) wake() {
	for i, r := range s.waiting {
		s.waiting[i] = nil
		r.waits = false
		select {
		case r.woken <- struct{}{}:
		default:
		}
	}
	s.waiting = s.waiting[:0]
}

// chunk returns the chunk of the current epoch to append size bytes to. If it
// has to make one, it gives up the oldest ones for it.
func (s *Spool) chunk(size int, created int64) *chunk {
	e := s.cur
	if n := len(e.chunks); n > 0 {
		if c := e.chunks[n-1]; c.n+size <= len(c.buf) {
			return c
		}
	}
	c := &chunk{
		first: e.next, next: e.next, created: created,
		buf: make([]byte, max(size, s.opts.chunkSize())),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bound, used := s.opts.cacheSize(), &s.bufBytes
	if e.memory {
		bound, used = s.opts.Memory, &s.memBytes
	}
	*used += int64(len(c.buf))
	for old := s.oldest; old != nil; old = old.succ {
		for old.memory == e.memory && *used > bound && len(old.chunks) > 0 {
			*used -= int64(len(old.chunks[0].buf))
			if old.memory {
				s.given += old.chunks[0].next.Seq - old.chunks[0].first.Seq
			}
			old.chunks[0] = nil
			old.chunks = old.chunks[1:]
		}
	}
	e.chunks = append(e.chunks, c)
	s.forget()
	return c
}

// giveUpSegments makes room for a new segment: it forgets the oldest ones,
// so that no reader opens them any more, and returns the names of
// all files to remove.
func (s *Spool) giveUpSegments(size int64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.oldest; e != nil; e = e.succ {
		for len(e.segs) > 0 && s.diskBytes+size > s.opts.Size {
			g := e.segs[0]
			if e == s.cur && len(e.segs) == 1 {
				break // it is being written
			}
			s.diskBytes -= g.bytes()
			s.given += g.next.Seq - g.first.Seq
			s.toRemove = append(s.toRemove, segment.Name(g.ordinal))
			e.segs = e.segs[1:]
		}
	}
	s.forget()
	return slices.Clone(s.toRemove) // a writer that is left behind may keep it
}

// forget unlinks the oldest epochs once nothing is left of them. Readers that
// stand in one still find the way from it.
func (s *Spool) forget() {
	for s.oldest != s.cur && len(s.oldest.segs) == 0 && len(s.oldest.chunks) == 0 {
		s.oldest = s.oldest.succ
	}
}

// awaitRoom returns nil when r can be appended without giving up anything that
// a blocking reader has not delivered, else a channel that is closed when that
// may have changed.
func (s *Spool) awaitRoom(r *Record) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.blocking) == 0 || s.fits(r) {
		return nil
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	return s.room
}

// fits does the sums of chunk and giveUpSegments without giving up anything.
func (s *Spool) fits(r *Record) bool {
	e, size := s.cur, segment.FrameSize(r)
	if e.memory {
		if n := len(e.chunks); n > 0 && e.chunks[n-1].n+size <= len(e.chunks[n-1].buf) {
			return true
		}
		used := s.memBytes + int64(max(size, s.opts.chunkSize()))
		for old := s.oldest; old != nil; old = old.succ {
			for i := 0; old.memory && i < len(old.chunks) && used > s.opts.Memory; i++ {
				if !s.delivered(old, old.chunks[i].next.Seq) {
					return false
				}
				used -= int64(len(old.chunks[i].buf))
			}
		}
		return true
	}
	full := s.opts.segmentSize()
	if e.segs[len(e.segs)-1].size+int64(size) <= full {
		return true
	}
	used := s.diskBytes + full
	for old := s.oldest; old != nil; old = old.succ {
		for i := 0; i < len(old.segs) && used > s.opts.Size; i++ {
			if g := old.segs[i]; !s.delivered(old, g.next.Seq) {
				return false
			} else {
				used -= g.bytes()
			}
		}
	}
	return true
}

// delivered reports whether every blocking reader has delivered all events of e
// below seq.
func (s *Spool) delivered(e *epoch, seq uint64) bool {
	for _, r := range s.blocking {
		if !r.delivered.reached(e, seq) {
			return false
		}
	}
	return true
}

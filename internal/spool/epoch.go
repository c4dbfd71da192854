package spool

import "github.com/ipe-auditd/ipe-auditd/internal/spool/segment"

// epoch is the run of entries that share an id. Epochs are linked from the
// oldest to the current one; a reader that still stands in an epoch whose
// entries are all gone thereby finds the way on.
//
// All fields but no and id are guarded by Spool.mu.
type epoch struct {
	no uint64 // place among the epochs of this process
	id ID

	memory bool             // its entries are in memory only
	next   segment.Point    // behind the last entry
	segs   []*segmentFile   // on disk, oldest first
	chunks []*chunk         // in memory, oldest first
	prior  segment.Ancestor // as its headers say
	end    segment.Point    // if beyond next: where it ended once, so that what is between is gone
	cut    bool             // entries after the last one are gone, how many is not known
	succ   *epoch
}

// ended returns what the id that follows e says of its end.
func (e *epoch) ended() segment.Ancestor {
	if e.cut {
		return segment.Ancestor{ID: e.id, End: segment.Point{N: segment.Uncertain}}
	}
	return segment.Ancestor{ID: e.id, End: later(e.next, e.end)}
}

// endsAt notes that e once ended at that point, or at one nobody knows.
func (e *epoch) endsAt(p segment.Point) {
	if p.N == segment.Uncertain {
		e.cut = true
	} else {
		e.end = later(e.end, p)
	}
}

// segmentFile is one file. Its fields are guarded by Spool.mu; ordinal, first and
// boot do not change.
type segmentFile struct {
	ordinal uint64
	first   segment.Point // before the first entry
	boot    [16]byte
	created int64

	next segment.Point // behind the last entry
	size int64         // bytes published, the header included

	file     File            // while it may have to be synced; then nil
	sealed   bool            // nothing will be added to it
	unsynced bool            // it stands in Spool.unsynced
	index    []segment.Place // of some of its frames, in order
}

// seek returns a place at or before the frame n from which to scan.
func (g *segmentFile) seek(n uint64) segment.Place {
	return g.placeBefore(func(p segment.Point) bool { return p.N > n })
}

// seekEvent is seek for the event seq.
func (g *segmentFile) seekEvent(seq uint64) segment.Place {
	return g.placeBefore(func(p segment.Point) bool { return p.Seq > seq })
}

// placeBefore returns the last known place that is not beyond what is looked for.
func (g *segmentFile) placeBefore(beyond func(segment.Point) bool) segment.Place {
	last := segment.Place{At: g.first, Off: segment.HeaderSize}
	for _, p := range g.index {
		if beyond(p.At) {
			break
		}
		last = p
	}
	return last
}

// bytes returns what the segment takes of the bound: never less than a block,
// so that many short segments are bounded too.
func (g *segmentFile) bytes() int64 { return max(g.size, 4096) }

// chunk is a piece of memory with frames. What is published of it does not
// change any more, so readers look at it without a lock, also after it was
// given up.
type chunk struct {
	first   segment.Point // before the first entry
	created int64         // receive time of the first entry

	next segment.Point // behind the last entry
	n    int           // bytes published
	buf  []byte        // its length is the capacity of the chunk
}

// encode writes as many of recs as fit after what is published, and not more
// than limit bytes unless the first one alone is longer. It returns the bytes
// written, how many records they are, and the point behind them.
func (c *chunk) encode(id ID, recs []Record, limit int64) (p []byte, count int, next segment.Point) {
	end, next := c.n, c.next
	for i := range recs {
		size := segment.FrameSize(&recs[i])
		if end+size > len(c.buf) || i > 0 && int64(end+size-c.n) > limit {
			break
		}
		end += segment.PutFrame(c.buf[end:], id, next, &recs[i])
		next = next.Behind(recs[i].Attachment)
		count++
	}
	return c.buf[c.n:end], count, next
}

// chunkOf returns the chunk with the frame n.
func (e *epoch) chunkOf(n uint64) *chunk {
	// From the newest: that is where readers are.
	for i := len(e.chunks) - 1; i >= 0; i-- {
		if c := e.chunks[i]; c.first.N <= n {
			if n < c.next.N {
				return c
			}
			return nil
		}
	}
	return nil
}

// segmentOf returns the segment with the frame n.
func (e *epoch) segmentOf(n uint64) *segmentFile {
	for i := len(e.segs) - 1; i >= 0; i-- {
		if g := e.segs[i]; g.first.N <= n {
			if n < g.next.N {
				return g
			}
			return nil
		}
	}
	return nil
}

// available returns the first point from p on that a frame is still there for,
// or next when there is none.
func (e *epoch) available(p segment.Point) segment.Point {
	q := e.next
	for _, g := range e.segs {
		if g.next.N > p.N && g.first.N < g.next.N {
			q = earlier(q, later(g.first, p))
			break
		}
	}
	for _, c := range e.chunks {
		if c.next.N > p.N && c.first.N < c.next.N {
			q = earlier(q, later(c.first, p))
			break
		}
	}
	return q
}

func earlier(p, q segment.Point) segment.Point {
	if q.N < p.N {
		return q
	}
	return p
}

func later(p, q segment.Point) segment.Point {
	if q.N > p.N {
		return q
	}
	return p
}

// before returns a point that no frame behind the event seq comes before: one
// from which it is not far, where there is one, else the origin.
func (e *epoch) before(seq uint64) segment.Point {
	for i := len(e.chunks) - 1; i >= 0; i-- {
		if c := e.chunks[i]; c.first.Seq <= seq {
			return c.first
		}
	}
	for i := len(e.segs) - 1; i >= 0; i-- {
		if g := e.segs[i]; g.first.Seq <= seq {
			return g.seekEvent(seq).At
		}
	}
	return segment.Origin
}

// position is how far a blocking reader has delivered: after the event seq-1,
// before seq. Attachments behind the last event do not count.
type position struct {
	epoch *epoch
	seq   uint64
}

// reached reports whether all events of e below seq lie before p.
func (p position) reached(e *epoch, seq uint64) bool {
	return p.epoch.no > e.no || p.epoch.no == e.no && p.seq >= seq
}

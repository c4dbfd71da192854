package spool

// epoch is the run of entries that share an id. Epochs are linked from the
// oldest to the current one; a reader that still stands in an epoch whose
// entries are all gone thereby finds the way on.
//
// All fields but no and id are guarded by Spool.mu.
type epoch struct {
	no uint64 // place among the epochs of this process
	id ID

	memory bool       // its entries are in memory only
	next   uint64     // sequence number of the next entry
	segs   []*segment // on disk, oldest first
	chunks []*chunk   // in memory, oldest first
	cut    bool       // entries after the last one may have been damaged: how many is not known
	succ   *epoch
}

// segment is one file. Its fields are guarded by Spool.mu; ordinal, first and
// boot do not change.
type segment struct {
	ordinal uint64
	first   uint64 // sequence number of the first entry
	boot    [16]byte
	created int64

	next uint64 // sequence number after the last entry
	size int64  // bytes published, the header included

	file     File // while it may have to be synced; then nil
	sealed   bool // nothing will be added to it
	unsynced bool // it stands in Spool.unsynced
	marks    []mark
}

// mark is a place in a segment where a frame begins.
type mark struct {
	seq uint64
	off int64
}

// seek returns a place at or before the entry seq from which to scan.
func (g *segment) seek(seq uint64) mark {
	at := mark{g.first, headerSize}
	for _, m := range g.marks {
		if m.seq > seq {
			break
		}
		at = m
	}
	return at
}

// bytes returns what the segment takes of the bound: never less than a block,
// so that many short segments are bounded too.
func (g *segment) bytes() int64 { return max(g.size, 4096) }

// chunk is a piece of memory with frames. What is published of it does not
// change any more, so readers look at it without a lock, also after it was
// given up.
type chunk struct {
	first   uint64
	created int64 // receive time of the first entry

	next uint64 // sequence number after the last entry
	n    int    // bytes published
	buf  []byte // its length is the capacity of the chunk
}

// encode writes as many of recs as fit after what is published, and not more
// than limit bytes unless the first one alone is longer. It returns the bytes
// written and how many records they are.
func (c *chunk) encode(id ID, recs []Record, limit int64) (p []byte, count int) {
	end := c.n
	for i := range recs {
		size := frameSize(&recs[i])
		if end+size > len(c.buf) || i > 0 && int64(end+size-c.n) > limit {
			break
		}
		end += putFrame(c.buf[end:], id, c.next+uint64(i), &recs[i])
		count++
	}
	return c.buf[c.n:end], count
}

// chunkOf returns the chunk with the entry seq.
func (e *epoch) chunkOf(seq uint64) *chunk {
	// From the newest: that is where readers are.
	for i := len(e.chunks) - 1; i >= 0; i-- {
		if c := e.chunks[i]; c.first <= seq {
			if seq < c.next {
				return c
			}
			return nil
		}
	}
	return nil
}

// segmentOf returns the segment with the entry seq.
func (e *epoch) segmentOf(seq uint64) *segment {
	for i := len(e.segs) - 1; i >= 0; i-- {
		if g := e.segs[i]; g.first <= seq {
			if seq < g.next {
				return g
			}
			return nil
		}
	}
	return nil
}

// available returns the lowest sequence number from seq on that is still
// there, or next when there is none.
func (e *epoch) available(seq uint64) uint64 {
	n := e.next
	for _, g := range e.segs {
		if g.next > seq && g.first < g.next {
			n = min(n, max(g.first, seq))
			break
		}
	}
	for _, c := range e.chunks {
		if c.next > seq && c.first < c.next {
			n = min(n, max(c.first, seq))
			break
		}
	}
	return n
}

// position is a place between two entries: after seq-1, before seq.
type position struct {
	epoch *epoch
	seq   uint64
}

// reached reports whether everything of e below next lies before p.
func (p position) reached(e *epoch, next uint64) bool {
	return p.epoch.no > e.no || p.epoch.no == e.no && p.seq >= next
}

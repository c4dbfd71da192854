package spool

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// Start says where a reader begins. The zero Start is the oldest entry. Of
// several the first that is set counts.
type Start struct {
	// After is the last entry delivered; the next one is the first that the
	// reader gets. If its id is not the current one, what is left of it comes
	// first, then the newer ids from their first entries. If nothing is known
	// of the id, the reader is told a gap of unknown size and begins with the
	// oldest entry. A cursor beyond the end of its id proves that entries are
	// lost, how many is not known: the reader is told that, then goes on behind
	// the end. Only with the highest number there is it just begins there.
	After *Cursor
	// Since begins with the first entry received at that time or later.
	Since time.Time
	// End begins after the newest entry there is now.
	End bool

	// Passed is called by Next and TryNext for every PassedStep entries that they
	// pass over: older ones, to come to Since, and attachments. An error ends the
	// call, and is returned; the next call goes on behind them. It may be nil.
	Passed func() error

	// Blocking makes AppendWait wait for what this reader has told by
	// Delivered. Without, and for Append, entries are overwritten.
	Blocking bool

	// Attachments says that the reader wants attachments too. They come where
	// they were appended: behind their event, but other events may come
	// before. Of those right behind the event After, all come again.
	Attachments bool
}

// errGone is the reason of a gap of unknown size: nothing of the cursor's id
// is left.
var errGone = errors.New("the spool no longer knows this id")

// errBeyond is the reason of a gap of unknown size at the end of an id: a cursor
// names an entry that is not there any more, or never was.
var errBeyond = errors.New("the cursor is beyond the end of its id")

// PassedStep is how many entries and attachments make a call of Start.Passed.
const PassedStep = 256

// Reader reads the spool from one position on. Its methods are for one
// goroutine, but for Lag and Delivered.
type Reader struct {
	s     *Spool
	woken chan struct{} // one slot

	seq atomic.Uint64 // of the next event; stored by the reader's goroutine

	// Guarded by Spool.mu.
	epoch     *epoch
	waits     bool // stands in Spool.waiting
	delivered position
	closed    bool

	// Owned by the reader's goroutine.
	at     segment.Point // before the next frame
	from   uint64        // frames before this sequence number are passed over
	all    bool          // wants attachments
	gap    *GapError     // to be told next
	since  int64         // pass over older events until one is not
	over   int           // frames passed over
	passed func() error  // Start.Passed
	entry  Entry
	frame  segment.Frame // of the window
	chunk  *chunk        // the window views it; nil when there is none
	win    []byte        // published frames not yet read
	end    int           // where in the chunk the window ends
	file   fileSource
}

// NewReader returns a reader that begins at start. It must be closed.
func (s *Spool) NewReader(start Start) *Reader {
	r := &Reader{s: s, woken: make(chan struct{}, 1), all: start.Attachments, passed: start.Passed}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.seek(start)
	r.delivered = position{r.epoch, r.seq.Load()}
	s.readers++
	if start.Blocking {
		s.blocking = append(s.blocking, r)
	}
	return r
}

// Rewind goes back to after c, to read again what was not delivered.
func (r *Reader) Rewind(c Cursor) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.seek(Start{After: &c})
}

// Delivered tells that everything up to c was delivered, so that AppendWait
// need not keep it for this reader.
func (r *Reader) Delivered(c Cursor) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := r.delivered.epoch; e != nil; e = e.succ {
		if e.id == c.ID && !r.delivered.reached(e, c.Seq+1) {
			r.delivered = position{e, c.Seq + 1}
			s.makeRoom()
			return
		}
	}
}

// makeRoom lets AppendWait look again. It is called with mu held.
func (s *Spool) makeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// Close releases what the reader holds.
func (r *Reader) Close() error {
	s := r.s
	s.mu.Lock()
	if r.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	r.closed = true
	if i := slices.Index(s.blocking, r); i >= 0 {
		s.blocking = slices.Delete(s.blocking, i, i+1)
		s.makeRoom()
	}
	if i := slices.Index(s.waiting, r); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.mu.Unlock()
	r.file.close()
	s.mu.Lock()
	s.readers--
	s.unlock()
	s.mu.Unlock()
	r.chunk, r.win = nil, nil
	return nil
}

// Lag returns how many events come after the last one that the reader got,
// those included that are overwritten meanwhile.
func (r *Reader) Lag() uint64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	n := r.epoch.next.Seq - min(r.seq.Load(), r.epoch.next.Seq)
	for e := r.epoch.succ; e != nil; e = e.succ {
		n += e.next.Seq - 1
	}
	return n
}

// seek sets the position. It is called with mu held.
func (r *Reader) seek(start Start) {
	s := r.s
	r.chunk, r.win, r.gap, r.since = nil, nil, nil, math.MinInt64
	r.file.leave()
	switch {
	case start.After != nil:
		// Of the highest number nothing comes behind, so nothing is missing.
		after := *start.After
		after.Seq = min(after.Seq, math.MaxUint64-1)
		e := s.find(after.ID)
		switch {
		case e == nil:
			r.gap = &GapError{ID: after.ID, First: after.Seq + 1, Err: errGone}
		case after.Seq >= e.next.Seq && (e.cut || after.Seq < e.end.Seq):
			r.move(e, e.next, after.Seq+1) // at its end something is told anyway
			return
		case after.Seq >= e.next.Seq: // but skip nothing that will be appended
			if *start.After == after {
				r.gap = &GapError{ID: after.ID, First: after.Seq + 1, Err: errBeyond}
			}
			end := later(e.next, e.end)
			r.move(e, end, end.Seq)
			return
		default:
			r.move(e, e.before(after.Seq), after.Seq+1)
			return
		}
	case !start.Since.IsZero():
		r.since = start.Since.UnixNano()
		e, at := s.before(r.since)
		r.move(e, at, at.Seq)
		return
	case start.End:
		r.move(s.cur, s.cur.next, s.cur.next.Seq)
		return
	}
	at := s.oldest.available(segment.Origin)
	r.move(s.oldest, at, at.Seq)
}

// move goes to the frames of e from the event seq on, of which none comes
// before at. Attachments between the event before and that one are among them.
func (r *Reader) move(e *epoch, at segment.Point, seq uint64) {
	r.epoch, r.at, r.from = e, at, seq
	r.seq.Store(seq)
}

// pass goes on behind a frame, or a gap, that ends at p.
func (r *Reader) pass(p segment.Point) {
	r.at = p
	if p.Seq > r.from {
		r.from = p.Seq
		r.seq.Store(p.Seq)
	}
}

// before returns a place with no entry from time t on before it: the first
// segment or chunk that is followed by one made after t, or the last.
func (s *Spool) before(t int64) (*epoch, segment.Point) {
	of, at := s.oldest, s.oldest.available(segment.Origin)
	for e := s.oldest; e != nil; e = e.succ {
		for _, g := range e.segs {
			if g.created > t {
				return of, at
			}
			of, at = e, g.first
		}
		for _, c := range e.chunks {
			if !e.memory {
				break
			}
			if c.created > t {
				return of, at
			}
			of, at = e, c.first
		}
	}
	return of, at
}

// Next returns the next entry and waits for one if there is none. Beside the
// context's error it returns a *GapError where entries are missing, io.EOF
// when the spool was closed and everything was read, and other errors when the
// disk cannot be read now; after all but io.EOF and ErrClosed it may be called
// again.
func (r *Reader) Next(ctx context.Context) (*Entry, error) {
	for {
		e, err := r.next(true)
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-r.woken:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: ok is false when there is no entry now.
func (r *Reader) TryNext() (e *Entry, ok bool, err error) {
	e, err = r.next(false)
	return e, e != nil, err
}

// next returns neither entry nor error when there is none now; with wait the
// reader then stands in the line of those to be woken.
func (r *Reader) next(wait bool) (*Entry, error) {
	for {
		f := &r.frame
		switch {
		case r.gap != nil:
			gap := r.gap
			r.gap = nil
			return nil, gap
		case len(r.win) > 0:
			r.win = r.win[f.Get(r.win):]
			r.entry.BootID = r.s.opts.BootID
		case r.file.reading:
			var err error
			if f, err = r.fromFile(); err != nil {
				return nil, err
			} else if f == nil {
				continue
			}
			r.entry.BootID = r.file.boot
		default:
			if more, err := r.locate(wait); err != nil || !more {
				return nil, err
			}
			continue
		}
		passed := f.At.Seq < r.from
		r.pass(f.Next())
		if passed || f.Attachment && !r.all {
			if err := r.passOver(); err != nil {
				return nil, err
			}
			continue
		}
		if r.since != math.MinInt64 {
			if f.Attachment || f.Time < r.since {
				if err := r.passOver(); err != nil {
					return nil, err
				}
				continue
			}
			r.since = math.MinInt64
		}
		r.entry.ID = r.file.id
		r.entry.Set(f)
		return &r.entry, nil
	}
}

// passOver counts a frame that the reader does not want.
func (r *Reader) passOver() error {
	if r.over++; r.over%PassedStep == 0 && r.passed != nil {
		return r.passed()
	}
	return nil
}

// locate finds the next entry. It reports false when there is none now.
func (r *Reader) locate(wait bool) (bool, error) {
	s := r.s
	s.mu.Lock()
	e, n := r.epoch, r.at.N
	if r.closed {
		s.mu.Unlock()
		return false, ErrClosed
	}
	if n >= e.next.N {
		defer s.mu.Unlock()
		switch {
		case e.succ != nil && e.end.N > n && !e.cut:
			r.file.id = e.id
			r.skip(e.end, ErrDamaged)
			return true, nil
		case e.succ != nil:
			if e.cut {
				r.gap = &GapError{ID: e.id, First: r.from, Err: ErrDamaged}
			}
			r.chunk = nil
			r.move(e.succ, segment.Origin, segment.Origin.Seq)
			return true, nil
		case s.closed:
			return false, io.EOF
		case wait && !r.waits:
			r.waits = true
			s.waiting = append(s.waiting, r)
		}
		return false, nil
	}
	r.file.id = e.id
	if c := e.chunkOf(n); c != nil {
		published := c.buf[:c.n:c.n]
		s.mu.Unlock()
		r.window(c, published, n)
		return true, nil
	}
	r.chunk = nil
	if g := e.segmentOf(n); g != nil {
		at, next, size := g.seek(n), g.next, g.size
		s.mu.Unlock()
		return true, r.open(e, g, at, next, size)
	}
	to := e.available(r.at)
	s.mu.Unlock()
	r.skip(to, nil)
	return true, nil
}

// window makes the published frames of c from the frame n on the next to be
// read.
func (r *Reader) window(c *chunk, published []byte, n uint64) {
	at := 0
	if c == r.chunk {
		// Everything of the old window was read: go on behind it.
		at = r.end
	} else {
		for m := c.first.N; m < n; m++ {
			at += segment.SizeOf(published[at:])
		}
	}
	r.file.close() // or a segment that is given up would keep its place on the disk
	r.chunk, r.win, r.end = c, published[at:], len(published)
}

// skip tells a gap from the next frame to the one before to, as far as the
// reader wants those frames.
func (r *Reader) skip(to segment.Point, why error) {
	gap := &GapError{ID: r.file.id, First: r.from, Known: true, Err: why}
	if r.at.Seq == r.from {
		gap.Attachments = r.at.Attachments(to)
	}
	if to.Seq > r.from {
		gap.Count = to.Seq - r.from
	}
	gap.Last = r.from + gap.Count - 1
	if gap.Count > 0 || gap.Attachments > 0 && r.all {
		r.gap = gap
	}
	r.pass(to)
}

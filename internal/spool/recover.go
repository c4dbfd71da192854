package spool

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// recovery is what Open finds in the directory, besides the epochs.
type recovery struct {
	changes []Change
	resume  bool  // nothing can have been lost after the last entry: its id goes on
	torn    int64 // bytes to cut off the last segment before it does
}

// recover reads the directory and links an epoch for each id it finds. It
// writes nothing, but renames what it cannot read and removes segments that
// never got their name.
func (s *Spool) recover() (*recovery, error) {
	rec := &recovery{}
	names, err := s.opts.FS.ReadDir(s.opts.Dir)
	if err != nil {
		return nil, err
	}
	whole := true // the newest segment did not have to be set aside
	for _, n := range names {
		if name, ok := strings.CutSuffix(n.Name(), atomicfile.Suffix); ok {
			if _, ok := segment.ParseName(name); ok {
				s.opts.FS.Remove(s.path(n.Name()))
			}
			continue
		}
		name, aside := strings.CutSuffix(n.Name(), segment.AsideSuffix)
		ordinal, ok := segment.ParseName(name)
		if !ok {
			continue
		}
		s.ordinal.Store(ordinal + 1) // names come sorted
		if aside {
			continue
		}
		f, h, size, err := segment.Open(s.opts.FS, s.path(n.Name()))
		if err == nil {
			f.Close()
			h.Ordinal = ordinal
			err = s.add(&h, size)
		}
		whole = err == nil
		switch path := s.path(n.Name()); {
		case errors.Is(err, segment.ErrHeader), errors.Is(err, segment.ErrVersion):
			rec.changes = append(rec.changes, Change{Kind: SetAside, File: path, Err: err})
			s.opts.FS.Rename(path, path+segment.AsideSuffix) // else it is looked at again next time
		case err != nil:
			return nil, err
		}
	}
	var last segment.Damage // of the newest id
	for e := s.oldest; e != nil; e = e.succ {
		g := e.segs[len(e.segs)-1]
		if last, err = s.scanTail(e, g); err != nil {
			return nil, err
		}
		if e.succ == nil {
			break
		}
		e.cut = e.cut || last.Tail > 0
		if prior := e.succ.prior; prior.ID == e.id {
			e.endsAt(prior.End)
		} else {
			e.cut = true // all of another id is missing in between
		}
	}
	s.decideResume(rec, last, whole)
	return rec, nil
}

// decideResume decides whether the newest id may go on, and what is to be told of its
// end: last is the damage there, and whole says that the segment with it was not
// set aside.
func (s *Spool) decideResume(rec *recovery, last segment.Damage, whole bool) {
	mark, ours := segment.ReadMark(s.opts.FS, s.opts.Dir)
	e := s.cur
	if e == nil {
		switch {
		case mark.State != segment.MarkNone && mark.At != segment.Origin:
			rec.changes = append(rec.changes, Change{Kind: TailLost, ID: mark.ID, Count: mark.At.Seq - 1})
		case !whole:
			rec.changes = append(rec.changes, Change{Kind: TailLost})
		}
		return
	}
	g := e.segs[len(e.segs)-1]
	path := s.path(segment.Name(g.ordinal))
	sameBoot := g.boot == s.opts.BootID && g.boot != [16]byte{}
	killed := mark.State == segment.MarkRunning && sameBoot // all that it had appended is in the page cache
	torn := killed && last.Torn && segment.TornWrite(g.size+last.Tail)
	bad := last.Tail > 0 && !torn
	if torn {
		rec.torn = last.Tail
		rec.changes = append(rec.changes, Change{Kind: TornTail, ID: e.id, File: path, Bytes: last.Tail})
	}

	var lost uint64 // at least
	ended := mark.State == segment.MarkClean && mark.ID == e.id
	proven := !whole && !ended
	switch {
	case mark.State == segment.MarkNone:
	case mark.ID != e.id:
		proven = true
	case mark.At.N > e.next.N:
		proven, lost = true, mark.At.Seq-e.next.Seq
		e.endsAt(mark.At)
	}
	for _, c := range s.opts.Delivered {
		if c.ID == e.id && c.Seq >= e.next.Seq {
			proven, lost = true, max(lost, c.Seq-e.next.Seq+1)
			e.cut = true // the mark knows nothing of them, nor of what came behind
		}
	}
	// A clean mark says where the end was. Of another one nobody knows.
	e.cut = e.cut || !ended && (bad || proven)
	if n := last.Inner + last.Tail; last.Inner > 0 || bad || proven {
		rec.changes = append(rec.changes, Change{Kind: Damaged, ID: e.id, File: path, Bytes: n})
	}

	rec.resume = ours && sameBoot && !bad && !proven &&
		(killed || mark.State == segment.MarkClean && mark.At == e.next)
	switch {
	case proven, bad && (killed || ended):
		rec.changes = append(rec.changes, Change{Kind: TailLost, ID: e.id, Count: lost})
	case mark.State == segment.MarkNone && sameBoot:
		rec.changes = append(rec.changes, Change{Kind: MemoryUncertain, ID: e.id})
	case mark.State != segment.MarkClean && !sameBoot:
		rec.changes = append(rec.changes, Change{Kind: TailUncertain, ID: e.id})
	case !ours:
		rec.changes = append(rec.changes, Change{Kind: Moved, ID: e.id})
	}
}

// add puts a segment behind those found before.
func (s *Spool) add(h *segment.Header, size int64) error {
	e := s.cur
	if e == nil || e.id != h.ID {
		if s.find(h.ID) != nil {
			return fmt.Errorf("%w: id %v comes back", segment.ErrHeader, h.ID)
		}
		e = &epoch{id: h.ID, prior: h.Prior}
		s.link(e)
	} else {
		last := e.segs[len(e.segs)-1]
		if h.First.N < last.first.N || h.First.Seq < last.first.Seq {
			return fmt.Errorf("%w: the numbers go back", segment.ErrHeader)
		}
		last.next = h.First
	}
	g := newSegment(h, nil)
	g.size, g.sealed = size, true
	s.attach(e, g)
	e.next = h.First
	return nil
}

// scanTail finds the end of the last segment of an epoch.
func (s *Spool) scanTail(e *epoch, g *segmentFile) (segment.Damage, error) {
	f, err := s.opts.FS.OpenFile(s.path(segment.Name(g.ordinal)), os.O_RDONLY, 0)
	if err != nil {
		return segment.Damage{}, err
	}
	defer f.Close()
	s.diskBytes -= g.bytes()
	end := segment.FindEnd(f, e.id, g.first, g.size)
	g.next, g.size, g.index = end.Next, end.Size, end.Index
	s.diskBytes += g.bytes()
	e.next = g.next
	return end.Damage, nil
}

// begin makes the spool ready to be written, with the id that is there if it
// may go on, else with a new one.
func (s *Spool) begin(rec *recovery) error {
	if err := removeMark(s.opts.FS, s.opts.Dir); err != nil {
		return err
	}
	for _, name := range s.giveUpSegments(0) { // the bound may be smaller than it was
		if err := s.opts.FS.Remove(s.path(name)); err != nil {
			return err
		}
	}
	s.toRemove = nil
	if rec.resume {
		return s.resume(rec.torn)
	}
	e := &epoch{id: s.mint(), next: segment.Origin}
	if s.cur != nil {
		e.prior = s.cur.ended()
	}
	h := s.newHeader(e, segment.Origin)
	f, err := s.newFile(h)
	if err != nil {
		return err
	}
	s.attach(e, newSegment(h, f))
	s.link(e)
	s.writer = startWriter(s.opts.FS, s.opts.Dir, f)
	return nil
}

// resume goes on with the newest id, in its last segment: many restarts do not
// make many files.
func (s *Spool) resume(torn int64) error {
	e := s.cur
	g := e.segs[len(e.segs)-1]
	f, err := s.opts.FS.OpenFile(s.path(segment.Name(g.ordinal)), os.O_RDWR|atomicfile.NoFollow, 0)
	if err != nil {
		return err
	}
	if torn > 0 {
		err = f.Truncate(g.size)
	}
	if err == nil {
		s.run, err = markRun(s.opts.FS, s.opts.Dir, e.id, e.next)
	}
	if err != nil {
		f.Close()
		return err
	}
	g.file, g.sealed = f, false
	s.writer = startWriter(s.opts.FS, s.opts.Dir, f)

	// A killed process has left in the page cache what a later clean end
	// vouches for.
	s.mu.Lock()
	for _, old := range e.segs {
		if old.sealed && old.boot == s.opts.BootID {
			if f, err := s.opts.FS.OpenFile(s.path(segment.Name(old.ordinal)), os.O_RDONLY, 0); err == nil {
				old.file = f
			}
		}
		s.markUnsynced(old)
	}
	s.dirty, s.newNames = true, true
	s.mu.Unlock()
	s.sync.kick(false)
	return nil
}

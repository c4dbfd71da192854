package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
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
		if name, ok := strings.CutSuffix(n.Name(), tempSuffix); ok {
			if _, ok := parseSegmentName(name); ok {
				s.opts.FS.Remove(s.path(n.Name()))
			}
			continue
		}
		name, aside := strings.CutSuffix(n.Name(), asideSuffix)
		ordinal, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		s.ordinal.Store(ordinal + 1) // names come sorted
		if aside {
			continue
		}
		h, size, err := s.readHeader(n.Name())
		if err == nil {
			h.ordinal = ordinal
			err = s.add(&h, size)
		}
		whole = err == nil
		switch path := s.path(n.Name()); {
		case errors.Is(err, errHeader), errors.Is(err, errVersion):
			rec.changes = append(rec.changes, Change{Kind: SetAside, File: path, Err: err})
			s.opts.FS.Rename(path, path+asideSuffix) // else it is looked at again next time
		case err != nil:
			return nil, err
		}
	}
	var last damage // of the newest id
	for e := s.oldest; e != nil; e = e.succ {
		g := e.segs[len(e.segs)-1]
		if last, err = s.scanTail(e, g); err != nil {
			return nil, err
		}
		if e.succ == nil {
			break
		}
		e.cut = e.cut || last.tail > 0
		if prior := e.succ.prior; prior.id == e.id {
			e.endsAt(prior.end)
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
func (s *Spool) decideResume(rec *recovery, last damage, whole bool) {
	mark, ours := readMark(s.opts.FS, s.opts.Dir)
	e := s.cur
	if e == nil {
		switch {
		case mark.state != markNone && mark.at != origin:
			rec.changes = append(rec.changes, Change{Kind: TailLost, ID: mark.id, Count: mark.at.seq - 1})
		case !whole:
			rec.changes = append(rec.changes, Change{Kind: TailLost})
		}
		return
	}
	g := e.segs[len(e.segs)-1]
	path := s.path(segmentName(g.ordinal))
	sameBoot := g.boot == s.opts.BootID && g.boot != [16]byte{}
	killed := mark.state == markRunning && sameBoot // all that it had appended is in the page cache
	torn := killed && last.torn && tornWrite(g.size+last.tail)
	bad := last.tail > 0 && !torn
	if torn {
		rec.torn = last.tail
		rec.changes = append(rec.changes, Change{Kind: TornTail, ID: e.id, File: path, Bytes: last.tail})
	}

	var lost uint64 // at least
	ended := mark.state == markClean && mark.id == e.id
	proven := !whole && !ended
	switch {
	case mark.state == markNone:
	case mark.id != e.id:
		proven = true
	case mark.at.n > e.next.n:
		proven, lost = true, mark.at.seq-e.next.seq
		e.endsAt(mark.at)
	}
	for _, c := range s.opts.Delivered {
		if c.ID == e.id && c.Seq >= e.next.seq {
			proven, lost = true, max(lost, c.Seq-e.next.seq+1)
			e.cut = true // the mark knows nothing of them, nor of what came behind
		}
	}
	// A clean mark says where the end was. Of another one nobody knows.
	e.cut = e.cut || !ended && (bad || proven)
	if n := last.inner + last.tail; last.inner > 0 || bad || proven {
		rec.changes = append(rec.changes, Change{Kind: Damaged, ID: e.id, File: path, Bytes: n})
	}

	rec.resume = ours && sameBoot && !bad && !proven &&
		(killed || mark.state == markClean && mark.at == e.next)
	switch {
	case proven, bad && (killed || ended):
		rec.changes = append(rec.changes, Change{Kind: TailLost, ID: e.id, Count: lost})
	case mark.state == markNone && sameBoot:
		rec.changes = append(rec.changes, Change{Kind: MemoryUncertain, ID: e.id})
	case mark.state != markClean && !sameBoot:
		rec.changes = append(rec.changes, Change{Kind: TailUncertain, ID: e.id})
	case !ours:
		rec.changes = append(rec.changes, Change{Kind: Moved, ID: e.id})
	}
}

// tornWrite reports whether a write that did not come to its end may have left a
// file of that size. The kernel heeds a kill between two pages only
// (generic_perform_write in mm/filemap.c, iomap_write_iter in
// fs/iomap/buffered-io.c); a file that ends elsewhere was cut by something else.
func tornWrite(size int64) bool { return size%int64(os.Getpagesize()) == 0 }

// readHeader returns the header of a segment and the size of its file.
func (s *Spool) readHeader(name string) (h header, size int64, err error) {
	f, err := s.opts.FS.OpenFile(s.path(name), os.O_RDONLY|distrust, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link, a socket
		return h, 0, fmt.Errorf("%w: %w", errHeader, err)
	case err != nil:
		return h, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return h, 0, err
	}
	if !info.Mode().IsRegular() {
		return h, 0, fmt.Errorf("%w: not a regular file", errHeader)
	}
	b := make([]byte, headerSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return h, 0, fmt.Errorf("%w: %w", errHeader, err)
	}
	h, err = parseHeader(b)
	return h, info.Size(), err
}

// add puts a segment behind those found before.
func (s *Spool) add(h *header, size int64) error {
	e := s.cur
	if e == nil || e.id != h.id {
		if s.find(h.id) != nil {
			return fmt.Errorf("%w: id %v comes back", errHeader, h.id)
		}
		e = &epoch{id: h.id, prior: h.prior}
		s.link(e)
	} else {
		last := e.segs[len(e.segs)-1]
		if h.first.n < last.first.n || h.first.seq < last.first.seq {
			return fmt.Errorf("%w: the numbers go back", errHeader)
		}
		last.next = h.first
	}
	g := newSegment(h, nil)
	g.size, g.sealed = size, true
	s.attach(e, g)
	e.next = h.first
	return nil
}

// damage is what a scan finds.
type damage struct {
	inner int64 // bytes passed over between sound frames
	tail  int64 // bytes after the last sound frame
	torn  bool  // the tail is the beginning of one frame
}

// scanTail finds the end of the last segment of an epoch.
func (s *Spool) scanTail(e *epoch, g *segment) (d damage, err error) {
	f, err := s.opts.FS.OpenFile(s.path(segmentName(g.ordinal)), os.O_RDONLY, 0)
	if err != nil {
		return d, err
	}
	defer f.Close()
	var sc scanner
	sc.reset(f, e.id, g.first, headerSize, g.size)
	for n := 0; ; n++ {
		at := sc.pos()
		skipped, err := sc.next()
		if err == io.EOF {
			d.tail, d.torn = skipped, sc.torn
			break
		}
		if err != nil {
			// What cannot be read may be there: as damaged as anything.
			d.tail = g.size - sc.good
			break
		}
		d.inner += skipped
		g.next = sc.frame.next()
		if n%1024 == 0 && skipped == 0 {
			g.index = append(g.index, place{sc.frame.at, at})
		}
	}
	s.diskBytes -= g.bytes()
	g.size = sc.good
	s.diskBytes += g.bytes()
	e.next = g.next
	return d, nil
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
	e := &epoch{id: s.mint(), next: origin}
	if s.cur != nil {
		e.prior = s.cur.ended()
	}
	h := s.newHeader(e, origin)
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
	f, err := s.opts.FS.OpenFile(s.path(segmentName(g.ordinal)), os.O_RDWR|distrust, 0)
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
			if f, err := s.opts.FS.OpenFile(s.path(segmentName(old.ordinal)), os.O_RDONLY, 0); err == nil {
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

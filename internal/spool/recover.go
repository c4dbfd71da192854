package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// recovery is what Open finds in the directory, besides the epochs.
type recovery struct {
	changes []Change
	resume  bool  // nothing can have been lost after the last entry: its id goes on
	torn    int64 // bytes to cut off the last segment before it does
}

// recover reads the directory and links an epoch for each id it finds. It
// writes nothing but renames what it cannot read.
func (s *Spool) recover() (*recovery, error) {
	rec := &recovery{}
	names, err := s.opts.FS.ReadDir(s.opts.Dir)
	if err != nil {
		return nil, err
	}
	whole := true // no segment had to be set aside
	for _, n := range names {
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
		if err == nil && size >= headerSize {
			h.ordinal = ordinal
			err = s.add(&h, size)
		}
		switch path := s.path(n.Name()); {
		case errors.Is(err, errHeader), errors.Is(err, errVersion):
			whole = false
			rec.changes = append(rec.changes, Change{Kind: SetAside, File: path, Err: err})
			s.opts.FS.Rename(path, path+asideSuffix) // else it is looked at again next time
		case err != nil:
			return nil, err
		case size < headerSize:
			s.opts.FS.Remove(path) // killed before the header was written: no entry was either
		}
	}
	for e := s.oldest; e != nil; e = e.succ {
		g := e.segs[len(e.segs)-1]
		found, err := s.scanTail(e, g)
		if err != nil {
			return nil, err
		}
		if e != s.cur {
			e.cut = found.tail > 0
			continue
		}
		sameBoot := g.boot == s.opts.BootID && g.boot != [16]byte{}
		end, mark := readMark(s.opts.FS, s.opts.Dir)
		clean := mark == markClean && end == (Cursor{e.id, e.next.seq - 1}) && found.tail == 0
		short := mark == markClean && !clean      // it ended cleanly, but not here
		killed := mark == markRunning && sameBoot // all that it had appended is in the page cache
		rec.resume = whole && (clean || killed && (found.tail == 0 || found.torn))
		path := s.path(segmentName(g.ordinal))
		harmless := found.torn && killed // the write was not over: nobody was told it had been appended
		if bad := found.inner + found.tail; short || bad > 0 && !(harmless && found.inner == 0) {
			rec.changes = append(rec.changes, Change{Kind: Damaged, ID: e.id, File: path, Bytes: bad})
		}
		if harmless {
			rec.torn = found.tail
			rec.changes = append(rec.changes, Change{Kind: TornTail, ID: e.id, File: path, Bytes: found.tail})
		}
		e.cut = short || found.tail > 0 && !harmless
		switch {
		case clean:
		case !sameBoot:
			rec.changes = append(rec.changes, Change{Kind: TailUncertain, ID: e.id})
		case mark == markNone:
			rec.changes = append(rec.changes, Change{Kind: MemoryUncertain, ID: e.id})
		}
	}
	return rec, nil
}

// readHeader returns the header of a segment and the size of its file; the
// header only if the file is large enough.
func (s *Spool) readHeader(name string) (h header, size int64, err error) {
	f, err := s.opts.FS.OpenFile(s.path(name), os.O_RDONLY, 0)
	if err != nil {
		return h, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < headerSize {
		return h, 0, err
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
		e = &epoch{id: h.id}
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
			g.marks = append(g.marks, mark{sc.frame.at, at})
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
	s.doomed = nil
	if rec.resume {
		return s.resume(rec.torn)
	}
	h := s.newHeader(s.mint(), origin)
	f, err := s.newFile(h)
	if err != nil {
		return err
	}
	e := &epoch{id: h.id, next: origin}
	s.attach(e, newSegment(h, f))
	s.link(e)
	s.writer = startWriter(s.opts.FS, s.opts.Dir, f)
	return nil
}

// resume goes on with the newest id: in its last segment if that is of this
// boot, so that many restarts do not make many files, else in a new one.
func (s *Spool) resume(torn int64) error {
	e := s.cur
	g := e.segs[len(e.segs)-1]
	if g.boot != s.opts.BootID {
		h := s.newHeader(e.id, e.next)
		f, err := s.newFile(h)
		if err != nil {
			return err
		}
		s.attach(e, newSegment(h, f))
		s.writer = startWriter(s.opts.FS, s.opts.Dir, f)
		return nil
	}
	f, err := s.opts.FS.OpenFile(s.path(segmentName(g.ordinal)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if torn > 0 {
		err = f.Truncate(g.size)
	}
	if err == nil {
		err = markRun(s.opts.FS, s.opts.Dir)
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

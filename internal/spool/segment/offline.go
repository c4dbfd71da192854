package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// ErrNoSpool is returned by OpenOffline for a directory without any segment.
var ErrNoSpool = errors.New("no spool is in this directory")

// ErrUnclosed is the reason of the gap that an [Offline] tells at its end when
// the spool was not closed in order, so that its newest entries may be missing.
var ErrUnclosed = errors.New("the spool was not closed in order")

// Offline reads the entries of a spool directory that somebody else may write:
// it takes no lock, changes nothing, and needs only the right to read the
// files. It gets what was there when it was opened, and of the segment that is
// being written also what comes until it gets there. It is for one goroutine.
//
// What it can rely on beside a running spool: a file only grows, but for the
// end that was never published; the mark says that it runs while entries
// go to the disk; a segment that disappears was given up for newer ones.
type Offline struct {
	// Attachments says that attachments are wanted too. It is set before the
	// first call of Next. They come as Start.Attachments says.
	Attachments bool

	dir   string
	since int64 // pass over older entries until one is not

	boot [16]byte // of the running kernel
	mark Mark

	todo     []string        // names of segments that come next
	file     atomicfile.File // being read; nil between two
	head     Header          // of the segment read last
	frames   Reader
	next     Point     // expected in head.id; zero before the first segment
	gap      *GapError // to be told next
	why      error     // what damaged the entries after the last one; nil when nothing did
	vanished bool      // a segment was given up since the last one
	over     bool
	entry    Entry
}

// OpenOffline opens the spool in dir for reading, from the first entry received
// at since or later, or from the oldest with a zero time. boot is the id of the
// running boot, all zero when it is not known: it tells a process that was
// killed a moment ago from a machine that lost power. The error is ErrNoSpool,
// or says why nothing in dir can be read. Close must be called, unless there is
// an error.
func OpenOffline(dir string, boot [16]byte, since time.Time) (*Offline, error) {
	o := &Offline{dir: dir, boot: boot, since: math.MinInt64}
	// The mark before the names: what the spool does meanwhile adds entries to
	// those that the mark speaks of.
	o.mark, _ = ReadMark(atomicfile.OS{}, dir)
	if err := o.list(""); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if len(o.todo) == 0 {
		return nil, fmt.Errorf("open spool: %s: %w", dir, ErrNoSpool)
	}
	if err := o.readable(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if !since.IsZero() {
		o.since = since.UnixNano()
		o.skipBefore(o.since)
	}
	return o, nil
}

// list finds the segments that come after the one of that name.
func (o *Offline) list(after string) error {
	names, err := os.ReadDir(o.dir) // sorted
	for _, n := range names {
		if _, ok := ParseName(n.Name()); ok && n.Name() > after {
			o.todo = append(o.todo, n.Name())
		}
	}
	return err
}

// readable returns why no segment can be read: that is no loss, but a reader
// without the right to, or of another release.
func (o *Offline) readable() (why error) {
	for _, name := range o.todo {
		f, _, _, err := Open(atomicfile.OS{}, filepath.Join(o.dir, name))
		switch {
		case err == nil:
			f.Close()
			return nil
		case !errors.Is(err, os.ErrNotExist):
			why = err
		}
	}
	return why
}

// skipBefore leaves out the segments that are followed by one made at time t or
// before.
func (o *Offline) skipBefore(t int64) {
	for i := 1; i < len(o.todo); i++ {
		f, h, _, err := Open(atomicfile.OS{}, filepath.Join(o.dir, o.todo[i]))
		if err != nil {
			continue
		}
		f.Close()
		if h.Created > t {
			o.todo = o.todo[i-1:]
			return
		}
	}
	o.todo = o.todo[len(o.todo)-1:]
}

// Close releases what o holds.
func (o *Offline) Close() error {
	o.over = true
	o.leave()
	return nil
}

func (o *Offline) leave() {
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
}

// Next returns the next entry, a *GapError where entries are missing, and io.EOF
// behind the last. The entry and its data live until the next call.
func (o *Offline) Next() (*Entry, error) {
	for {
		switch {
		case o.gap != nil:
			gap := o.gap
			o.gap = nil
			return nil, gap
		case o.over:
			return nil, io.EOF
		case o.file == nil:
			o.advance()
			continue
		}
		f := o.frame()
		switch {
		case f == nil, f.Attachment && !o.Attachments:
			continue
		case o.since == math.MinInt64:
		case f.Attachment || f.Time < o.since:
			continue
		}
		o.since = math.MinInt64
		o.entry.ID, o.entry.BootID = o.head.ID, o.head.Boot
		o.entry.Set(f)
		return &o.entry, nil
	}
}

// frame returns the next frame of the open segment, nil when a gap comes first, or
// the segment is over.
func (o *Offline) frame() *Frame {
	f, hole, err := o.frames.Next()
	switch {
	case err != nil:
		if err != io.EOF {
			o.why = err
		} else if rest := o.frames.rest(); rest.Tail > 0 && !o.beingWritten(rest) {
			o.why = ErrDamaged
		}
		o.leave()
	case hole != nil:
		o.setGap(hole.To, hole.Err)
	default:
		o.next = f.Next()
	}
	return f
}

// beingWritten reports whether the unfinished frame at the end of the segment
// is one that nobody was told of yet: a write that goes on just now, or that
// ended with the process.
func (o *Offline) beingWritten(rest Damage) bool {
	return rest.Torn && len(o.todo) == 0 && o.alive() && TornWrite(o.frames.scan.limit)
}

// alive reports whether all that was appended is in the files, although the
// spool was not closed: the page cache outlives a process, but not a boot.
func (o *Offline) alive() bool {
	return o.mark.State == MarkRunning && o.head.Boot == o.boot && o.boot != [16]byte{}
}

// whole reports whether the newest entries are among those that were read.
func (o *Offline) whole() bool {
	switch {
	case o.vanished:
		return false
	case o.head.ID == o.mark.ID:
		return o.next.N >= o.mark.At.N && (o.alive() || o.mark.State == MarkClean)
	}
	// Since the mark was read, the spool may have begun another id.
	o.mark, _ = ReadMark(atomicfile.OS{}, o.dir)
	return o.head.ID == o.mark.ID && o.alive()
}

// setGap makes the frames from the next one to the one before to a gap, if any of
// them is wanted.
func (o *Offline) setGap(to Point, why error) {
	gap := &GapError{
		ID: o.head.ID, First: o.next.Seq, Last: to.Seq - 1, Count: to.Seq - o.next.Seq, Known: true,
		Attachments: o.next.Attachments(to), Err: why,
	}
	if gap.Count > 0 || o.Attachments {
		o.gap = gap
	}
	o.next = to
}

// tellRest makes all that may follow under the id read last a gap of unknown
// size.
func (o *Offline) tellRest(why error) {
	o.gap = &GapError{ID: o.head.ID, First: o.next.Seq, Err: why}
}

// advance opens the next segment, and finds out what is missing before it.
func (o *Offline) advance() {
	if len(o.todo) == 0 {
		o.over = true
		if o.why != nil || !o.whole() {
			o.tellRest(cmp.Or(o.why, ErrUnclosed))
		}
		return
	}
	name := o.todo[0]
	f, h, size, err := Open(atomicfile.OS{}, filepath.Join(o.dir, name))
	switch {
	case errors.Is(err, os.ErrNotExist):
		o.vanished = true
	case err != nil:
		o.why = err
	}
	o.todo = o.todo[1:]
	if o.vanished && len(o.todo) == 0 { // for newer ones, made since the names were read
		if err := o.list(name); err != nil {
			o.why = err
		}
	}
	if err != nil {
		return
	}
	o.missing(&h)
	o.file, o.head, o.next, o.why, o.vanished = f, h, h.First, nil, false
	o.frames.Reset(f, h.ID, Place{h.First, HeaderSize}, h.First, allFrames, size)
}

// missing tells what should have been between the segment read last and the one
// with header h. What was before the first one is not missed.
func (o *Offline) missing(h *Header) {
	switch {
	case o.next == Point{}:
		if o.why != nil {
			o.gap = &GapError{ID: h.ID, First: h.First.Seq, Err: o.why}
		}
	case h.ID == o.head.ID:
		if h.First.N > o.next.N {
			o.setGap(h.First, o.why)
		}
	case o.why != nil || o.vanished:
		o.tellRest(o.why)
	case h.Prior.ID != o.head.ID || h.Prior.End.N == Uncertain:
		o.tellRest(ErrDamaged)
	case h.Prior.End.N > o.next.N:
		o.setGap(h.Prior.End, ErrDamaged)
	case h.First.Seq > 1:
		o.gap = &GapError{ID: h.ID, First: 1, Last: h.First.Seq - 1, Count: h.First.Seq - 1, Known: true}
	}
}

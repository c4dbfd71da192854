package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"
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
	mark note

	todo     []string // names of segments that come next
	file     File     // being read; nil between two
	head     header   // of the segment read last
	scan     scanner
	next     point     // expected in head.id; zero before the first segment
	holds    bool      // the frame of scan was read, but a gap had to be told before it
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
	o.mark, _ = readMark(osFS{}, dir)
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
		if _, ok := parseSegmentName(n.Name()); ok && n.Name() > after {
			o.todo = append(o.todo, n.Name())
		}
	}
	return err
}

// readable returns why no segment can be read: that is no loss, but a reader
// without the right to, or of another release.
func (o *Offline) readable() (why error) {
	for _, name := range o.todo {
		f, _, err := o.openSegment(name)
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
		f, h, err := o.openSegment(o.todo[i])
		if err != nil {
			continue
		}
		f.Close()
		if h.created > t {
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
		f, ok := o.frame()
		switch {
		case !ok, f.attachment && !o.Attachments:
			continue
		case o.since == math.MinInt64:
		case f.attachment || f.time < o.since:
			continue
		}
		o.since = math.MinInt64
		o.entry.ID, o.entry.BootID = o.head.id, o.head.boot
		o.entry.set(f)
		return &o.entry, nil
	}
}

// frame returns the next frame of the open segment. It reports false when a gap
// comes first, or the segment is over.
func (o *Offline) frame() (*frame, bool) {
	f := &o.scan.frame
	if !o.holds {
		if skipped, err := o.scan.next(); err != nil {
			if err != io.EOF {
				o.why = err
			} else if skipped > 0 && !o.beingWritten() {
				o.why = ErrDamaged
			}
			o.leave()
			return f, false
		}
	}
	o.holds = false
	if f.at.n > o.next.n {
		o.setGap(f.at, ErrDamaged)
		o.holds = true
		return f, false
	}
	o.next = f.next()
	return f, true
}

// beingWritten reports whether the unfinished frame at the end of the segment
// is one that nobody was told of yet: a write that goes on just now, or that
// ended with the process.
func (o *Offline) beingWritten() bool {
	return o.scan.torn && len(o.todo) == 0 && o.alive() && tornWrite(o.scan.limit)
}

// alive reports whether all that was appended is in the files, although the
// spool was not closed: the page cache outlives a process, but not a boot.
func (o *Offline) alive() bool {
	return o.mark.state == markRunning && o.head.boot == o.boot && o.boot != [16]byte{}
}

// whole reports whether the newest entries are among those that were read.
func (o *Offline) whole() bool {
	switch {
	case o.vanished:
		return false
	case o.head.id == o.mark.id:
		return o.next.n >= o.mark.at.n && (o.alive() || o.mark.state == markClean)
	}
	// Since the mark was read, the spool may have begun another id.
	o.mark, _ = readMark(osFS{}, o.dir)
	return o.head.id == o.mark.id && o.alive()
}

// setGap makes the frames from the next one to the one before to a gap, if any of
// them is wanted.
func (o *Offline) setGap(to point, why error) {
	gap := &GapError{
		ID: o.head.id, First: o.next.seq, Last: to.seq - 1, Count: to.seq - o.next.seq, Known: true,
		Attachments: o.next.attachments(to), Err: why,
	}
	if gap.Count > 0 || o.Attachments {
		o.gap = gap
	}
	o.next = to
}

// tellRest makes all that may follow under the id read last a gap of unknown
// size.
func (o *Offline) tellRest(why error) {
	o.gap = &GapError{ID: o.head.id, First: o.next.seq, Err: why}
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
	f, h, err := o.openSegment(name)
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
	info, err := f.Stat()
	if err != nil {
		f.Close()
		o.why = err
		return
	}
	o.missing(&h)
	o.file, o.head, o.next, o.why, o.vanished = f, h, h.first, nil, false
	o.scan.reset(f, h.id, h.first, headerSize, info.Size())
}

// missing tells what should have been between the segment read last and the one
// with header h. What was before the first one is not missed.
func (o *Offline) missing(h *header) {
	switch {
	case o.next == point{}:
		if o.why != nil {
			o.gap = &GapError{ID: h.id, First: h.first.seq, Err: o.why}
		}
	case h.id == o.head.id:
		if h.first.n > o.next.n {
			o.setGap(h.first, o.why)
		}
	case o.why != nil || o.vanished:
		o.tellRest(o.why)
	case h.prior.id != o.head.id || h.prior.end.n == uncertain:
		o.tellRest(ErrDamaged)
	case h.prior.end.n > o.next.n:
		o.setGap(h.prior.end, ErrDamaged)
	case h.first.seq > 1:
		o.gap = &GapError{ID: h.id, First: 1, Last: h.first.seq - 1, Count: h.first.seq - 1, Known: true}
	}
}

// distrust are flags for files of which nobody knows who put them there: the
// reader may be root, and the directory that of a user. Opening a FIFO would
// wait for a writer, and a device may do anything.
const distrust = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// openSegment opens a segment and reads its header.
func (o *Offline) openSegment(name string) (f File, h header, err error) {
	f, err = osFS{}.OpenFile(filepath.Join(o.dir, name), os.O_RDONLY|distrust, 0)
	if err != nil {
		return nil, h, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: %w", filepath.Join(o.dir, name), errHeader)
	default:
		b := make([]byte, headerSize)
		if _, err = f.ReadAt(b, 0); err == io.EOF {
			err = errHeader
		}
		if err == nil {
			h, err = parseHeader(b)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", filepath.Join(o.dir, name), err)
		}
	}
	if err != nil {
		f.Close()
		return nil, h, err
	}
	return f, h, nil
}

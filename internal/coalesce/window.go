package coalesce

import (
	"bytes"
	"container/list"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// What a window and a name in it take beside their texts, in bytes.
const (
	windowSize = 512
	commSize   = 64
)

// Coalescer counts the accesses of a kind that follow one that was written. It
// has a window for each kind, which ends some time after that first one, by the
// clock or by the stamp of another access of the kind. What was counted then
// makes one event, and the next access is a first one again.
//
// To count an entry is as good as to write it, so it has to be undone when a
// batch fails: every step is noted until the batch is flushed.
type Coalescer struct {
	length time.Duration
	most   int // bytes
	emit   Emit

	windows map[string]*window
	order   list.List // of all windows: the one that ends first is in front
	counted list.List // of those that have counted: by the first entry
	size    int       // bytes, about
	key     []byte    // of the kind that was looked for last

	batch    uint64 // grows with each commit and rollback
	undo     []step // of this batch; the newest is the last
	decoder  entry.Decoder
	event    ipe.Event // what release returns; views decoder and a window
	identity format.Identity
}

// window is a kind of access that was seen.
type window struct {
	key  string
	open time.Time // by the clock
	time int64     // stamp of the first access, milliseconds since 1970
	size int

	tally
	noted uint64 // batch in which an undo of tally was noted
	pids  pidSet
	comms map[string]struct{}

	inOrder, inCounted *list.Element // nil: not there
}

// tally is what was counted in a window. What it points to is never changed.
type tally struct {
	count       uint64
	first, last spool.Cursor
	stamped     bool // all of them
	since       int64
	until       int64

	// The first entry, for what all have in common.
	entry  spool.Entry
	policy ipe.Policy

	// Its process, as long as it is that of all.
	pid   uint64
	noPID bool
	comm  []byte // nil: not the same, or not known
}

// step is something that may have to be undone.
type step struct {
	kind stepKind
	w    *window
	was  *tally // stepCount
	pid  uint64 // stepPID
	comm string // stepComm
}

type stepKind uint8

const (
	stepOpen stepKind = iota
	stepClose
	stepCount
	stepPID
	stepComm
)

// find returns the window of the kind of ev, or nil.
func (c *Coalescer) find(ev *ipe.Event, id *format.Identity) *window {
	c.key = appendKind(c.key[:0], ev, id)
	return c.windows[string(c.key)]
}

// over reports whether a window ended before ev, by its stamp.
func (c *Coalescer) over(w *window, ev *ipe.Event) bool {
	return ev.Time-w.time >= c.length.Milliseconds()
}

// begin opens a window behind ev, whose kind was looked for last.
func (c *Coalescer) begin(ev *ipe.Event, now time.Time) {
	w := &window{key: string(c.key), open: now, time: ev.Time, size: windowSize + len(c.key)}
	c.insert(w)
	c.undo = append(c.undo, step{kind: stepOpen, w: w})
}

// count counts an access of the window's kind.
func (c *Coalescer) count(w *window, e *spool.Entry, ev *ipe.Event) {
	if w.noted != c.batch {
		was := w.tally
		c.undo = append(c.undo, step{kind: stepCount, w: w, was: &was})
		w.noted = c.batch
	}
	before := w.size
	t := &w.tally
	if t.count == 0 {
		*t = tally{
			first: e.Cursor(), stamped: true, since: ev.Time, until: ev.Time,
			entry: *e, policy: ev.ActivePolicy,
			pid: ev.PID, comm: slices.Clone(ev.Comm),
		}
		t.entry.Data, t.entry.Attachments = slices.Clone(e.Data), nil // they are of one access
		w.size += len(t.entry.Data)
		w.inCounted = insert(&c.counted, w, func(other *window) bool { return other.first.Seq > w.first.Seq })
	}
	t.count++
	t.last = e.Cursor()
	t.stamped = t.stamped && ev.Has&ipe.HasStamp != 0
	t.since, t.until = min(t.since, ev.Time), max(t.until, ev.Time)
	if ev.Has&ipe.HasPID == 0 || ev.PID != t.pid {
		t.noPID = true
	}
	if ev.Comm == nil || !bytes.Equal(ev.Comm, t.comm) {
		t.comm = nil
	}
	if ev.Has&ipe.HasPID != 0 {
		added, grown := w.pids.add(ev.PID)
		if added {
			c.undo = append(c.undo, step{kind: stepPID, w: w, pid: ev.PID})
		}
		w.size += grown
	}
	if _, known := w.comms[string(ev.Comm)]; ev.Comm != nil && !known {
		comm := string(ev.Comm)
		if w.comms == nil {
			w.comms = make(map[string]struct{})
		}
		w.comms[comm] = struct{}{}
		c.undo = append(c.undo, step{kind: stepComm, w: w, comm: comm})
		w.size += commSize + len(comm)
	}
	c.size += w.size - before
}

// release closes a window and returns the event of what it has counted, nil if
// that is nothing. Then c.identity says of which spool, host and boot. Both live until
// the next call.
func (c *Coalescer) release(w *window) *ipe.Event {
	c.remove(w)
	c.undo = append(c.undo, step{kind: stepClose, w: w})
	if w.count == 0 {
		return nil
	}
	ev, t := &c.event, &w.tally
	c.decoder.Decode(ev, &c.identity, &t.entry)
	c.identity.Seq = 0 // it is no entry of the spool
	*ev = ipe.Event{
		Kind: ipe.KindRepeated, Has: ev.Has & ipe.HasIno,
		Verdict: ev.Verdict, Op: ev.Op, Hook: ev.Hook, Path: ev.Path, Dev: ev.Dev, Ino: ev.Ino,
		Rule: ev.Rule, RuleKind: ev.RuleKind, Action: ev.Action, RuleProperties: ev.RuleProperties,
		Enforcing: ev.Enforcing, ActivePolicy: t.policy, Comm: t.comm, Extra: ev.Extra[:0],
		Count: t.count, FirstSeq: t.first.Seq, LastSeq: t.last.Seq,
		PIDs: w.pids.n, Comms: uint64(len(w.comms)),
	}
	ev.Has |= ipe.HasCount | ipe.HasSeqRange
	if t.stamped {
		ev.Has |= ipe.HasStamp | ipe.HasSince | ipe.HasUntil
		ev.Time, ev.Since, ev.Until = t.until, t.since, t.until
	}
	if !t.noPID {
		ev.PID, ev.Has = t.pid, ev.Has|ipe.HasPID
	}
	return ev
}

// Commit says that all that was written is delivered: what was done so far stays.
func (c *Coalescer) Commit() {
	clear(c.undo) // they hold on to windows
	c.undo = c.undo[:0]
	c.batch++
}

// Rollback undoes everything since the last Commit.
func (c *Coalescer) Rollback() {
	for _, s := range slices.Backward(c.undo) {
		w := s.w
		switch s.kind {
		case stepOpen:
			c.remove(w)
		case stepClose:
			c.insert(w)
		case stepCount:
			if s.was.count == 0 {
				c.counted.Remove(w.inCounted)
				w.inCounted = nil
				w.size -= len(w.entry.Data)
				c.size -= len(w.entry.Data)
			}
			w.tally = *s.was
		case stepPID:
			w.pids.remove(s.pid)
		case stepComm:
			delete(w.comms, s.comm)
			w.size -= commSize + len(s.comm)
			c.size -= commSize + len(s.comm)
		}
	}
	c.Commit()
}

// insert makes w one of the windows, remove takes it away.
func (c *Coalescer) insert(w *window) {
	c.windows[w.key] = w
	c.size += w.size
	w.inOrder = insert(&c.order, w, func(other *window) bool { return other.open.After(w.open) })
	if w.count > 0 {
		w.inCounted = insert(&c.counted, w, func(other *window) bool { return other.first.Seq > w.first.Seq })
	}
}

func (c *Coalescer) remove(w *window) {
	delete(c.windows, w.key)
	c.size -= w.size
	c.order.Remove(w.inOrder)
	if w.inCounted != nil {
		c.counted.Remove(w.inCounted)
	}
	w.inOrder, w.inCounted = nil, nil
}

func front(l *list.List) *window {
	if l.Len() == 0 {
		return nil
	}
	return l.Front().Value.(*window)
}

// insert puts w in front of those at the end that come behind it: none, but
// where something is undone.
func insert(l *list.List, w *window, behind func(*window) bool) *list.Element {
	for e := l.Back(); e != nil; e = e.Prev() {
		if !behind(e.Value.(*window)) {
			return l.InsertAfter(w, e)
		}
	}
	return l.PushFront(w)
}

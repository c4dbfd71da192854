package activepolicy

import (
	"bytes"
	"sync"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Annotator marks the records of a stream, on their way to the spool, with the
// number of the policy in force: an access with that of the policy that judged
// it, any other record with that of the one in force after it. So the newest
// entry always tells how things stood at the end.
//
// It may be used by any goroutine.
type Annotator struct {
	table *Table
	spool Appender
	wants chan struct{}

	mu      sync.Mutex // held while something is appended, so that the order is that of the spool
	tracker Tracker
	decoder entry.Decoder
	event   ipe.Event
	id      format.Identity
	entry   spool.Entry // what a record will be
	host    []byte      // of the imported record before
	boot    []byte
	policy  *ipe.Policy // in force; nil if that is not known
	number  uint16      // of policy
}

// Appender is the side of the spool that an Annotator needs.
type Appender interface {
	Append([]spool.Record) spool.Cursor
}

// NewAnnotator returns an Annotator that knows nothing yet, and numbers policies by
// the table, which nobody else may do then.
func NewAnnotator(s Appender, t *Table) *Annotator {
	return &Annotator{table: t, spool: s, wants: make(chan struct{}, 1)}
}

// Append marks the records, and appends them to the spool. The kernel's must be
// IPE's. It allocates only where a policy changes.
func (w *Annotator) Append(recs []spool.Record) spool.Cursor {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.annotate(recs, true)
	return w.spool.Append(recs)
}

// Annotate is Append for records of a file, which may be of several boots, and which
// the caller appends himself, next.
func (w *Annotator) Annotate(recs []spool.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.annotate(recs, false)
}

// Resume says that the records follow, without a hole, an entry that has this
// number. It reports whether that tells anything.
func (w *Annotator) Resume(number uint16) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.table.Policy(number)
	if p != nil {
		w.tracker.Resume(p)
		w.update()
	}
	return p != nil
}

// Read is [Tracker.SetSnapshot].
func (w *Annotator) Read(p *ipe.Policy, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tracker.SetSnapshot(p, at)
}

// Lost is [Tracker.Lost]. Records that are appended after it returns are marked
// without what the loss made doubtful.
func (w *Annotator) Lost(noticed int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tracker.Lost(noticed)
	w.update()
	w.requestRefresh()
}

// State returns what is in force now, as far as that is known.
func (w *Annotator) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tracker.State()
}

// Renumber asks the table again for a number that it did not give.
func (w *Annotator) Renumber() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.number == 0 {
		w.number = w.table.Number(w.policy)
	}
}

// NeedsRefresh has a token when a loss or records came while nothing was known, nor
// read: now a reading of securityfs would help.
func (w *Annotator) NeedsRefresh() <-chan struct{} { return w.wants }

// annotate looks at accesses of the running kernel only where that can tell something.
func (w *Annotator) annotate(recs []spool.Record, live bool) {
	for i := range recs {
		r := &recs[i]
		if r.Attachment {
			continue
		}
		off := r.Context & entry.ContextOff
		r.Context = w.number | off
		if r.Type == entry.TypeInternal || live && r.Type == ipe.TypeAccess && w.tracker.Settled() {
			continue
		}
		w.entry.Type, w.entry.Data = r.Type, r.Data
		if w.decoder.Decode(&w.event, &w.id, &w.entry) != ipe.ClassIPE {
			continue
		}
		said := false // what judged it
		if r.Type == entry.TypeImported {
			im, _ := entry.ParseImported(r.Data)
			said = im.Type == entry.TypeInternal
			if w.elsewhere() {
				w.tracker.Forget()
			}
		}
		p := w.tracker.Observe(&w.event)
		w.update()
		r.Context = off
		if p != nil && !said {
			r.Context |= w.number
		}
	}
	if len(recs) > 0 {
		w.requestRefresh()
	}
}

// elsewhere reports whether the event is of another host or boot than the one
// before.
func (w *Annotator) elsewhere() bool {
	if bytes.Equal(w.host, w.id.Host) && bytes.Equal(w.boot, w.id.BootID) {
		return false
	}
	w.host, w.boot = append(w.host[:0], w.id.Host...), append(w.boot[:0], w.id.BootID...)
	return true
}

// requestRefresh asks for a reading where it would help.
func (w *Annotator) requestRefresh() {
	if !w.tracker.ignorant() {
		return
	}
	select {
	case w.wants <- struct{}{}:
	default:
	}
}

// update finds the number of the policy that the tracker has now.
func (w *Annotator) update() {
	if p := w.tracker.now.policy; p != w.policy {
		w.policy, w.number = p, w.table.Number(p)
	}
}

package sink

import (
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// State is how a runner fares.
type State uint8

// The states.
const (
	Starting State = iota // nothing was opened yet
	OK                    // delivered everything, or the last batch
	Retrying              // the last attempt failed
	Stopped               // Run returned
)

// String returns the state in lower case, as status and metrics show it.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case OK:
		return "ok"
	case Retrying:
		return "retrying"
	case Stopped:
		return "stopped"
	}
	return ""
}

// Counts counts since the start of the runner. Entries are counted when they
// are flushed, so each one once, however often it was tried.
type Counts struct {
	Delivered    uint64 // events, those included that tell of a gap
	Unmatched    uint64 // entries that the sink did not ask for
	Skipped      uint64 // entries that are no event, as a later decoder may see it
	Unparsed     uint64 // entries that are IPE's, but could not be read
	Overwritten  uint64 // entries that the spool gave up, where the number is known
	Gaps         uint64 // how often it gave up any
	Coalesced    uint64 // accesses that were counted instead of delivered
	EarlyFlushes uint64 // events "repeated" that came before their time, because there were too many kinds
	Failures     uint64 // of Open, Write, Flush, Close, or of reading the spool
	SaveErrors   uint64 // cursors that could not be saved
}

// Status is a snapshot of a runner.
type Status struct {
	State State
	Since time.Time // when the state began

	Cursor    spool.Cursor // everything up to it is delivered, or counted
	Kept      spool.Cursor // everything up to it is delivered: where another runner goes on
	EntryTime time.Time    // when the entry at Cursor was received; zero before the first

	LastDelivery  time.Time // of the last flush; zero before the first
	LastError     error     // nil if there was none; stays after the recovery
	LastErrorTime time.Time
	SaveError     error // of the last save, nil if it succeeded

	Counts
}

// Status returns how the runner fares. It may be called from any goroutine.
func (r *Runner) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.status
	if r.undelivering != nil {
		n := r.undelivering.Undelivered()
		// What is being flushed is among them, and not among the delivered ones yet.
		r.shown = max(r.shown, st.Delivered-min(st.Delivered, n))
		st.Delivered = r.shown
	}
	return st
}

// change moves to another state, or notes another failure in the same one.
// Only Run's goroutine changes the state, so it may read it without the lock.
func (r *Runner) change(to State, err error) {
	r.mu.Lock()
	now := time.Now()
	changed := r.status.State != to
	if changed {
		r.status.State, r.status.Since = to, now
	}
	if err != nil {
		r.status.LastError, r.status.LastErrorTime = err, now
		r.status.Failures++
	}
	snapshot := r.status
	r.mu.Unlock()
	if changed && r.config.OnChange != nil {
		r.config.OnChange(snapshot)
	}
}

// passed counts the batch.
func (r *Runner) passed() {
	b := &r.batch
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Cursor, r.status.Kept = r.cursor, r.kept()
	if b.time != 0 {
		r.status.EntryTime = time.Unix(0, b.time)
	}
	if b.counts.Delivered > 0 {
		r.status.LastDelivery = time.Now()
	}
	r.status.Delivered += b.counts.Delivered
	r.status.Unmatched += b.counts.Unmatched
	r.status.Skipped += b.counts.Skipped
	r.status.Unparsed += b.counts.Unparsed
	r.status.Overwritten += b.counts.Overwritten
	r.status.Gaps += b.counts.Gaps
	r.status.Coalesced += b.counts.Coalesced
	r.status.EarlyFlushes += b.counts.EarlyFlushes
}

// saved notes the outcome of a save. It is called from the saver's goroutine.
func (r *Runner) saved(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.SaveError = err
	if err != nil {
		r.status.SaveErrors++
	}
}

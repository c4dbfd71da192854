package report

import (
	"math"

	"github.com/ipe-auditd/ipe-auditd/internal/history"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Report sums up events. The zero Report has seen none. One goroutine at a time
// may use it.
type Report struct {
	// Origin says where the events come from, and Since from when on they were
	// asked for, in milliseconds since 1970 UTC; 0: all.
	Origin string
	Since  int64

	events   uint64
	verdicts [5]uint64 // by ipe.Verdict
	unparsed uint64
	forged   uint64
	skipped  int64 // entries that the source leaves out
	lost     loss
	errors   []string

	// Unread is what was not read of the sources.
	Unread Unread

	first, last int64 // times of the events that have one, with timed
	timed       bool

	inForce inforce.State
	changed int64 // when the policy in force became that, with dated
	dated   bool

	groups   Groups
	timeline timeline
}

// loss adds up what was lost.
type loss struct {
	events   uint64 // of ours that tell of losses
	count    uint64
	accuracy ipe.Accuracy
}

// maxErrors bounds the errors that a report names.
const maxErrors = 100

// Add takes the next event.
func (r *Report) Add(ev *history.Event) {
	r.events++
	r.skipped += ev.Skipped
	if ev.Has&ipe.HasStamp != 0 {
		if !r.timed {
			r.first, r.last, r.timed = ev.Time, ev.Time, true
		}
		r.first, r.last = min(r.first, ev.Time), max(r.last, ev.Time)
	}
	r.follow(ev)
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		n := Times(&ev.Event)
		r.verdicts[ev.Verdict] = Sum(r.verdicts[ev.Verdict], n)
		if ev.Action == ipe.ActionDeny {
			r.groups.Add(&ev.Event, n)
		}
		return
	case ipe.KindUnparsed:
		r.unparsed++
	case ipe.KindForged:
		r.forged = Sum(r.forged, ev.Count)
	case ipe.KindLost:
		r.lost.add(&ev.Event)
	}
	r.timeline.add(ev)
}

// Times returns how many accesses ev tells of: those that a "repeated" has
// counted, or one.
func Times(ev *ipe.Event) uint64 {
	if ev.Kind == ipe.KindRepeated {
		return ev.Count
	}
	return 1
}

// Fail takes an error that ended a source too early.
func (r *Report) Fail(err error) {
	r.Unread.Fail(err)
	if len(r.errors) < maxErrors {
		r.errors = append(r.errors, err.Error())
	}
}

func (l *loss) add(ev *ipe.Event) {
	if ev.Has&ipe.HasCount != 0 && ev.Count == 0 {
		return // the spool is in memory, and nothing is lost by that yet
	}
	l.events++
	l.accuracy = max(l.accuracy, ev.Accuracy, ipe.AccuracyExact)
	if ev.Has&ipe.HasCount == 0 {
		l.accuracy = ipe.AccuracyUnknown
	}
	l.count = Sum(l.count, ev.Count)
}

// follow keeps what is in force, and since when.
func (r *Report) follow(ev *history.Event) {
	is := &ev.InForce
	r.inForce.Enforcing = is.Enforcing
	if is.Known == r.inForce.Known && is.Active == r.inForce.Active && is.Policy.Equal(&r.inForce.Policy) {
		return
	}
	r.inForce = *is
	r.inForce.Policy = is.Policy.Clone()
	r.changed, r.dated = ev.Time, ev.Has&ipe.HasStamp != 0
}

// Sum returns a + b, or the highest number where that is higher: a count from a
// file may be any, and a loss must not become small by another one.
func Sum(a, b uint64) uint64 {
	if a+b < a {
		return math.MaxUint64
	}
	return a + b
}

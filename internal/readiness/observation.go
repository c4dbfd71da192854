package readiness

import (
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Observed is for how long accesses were watched, by the mode in which IPE was.
// Time in which nobody listened, in which the mode is not known, or in which no
// policy was in force, does not count.
type Observed struct {
	Permissive, Enforcing time.Duration
}

func (o *Observed) total() time.Duration { return o.Permissive + o.Enforcing }

// observation adds up the time between events.
type observation struct {
	since, now int64 // the window, in milliseconds since 1970 UTC
	sum        Observed

	last  int64 // time of the newest event, with timed
	timed bool
	state activepolicy.State // behind it
	deaf  bool               // the daemon has stopped
}

// add takes the next event. Before a start nobody knows for how long nobody
// listened, unless the end of the process before is told.
func (o *observation) add(ev *eventsource.Event) {
	if ev.Kind == ipe.KindStarted {
		o.deaf = true
	}
	if ev.Has&ipe.HasStamp != 0 && ev.Time <= o.now {
		o.until(ev.Time)
	}
	o.state.Known, o.state.Active, o.state.Enforcing = ev.InForce.Known, ev.InForce.Active, ev.InForce.Enforcing
	switch ev.Kind {
	case ipe.KindStopped:
		o.deaf = true
	case ipe.KindStarted:
		o.deaf = false
	}
}

// reboot begins another boot, of which nothing is known yet.
func (o *observation) reboot() {
	o.timed, o.deaf, o.state = false, false, activepolicy.State{}
}

// until says that nothing happened up to t. Times that go back, as those of
// several processors do, add nothing.
func (o *observation) until(t int64) {
	from := max(o.last, o.since)
	if o.timed && t > from && !o.deaf && (o.state.Active || !o.state.Known) {
		switch d := time.Duration(t-from) * time.Millisecond; o.state.Enforcing {
		case ipe.True:
			o.sum.Enforcing += d
		case ipe.False:
			o.sum.Permissive += d
		}
	}
	if !o.timed || t > o.last {
		o.last, o.timed = t, true
	}
}

// audit is what is known of success_audit.
type audit struct {
	state ipe.Bool
	off   bool // it was off in the window
}

// add takes the next event; counts says that it lies in the window.
func (a *audit) add(ev *eventsource.Event, counts bool) {
	switch {
	case ev.Kind == ipe.KindStarted, ev.Kind == ipe.KindHeartbeat && ev.SuccessAudit.Known():
		a.state = ev.SuccessAudit
	case (ev.Kind == ipe.KindAccess || ev.Kind == ipe.KindRepeated) && ev.Action == ipe.ActionAllow:
		// It was switched on: what came before is not known.
		a.off = a.off || counts && a.state == ipe.False
		a.state = ipe.True
	}
	a.off = a.off || counts && a.state == ipe.False
}

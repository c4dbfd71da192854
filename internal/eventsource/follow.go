package eventsource

import (
	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// follower concludes from the events of one host after the other what is in
// force, for each boot apart.
type follower struct {
	host     *Host
	trackers map[*boot]*activepolicy.Tracker
	last     *boot // whose tracker is tracker
	tracker  *activepolicy.Tracker

	// blind says that something was lost, or cannot be read, and nobody knows on
	// which host or when: nothing is concluded from anything before.
	blind bool
}

// annotate fills in what is in force after ev, and which policy judged an access
// that does not say it.
func (f *follower) annotate(ev *Event) {
	if ev.On != f.host || f.trackers == nil {
		f.host, f.trackers, f.last = ev.On, make(map[*boot]*activepolicy.Tracker), nil
	}
	if ev.boot != f.last || f.tracker == nil {
		if f.tracker = f.trackers[ev.boot]; f.tracker == nil {
			f.tracker = new(activepolicy.Tracker)
			f.trackers[ev.boot] = f.tracker
		}
		f.last = ev.boot
	}
	ev.Hole = ev.behindHole()
	if f.blind || ev.Hole {
		f.tracker.Forget()
	}
	judge := f.tracker.Observe(&ev.Event)
	ev.InForce = f.tracker.State()
	if ev.Kind == ipe.KindAccess && judge != nil {
		ev.ActivePolicy = *judge
	}
}

// behindHole reports whether the entry before is missing, or may be.
func (ev *Event) behindHole() bool {
	if ev.At.Seq == 0 || ev.numbers == nil {
		return false
	}
	return ev.On.Unnumbered || ev.numbers.behindHole(ev.At.Seq)
}

// unplaced reports whether ev says that something is missing, and not where.
func (ev *Event) unplaced() bool {
	switch ev.Kind {
	case ipe.KindLost:
		return ev.IsLoss() && ev.Has&ipe.HasSeqRange == 0 &&
			string(ev.Stage) != ipe.StageTruncated && string(ev.Stage) != ipe.StageSink
	case ipe.KindUnparsed:
		return ev.Type != ipe.TypeAccess
	}
	return false
}

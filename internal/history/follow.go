package history

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// follower concludes from all events of a history what is in force.
type follower struct {
	tracker inforce.Tracker
	at      spool.Cursor // of the event before
	boot    []byte
	host    []byte
}

// follow fills in what is in force after ev, and which policy judged an access
// that does not say it. begins says that ev is the first event of its source.
func (f *follower) follow(ev *Event, begins bool) {
	next := f.at.ID == ev.At.ID && f.at.Seq+1 == ev.At.Seq
	if f.elsewhere(ev) || ev.Skipped > 0 || begins && !next {
		f.tracker.Forget()
	}
	if ev.At.Seq > 0 {
		f.at = ev.At
	}
	judge := f.tracker.Observe(&ev.Event)
	ev.InForce = f.tracker.State()
	if ev.Kind == ipe.KindAccess && judge != nil {
		ev.ActivePolicy = *judge
	}
}

// elsewhere reports whether ev is of another host or boot than those before.
func (f *follower) elsewhere(ev *Event) bool {
	other := differs(&f.boot, ev.BootID)
	return differs(&f.host, ev.Host) || other
}

// differs makes was what is, if that is known, and reports whether it was
// something else.
func differs(was *[]byte, is []byte) bool {
	if is == nil || bytes.Equal(*was, is) {
		return false
	}
	other := *was != nil
	*was = bytes.Clone(is)
	return other
}

package sink

import (
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Missed makes ev say what a reader of the spool missed, and returns the cursor
// behind it. A gap of unknown size does not move the cursor, so it is told again
// if the reader stops before anything follows. The event is no entry of the
// spool, so it has no identity.
func Missed(ev *ipe.Event, g *spool.GapError) spool.Cursor {
	ev.Reset()
	ev.Kind = ipe.KindLost
	ev.Stage = []byte("spool")
	ev.Has = ipe.HasUntil
	ev.Until = time.Now().UnixMilli()
	ev.Accuracy = ipe.AccuracyUnknown
	if !g.Known {
		return spool.Cursor{ID: g.ID, Seq: g.First - 1}
	}
	ev.Accuracy = ipe.AccuracyExact
	ev.Has |= ipe.HasCount | ipe.HasSeqRange
	ev.Count, ev.FirstSeq, ev.LastSeq = g.Count, g.First, g.Last
	return spool.Cursor{ID: g.ID, Seq: g.Last}
}

package daemon

import (
	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// refused returns what tells that the receiver of a sink refused an event for good.
func (d *daemon) refused(name string) func(sink.Refused) {
	return func(r sink.Refused) {
		d.log.Warn("the receiver of a sink refuses an event: it ends every connection on which it is sent, so it is given up; it is in the spool, if that is on disk",
			zap.String("sink", name), zap.Stringer("event", r.Kind), zap.Stringer("spool", r.Cursor.ID), zap.Uint64("seq", r.Cursor.Seq))
		// An input gives nothing up for it; and what says that such an event was
		// refused may be refused as well, and so on.
		if d.Input != nil || r.Kind == ipe.KindLost && r.Stage == ipe.StageSink {
			return
		}
		ev := ipe.Event{
			Kind: ipe.KindLost, Has: ipe.HasCount, Count: 1, Accuracy: ipe.AccuracyExact,
			Stage: []byte(ipe.StageSink), Sink: []byte(name),
		}
		if r.Cursor.Seq != 0 && r.Cursor.ID == d.spool.End().ID {
			ev.Has |= ipe.HasSeqRange
			ev.FirstSeq, ev.LastSeq = r.Cursor.Seq, r.Cursor.Seq
		}
		d.emitter.emit(&ev)
	}
}

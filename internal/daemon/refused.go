package daemon

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// refusedPause is how long after a line about what a receiver refused the next one
// is written.
const refusedPause = time.Second

// refused returns what tells that the receiver of a sink refused events for good.
func (d *daemon) refused(name string) func(sink.Refused) {
	log := refusedLog{log: d.log.With(zap.String("sink", name))}
	return func(r sink.Refused) {
		r.Count = max(r.Count, 1)
		log.add(r, time.Now())
		// An input gives nothing up for it; and what says that such an event was
		// refused may be refused as well, and so on.
		if d.Input != nil || r.Kind == ipe.KindLost && r.Stage == ipe.StageSink {
			return
		}
		ev := ipe.Event{
			Kind: ipe.KindLost, Has: ipe.HasCount, Count: r.Count, Accuracy: ipe.AccuracyExact,
			Stage: []byte(ipe.StageSink), Sink: []byte(name),
		}
		if r.Unknown {
			ev.Has, ev.Count, ev.Accuracy = 0, 0, ipe.AccuracyUnknown
		}
		if r.Cursor.Seq != 0 && r.Cursor.ID == d.spool.End().ID {
			ev.Has |= ipe.HasSeqRange
			ev.FirstSeq, ev.LastSeq = r.Cursor.Seq, r.Cursor.Seq
		}
		d.emitter.emit(&ev)
	}
}

// refusedLog writes what a receiver refused into the log. A receiver can refuse
// everything, so what comes shortly behind a line is only counted, and said in the
// next one; the spool and the metrics have all.
type refusedLog struct {
	log *zap.Logger

	mu   sync.Mutex
	last time.Time
	more uint64 // events not said
}

func (l *refusedLog) add(r sink.Refused, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < refusedPause {
		l.more += r.Count
		return
	}
	fields := []zap.Field{zap.String("reason", r.Reason), zap.Uint64("count", r.Count)}
	if r.Cursor.Seq != 0 {
		fields = append(fields, zap.Stringer("event", r.Kind), zap.Stringer("spool", r.Cursor.ID), zap.Uint64("seq", r.Cursor.Seq))
	}
	if l.more > 0 {
		fields = append(fields, zap.Uint64("before", l.more))
	}
	message := "the receiver of a sink refuses events, so they are given up; they are in the spool, if that is on disk"
	if r.Unknown {
		message = "the receiver of a sink may not have kept events; they are in the spool, if that is on disk"
	}
	l.log.Warn(message, fields...)
	l.last, l.more = now, 0
}

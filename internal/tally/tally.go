package tally

import (
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Times returns how many accesses ev tells of: those that a "repeated" has
// counted, or one.
func Times(ev *ipe.Event) uint64 {
	if ev.Kind == ipe.KindRepeated && ev.Has&ipe.HasCount != 0 {
		return ev.Count
	}
	return 1
}

// Loss adds up what was lost. The zero Loss is none.
type Loss struct {
	Events   uint64 // of ours that tell of losses
	Count    uint64 // records or events
	Accuracy ipe.Accuracy
}

// Add takes an event, whatever its kind.
func (l *Loss) Add(ev *ipe.Event) {
	if !ev.IsLoss() {
		return
	}
	if string(ev.Stage) == ipe.StageSink {
		return // one receiver has not got it; where that leaves a hole, the hole counts
	}
	l.Events++
	l.Accuracy = max(l.Accuracy, ev.Accuracy, ipe.AccuracyExact)
	if ev.Has&ipe.HasCount == 0 {
		l.Accuracy = ipe.AccuracyUnknown
	}
	l.Count = eventsource.Sum(l.Count, ev.Count)
}

// Join adds what was lost elsewhere.
func (l *Loss) Join(other *Loss) {
	l.Events += other.Events
	l.Accuracy = max(l.Accuracy, other.Accuracy)
	l.Count = eventsource.Sum(l.Count, other.Count)
}

// String returns how much was lost, in words.
func (l *Loss) String() string {
	records := text.Count(l.Count, "record")
	switch {
	case l.Accuracy == ipe.AccuracyUnknown && l.Count > 0:
		return records + ", and more whose number is not known"
	case l.Accuracy == ipe.AccuracyUnknown:
		return "records whose number is not known"
	case l.Accuracy == ipe.AccuracyAtLeast:
		return "at least " + records
	}
	return records
}

package losses

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Stage is one way in which records are lost or not to be trusted.
type Stage uint8

// The accounts.
const (
	Socket    Stage = iota // dropped at our socket: its receive buffer was full
	Kernel                 // lost by the kernel before any socket, mostly at the backlog limit
	Truncated              // longer than a receive slot; what arrived was kept
	Forged                 // sent by a process, refused
	accounts
)

var stageInfo = [accounts]struct {
	kind  ipe.Kind
	stage string
}{
	Socket:    {ipe.KindLost, ipe.StageSocket},
	Kernel:    {ipe.KindLost, ipe.StageKernel},
	Truncated: {ipe.KindLost, ipe.StageTruncated},
	Forged:    {ipe.KindForged, ipe.StageSocket},
}

// Name returns the account's name as in the JSON key "stage".
func (a Stage) Name() string { return stageInfo[a].stage }

// The least time between two events of one account. A count that cannot be
// known is said less often: it may go on for days (audit=1 without auditd).
const (
	interval        = time.Second
	intervalUnknown = time.Hour
)

// Loss is a number of records that were lost between two moments.
type Loss struct {
	Count        uint64
	Accuracy     ipe.Accuracy
	Since, Until time.Time
}

// Reporter adds up losses and tells them. Its methods may be called from any
// goroutine.
type Reporter struct {
	// Added is called with the account of every loss, by who adds it, before
	// the loss is told. It is set before the first Add, and may be nil.
	Added func(Stage)

	tell   func(*ipe.Event)
	kick   chan struct{}
	totals [accounts]atomic.Uint64
	exact  [accounts]atomic.Bool

	mu      sync.Mutex
	pending [accounts]unreported
}

// unreported is what an account has not told yet. What has no number waits longer,
// and does not hold up, or hide, what has one.
type unreported struct{ counted, unknown pending }

// pending is a sum of losses, and when one was told last.
type pending struct {
	Loss
	reported time.Time
}

// add adds up.
func (p *pending) add(loss Loss) {
	if p.Accuracy == ipe.AccuracyNone {
		p.Loss = loss
		return
	}
	p.Count += loss.Count
	p.Accuracy = max(p.Accuracy, loss.Accuracy) // from exact to at least
	p.Until = loss.Until
}

// due returns the sum if it is due, and otherwise when it is; zero if there is
// none.
func (p *pending) due(now time.Time, pause time.Duration, all bool) (loss Loss, due time.Time) {
	if p.Accuracy == ipe.AccuracyNone {
		return Loss{}, time.Time{}
	}
	if due = p.reported.Add(pause); !all && due.After(now) {
		return Loss{}, due
	}
	loss, p.Loss, p.reported = p.Loss, Loss{}, now
	return loss, time.Time{}
}

// New returns a Reporter whose events are given to tell, from the goroutine that
// calls Run. The event lives until tell returns.
func New(tell func(*ipe.Event)) *Reporter {
	l := &Reporter{tell: tell, kick: make(chan struct{}, 1)}
	for i := range l.exact {
		l.exact[i].Store(true)
	}
	return l
}

// Add enters a loss. It does not block and does not allocate. A loss of
// accuracy AccuracyUnknown is told in an event of its own, without its Count.
func (l *Reporter) Add(a Stage, loss Loss) {
	if l.Added != nil {
		l.Added(a)
	}
	switch loss.Accuracy {
	case ipe.AccuracyUnknown:
		l.exact[a].Store(false)
	case ipe.AccuracyAtLeast:
		l.exact[a].Store(false)
		l.totals[a].Add(loss.Count)
	default:
		l.totals[a].Add(loss.Count)
	}

	l.mu.Lock()
	if loss.Accuracy == ipe.AccuracyUnknown {
		l.pending[a].unknown.add(loss)
	} else {
		l.pending[a].counted.add(loss)
	}
	l.mu.Unlock()

	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Total returns what was counted since the start, and whether that number is
// exact. It never falls.
func (l *Reporter) Total(a Stage) (n uint64, exact bool) {
	return l.totals[a].Load(), l.exact[a].Load()
}

// unreportedCount returns how many were added since the last event of the account.
func (l *Reporter) unreportedCount(a Stage) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending[a].counted.Count + l.pending[a].unknown.Count
}

// Reported returns when the last event of the account was written, which is zero
// before the first.
func (l *Reporter) Reported(a Stage) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.pending[a]
	if p.unknown.reported.After(p.counted.reported) {
		return p.unknown.reported
	}
	return p.counted.reported
}

// Run writes the events until ctx ends; what is pending then is written at
// once.
func (l *Reporter) Run(ctx context.Context) {
	var wait time.Duration
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			l.write(time.Now(), true)
			return
		case <-l.kick:
		case <-timer.C:
		}
		wait = l.write(time.Now(), false)
	}
}

// write tells what is due and returns how long until the next is; 0 when
// nothing is pending.
func (l *Reporter) write(now time.Time, all bool) (next time.Duration) {
	tell := func(a Stage, p *pending, pause time.Duration) {
		l.mu.Lock()
		loss, due := p.due(now, pause, all)
		l.mu.Unlock()
		if loss.Accuracy != ipe.AccuracyNone {
			ev := a.Event(loss)
			l.tell(&ev)
		} else if d := due.Sub(now); !due.IsZero() && (next == 0 || d < next) {
			next = d
		}
	}
	for a := range accounts {
		tell(a, &l.pending[a].counted, interval)
		tell(a, &l.pending[a].unknown, intervalUnknown)
	}
	return next
}

// Event returns what the stream says of a loss.
func (a Stage) Event(loss Loss) ipe.Event {
	ev := ipe.Event{
		Kind:     stageInfo[a].kind,
		Stage:    []byte(a.Name()),
		Accuracy: loss.Accuracy,
	}
	if loss.Accuracy != ipe.AccuracyUnknown {
		ev.Count, ev.Has = loss.Count, ipe.HasCount
	}
	if !loss.Since.IsZero() {
		ev.Since, ev.Has = loss.Since.UnixMilli(), ev.Has|ipe.HasSince
	}
	if !loss.Until.IsZero() {
		ev.Until, ev.Has = loss.Until.UnixMilli(), ev.Has|ipe.HasUntil
	}
	return ev
}

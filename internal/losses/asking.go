package losses

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const (
	// settleTime is how long lines of the kernel log wait for those about the same
	// loss: that the queue is full, the number, and the reason. The kernel prints
	// them one behind the other, but printk's rate limit, which they share with the
	// records themselves where there is no auditd, may swallow any of them.
	settleTime = 100 * time.Millisecond

	// askInterval is the least time between two questions.
	askInterval = time.Second

	// busyInterval is the most that lies between two questions while much is
	// received and nothing is lost.
	busyInterval = 10 * time.Second

	// ownInterval is how often the kernel is asked where that is permitted. A hint
	// makes us ask at once.
	ownInterval = 10 * time.Second

	// blindInterval is how often the helper is asked where nothing hints at a loss,
	// because the kernel log cannot be read.
	blindInterval = time.Minute

	// failInterval is how long a helper that does not answer is not asked again. One
	// that is not there costs nothing.
	failInterval = 30 * time.Second

	// askTimeout is for one question, for which a process may have to be started on
	// a host that is busy; lastTimeout for the one of a process that ends.
	askTimeout  = 10 * time.Second
	lastTimeout = 2 * time.Second
)

// schedule says when to ask next. It is guarded by the mutex of the watch.
type schedule struct {
	soon, later time.Time     // when something wants it; zero: nothing does
	last        time.Time     // when it was asked
	blocked     time.Time     // until when it is not asked
	busy        time.Duration // between two questions while much is received
}

// want schedules a question: behind the lines that come now, and not too often.
func (s *schedule) want(now time.Time, pause time.Duration) {
	at := now.Add(settleTime)
	if next := s.last.Add(pause); next.After(at) {
		at = next
	}
	if s.soon.IsZero() || at.Before(s.soon) {
		s.soon = at
	}
}

// again schedules another question.
func (s *schedule) again(at time.Time) {
	if s.later.IsZero() || at.After(s.later) {
		s.later = at
	}
}

// next returns the next time at which something is wanted; zero if nothing is.
func (s *schedule) next() time.Time {
	if s.soon.IsZero() || !s.later.IsZero() && s.later.Before(s.soon) {
		return s.later
	}
	return s.soon
}

// hint has the watch ask. A strong one says that something was lost. The caller
// holds the mutex.
func (w *KernelWatch) hint(strong bool) {
	pause := askInterval
	switch {
	case w.status.Accuracy == ipe.AccuracyUnknown:
		pause = busyInterval // it goes on and on, and there is no number
	case !strong:
		pause = max(pause, w.schedule.busy)
	}
	w.schedule.want(time.Now(), pause)
	w.kick()
}

// kick has Run look at the schedule again.
func (w *KernelWatch) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// regular returns how often is asked without any hint; 0 for never.
func (w *KernelWatch) regular() time.Duration {
	switch {
	case w.own != nil:
		return ownInterval
	case !w.status.Log:
		return blindInterval
	}
	return 0
}

// wait returns how long there is nothing to do.
func (w *KernelWatch) wait(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.schedule.next()
	if every := w.regular(); every > 0 {
		if at := w.schedule.last.Add(every); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(next.Sub(now), 0)
}

// due reports whether it is time to ask, and takes note of that.
func (w *KernelWatch) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, every := w.schedule.next(), w.regular()
	if (next.IsZero() || next.After(now)) && (every == 0 || w.schedule.last.Add(every).After(now)) {
		return false
	}
	if !w.schedule.soon.After(now) {
		w.schedule.soon = time.Time{}
	}
	if !w.schedule.later.After(now) {
		w.schedule.later = time.Time{}
	}
	return true
}

// ask takes the number from whoever has it, and enters what was lost.
func (w *KernelWatch) ask(ctx context.Context) {
	status, source, err := w.query(ctx)
	now := time.Now()
	w.mu.Lock()
	w.schedule.last = now
	entered := w.count.entered
	was := w.status
	if err == nil {
		w.status = KernelStatus{Source: source, Log: was.Log, Asked: now, Accuracy: ipe.AccuracyExact}
		w.auditd = status.PID != 0
		if w.uncountable() {
			w.status.Accuracy = ipe.AccuracyUnknown
		}
		w.logged, w.full, w.dubious = nil, 0, false
		accuracy := w.status.Accuracy
		if w.count.observe(status.Lost, true) && accuracy == ipe.AccuracyExact {
			accuracy = ipe.AccuracyAtLeast // what was lost before the reset nobody knows
		}
		w.enter(now, accuracy)
	} else {
		w.status = KernelStatus{Source: SourceNone, Log: was.Log, Err: err, Asked: was.Asked, Accuracy: ipe.AccuracyUnknown}
		if was.Log {
			w.status.Source = SourceLog
			if !w.uncountable() {
				w.status.Accuracy = ipe.AccuracyAtLeast
			}
		}
		w.conclude(now)
	}
	if w.count.entered != entered {
		w.schedule.busy = askInterval
	} else {
		w.schedule.busy = min(max(2*w.schedule.busy, askInterval), busyInterval)
	}
	is := w.status
	w.mu.Unlock()
	if is.Source != was.Source && w.Changed != nil {
		w.Changed(is)
	}
}

// query asks the kernel, or the helper unless it has just failed.
func (w *KernelWatch) query(ctx context.Context) (host.AuditStatus, Source, error) {
	if w.own != nil {
		status, err := w.own()
		return status, SourceOwn, err
	}
	if w.helper == nil {
		return host.AuditStatus{}, SourceNone, errors.New("there is nobody to ask")
	}
	w.mu.Lock()
	blocked, err := time.Now().Before(w.schedule.blocked), w.status.Err
	w.mu.Unlock()
	if blocked {
		return host.AuditStatus{}, SourceNone, err
	}
	limited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := w.helper(limited)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(ctx.Err(), context.Canceled) {
			w.mu.Lock()
			w.schedule.blocked = time.Now().Add(failInterval)
			w.schedule.again(w.schedule.blocked) // what it would have said is still wanted
			w.mu.Unlock()
		}
		return host.AuditStatus{}, SourceNone, err
	}
	return host.AuditStatus{PID: st.Status.PID, Lost: st.Status.Lost}, SourceHelper, nil
}

// conclude enters what the kernel log says.
func (w *KernelWatch) conclude(now time.Time) {
	if !w.caught || !w.count.known {
		return
	}
	if n := w.logged; n != nil {
		// A lower number is from before the last answer, or it was reset since.
		if !below(*n, w.count.kernel) || !w.ancient && now.Sub(w.status.Asked) > askInterval {
			w.count.observe(*n, false)
		}
		w.logged = nil
	}
	w.count.atLeast(w.full)
	w.full = 0
	accuracy := ipe.AccuracyAtLeast
	if w.uncountable() {
		accuracy = ipe.AccuracyUnknown
	}
	w.enter(now, accuracy)
	if w.dubious {
		w.reporter.Add(Kernel, Loss{Accuracy: ipe.AccuracyUnknown, Since: w.count.at, Until: now})
		w.count.at = now
	}
	w.dubious = false
}

// enter puts what is known to be lost, and is not there, into the reporter.
func (w *KernelWatch) enter(now time.Time, accuracy ipe.Accuracy) {
	n := w.count.sum - w.count.entered
	if n > 0 {
		w.reporter.Add(Kernel, Loss{Count: n, Accuracy: accuracy, Since: w.count.at, Until: now})
		w.count.entered = w.count.sum
	}
	if n > 0 || accuracy == ipe.AccuracyExact || w.count.at.IsZero() {
		w.count.at = now
	}
}

// Source is where the kernel's count comes from.
type Source string

// The sources, from the best to the worst.
const (
	SourceOwn    Source = "own"        // AUDIT_GET, with CAP_AUDIT_CONTROL
	SourceHelper Source = "helper"     // AUDIT_GET of the helper
	SourceLog    Source = "kernel_log" // what the kernel prints
	SourceNone   Source = "none"       // nobody says it

	// SourcePending is until the first question was answered or given up.
	SourcePending Source = "pending"
)

// KernelStatus says how well the kernel's count is known.
type KernelStatus struct {
	Source   Source
	Accuracy ipe.Accuracy // that a loss would be told with now
	Log      bool         // the kernel log is followed
	Err      error        // why nobody could be asked; nil if somebody could
	Asked    time.Time    // when AUDIT_GET was answered last; zero if never
}

// Uncountable reports whether the kernel's own number counts records that
// listeners got.
func (w *KernelWatch) Uncountable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.uncountable()
}

// uncountable is Uncountable for who holds the mutex.
func (w *KernelWatch) uncountable() bool {
	return !w.auditd && (w.holdQueue || w.overflow.hold) || w.overflow.retry
}

// Status returns how well the count is known. It may be called from any
// goroutine.
func (w *KernelWatch) Status() KernelStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status.Source == "" {
		return KernelStatus{Source: SourcePending, Accuracy: ipe.AccuracyUnknown, Log: w.status.Log}
	}
	return w.status
}

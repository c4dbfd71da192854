package losses

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
)

// KernelWatch follows the kernel's own count of lost audit records: audit_lost
// in kernel/audit.c. It counts records of every type, also those that IPE did
// not write, and it rises for each record that did not fit into a queue, before
// any listener could have seen it: there is no gap in the serials and no drop
// at the socket.
//
// The number comes from AUDIT_GET, where we have CAP_AUDIT_CONTROL or a helper
// has it ([auditstate]), and is then exact. Otherwise it comes from what the
// kernel logs when it loses something; that is rate-limited, so the number is a
// lower bound, and sometimes there is none.
//
// With audit=1 on the kernel's command line and no auditd the number also
// rises for every record that fails to enter the hold queue, although listeners
// got it (kauditd_hold_skb), and with an auditd that does not read for every one
// that fails to enter the retry queue: then nobody can tell how many were lost.
type KernelWatch struct {
	// Begun is called from Run's goroutines when the first number is known, so
	// that it can be kept: a process that ends without having told a loss must
	// not make the next one begin anew. It may be nil.
	Begun func()

	// Changed is called from Run's goroutines when the number comes from another
	// source than before, or can no longer be had. It may be nil.
	Changed func(KernelStatus)

	reporter *Reporter

	// Set before Run.
	own       func() (host.AuditStatus, error) // AUDIT_GET of our own; nil where that is not permitted
	helper    func(context.Context) (auditstate.State, error)
	holdQueue bool // the kernel was started with audit=1

	mu       sync.Mutex
	count    count
	overflow overflows // queues that were seen to overflow in this boot
	bucket   *bucket
	auditd   bool // there may be one: nothing else was seen
	caught   bool // the old lines of the kernel log were read
	schedule schedule
	status   KernelStatus

	// Lines of the kernel log, by their seq; 0 if there is none.
	read     uint64 // the last one
	reported uint64 // the last one of which all was told
	from     uint64 // the last one before us: told by an earlier process, or where we began

	// What the lines say beyond count, since AUDIT_GET was answered last.
	logged  *uint32 // the kernel's number
	partial bool    // old lines are missing, so there may have been numbers
	ancient bool    // logged may be from before what an earlier process has told
	full    int64   // so many at least, because the queue was full; 0 if a number has counted that
	dubious bool    // something may be lost, and nobody says how much

	wake chan struct{} // something was added to schedule
}

// overflows are queues whose overflow is counted as a loss although listeners
// got the record.
type overflows struct{ hold, retry bool }

// NewKernelWatch returns a watch that asks the kernel where that is permitted,
// and the helper whose socket is at the path otherwise.
func NewKernelWatch(l *Reporter, helper string) *KernelWatch {
	w := newKernelWatch(l)
	w.holdQueue = host.AuditAtBoot("/proc/cmdline")
	w.bucket = newBucket("/")
	w.AskHelper(helper)
	if _, err := host.QueryAudit(); err == nil {
		w.own = host.QueryAudit
	}
	return w
}

func newKernelWatch(l *Reporter) *KernelWatch {
	return &KernelWatch{reporter: l, auditd: true, bucket: &bucket{burst: 10, interval: 5 * time.Second}, wake: make(chan struct{}, 1)}
}

// AskHelper makes the watch ask the helper at the path, and not the kernel even
// where that is permitted. It is called before Run.
func (w *KernelWatch) AskHelper(path string) {
	w.own = nil
	w.helper = func(ctx context.Context) (auditstate.State, error) { return auditstate.Ask(ctx, path) }
}

// Reported is how much of the kernel's count was told, for a later process.
type Reported struct {
	Known     bool   `json:"known"`              // there is a number
	Lost      uint32 `json:"lost"`               // the kernel's number
	Assumed   bool   `json:"assumed,omitempty"`  // the kernel has not said Lost: what was lost before is not known
	Estimated uint64 `json:"estimated"`          // told beyond Lost, before the kernel said its number
	Line      uint64 `json:"kmsg_seq,omitempty"` // of the kernel log: all up to this one is in the numbers; 0 if not known
}

// Resume sets what an earlier process of the same boot has told, so that what
// was lost in between is told now. It is called before Run.
func (w *KernelWatch) Resume(t Reported, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count = count{known: true, kernel: t.Lost, assumed: t.Assumed, stale: t.Assumed, beyond: t.Estimated, sum: t.Estimated, entered: t.Estimated, at: at}
	w.reported, w.from = t.Line, t.Line
}

// Reported returns the count without what the reporter has not told yet, for Resume in
// a later process.
func (w *KernelWatch) Reported() Reported {
	w.mu.Lock() // enter holds it until the reporter has the difference
	defer w.mu.Unlock()
	unreported := w.count.sum - w.count.entered + w.reporter.unreportedCount(Kernel)
	if unreported == 0 && w.caught && w.logged == nil && w.full == 0 && !w.dubious {
		w.reported = w.read
	}
	t := Reported{Lost: w.count.kernel, Assumed: w.count.assumed, Estimated: w.count.beyond, Known: w.count.known, Line: w.reported}
	fromBeyond := min(unreported, t.Estimated)
	t.Estimated -= fromBeyond
	t.Lost -= uint32(unreported - fromBeyond)
	return t
}

// begun calls Begun.
func (w *KernelWatch) begun() {
	if w.Reported().Known && w.Begun != nil {
		w.Begun()
	}
}

// Run follows kmsg, which may be nil, and asks, until ctx ends, and once more
// then. It closes kmsg. The error is why the kernel log could not be followed to
// the end.
func (w *KernelWatch) Run(ctx context.Context, kmsg *os.File) error {
	w.mu.Lock()
	w.status.Log = kmsg != nil
	w.mu.Unlock()
	w.ask(ctx)
	w.begun()
	done := make(chan error, 1)
	if kmsg != nil {
		go func() { done <- followKmsg(kmsg, w.heard, w.caughtUp) }()
	}
	var followErr error
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(w.wait(time.Now()))
		select {
		case <-ctx.Done():
			if kmsg != nil {
				kmsg.Close()
				<-done
			}
			w.mu.Lock()
			w.schedule.blocked = time.Time{} // there is no later time
			w.mu.Unlock()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
			w.ask(last)
			cancel()
			return followErr
		case err := <-done:
			kmsg.Close()
			kmsg = nil
			followErr = errors.Join(errors.New("the kernel log can no longer be followed"), err)
			w.mu.Lock()
			w.status.Log = false
			w.mu.Unlock()
			w.ask(ctx)
		case <-w.wake:
		case <-timer.C:
			if w.due(time.Now()) {
				w.ask(ctx)
			}
		}
	}
}

// heard takes a line of the kernel log. It only takes note: ask enters what
// there is, or what it is told instead.
func (w *KernelWatch) heard(l kmsgLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = max(w.read, l.seq)
	resumed := w.from > 0
	old := !w.caught && l.seq <= w.from // in the count already
	sum := max(int64(w.count.sum), w.lost())
	switch l.finding {
	case kmsgOldest, kmsgSuppressed:
		w.partial = w.partial || !w.caught
	case kmsgRecord:
		w.auditd = w.auditd && !w.caught // or it would not be printed
	case kmsgOverflow:
		w.auditd = w.auditd && l.retry
		w.overflow.hold = w.overflow.hold || !l.retry
		w.overflow.retry = w.overflow.retry || l.retry
	case kmsgBacklog:
		if w.caught {
			// The kernel says it before it counts (audit_log_start), so its number is
			// never below this.
			w.full = max(w.full, sum+1)
		}
	case kmsgLost:
		if !old {
			w.count.rebase(l.number)
			w.logged, w.ancient, w.full = &l.number, !w.caught && !resumed, 0
		}
	}
	loss, over := w.bucket.end(&l)
	if over && (w.caught || resumed && !old && w.status.Asked.IsZero()) {
		w.addWindow(loss)
		sum = max(sum, int64(w.count.sum))
	}
	w.bucket.addLine(&l, uint64(max(sum, 0)))
	if !w.caught {
		return
	}
	if over || l.printed() && l.finding != kmsgRecord {
		w.hint(true)
	}
	if w.bucket.full(l.at) {
		// What is lost from here on is not printed, and without another record
		// nobody says how much it was.
		w.schedule.again(time.Now().Add(w.bucket.interval + time.Second))
		w.kick()
	}
}

// addWindow takes what a window of the kernel log comes to.
func (w *KernelWatch) addWindow(loss lossWindow) {
	switch {
	case loss.dubious || !loss.counted && loss.seq <= w.from:
		w.dubious = true
	case loss.counted:
		before := w.count.truth() + int64(int32(loss.number-1-w.count.kernel))
		w.count.atLeast(before + int64(loss.count))
	default:
		w.count.atLeast(int64(loss.before + loss.count))
	}
}

// lost returns how many are known to be lost by the kernel's number, also by the
// one that it has logged.
func (w *KernelWatch) lost() int64 {
	n := w.count.truth()
	if w.logged != nil {
		n += int64(int32(*w.logged - w.count.kernel))
	}
	return n
}

// caughtUp is called when the old lines of the kernel log were read. The last
// number among them is where we begin, or what is compared with the number
// that an earlier process told.
func (w *KernelWatch) caughtUp() {
	w.mu.Lock()
	w.caught = true
	w.partial = w.partial || w.bucket.full(w.bucket.until())
	if w.from == 0 {
		w.from = w.read
	}
	if !w.count.known && w.status.Source == SourceLog {
		w.count.begin(w.logged, !w.partial, time.Now())
		w.logged = nil
	}
	if w.logged != nil || w.dubious || w.count.sum > w.count.entered {
		w.hint(true)
	}
	if !w.status.Asked.IsZero() {
		w.logged, w.dubious = nil, false // the answer is newer
	}
	w.mu.Unlock()
	w.begun()
}

// Busy says that so much was received that the kernel's queue may have been
// full. It may be called from any goroutine, and never waits.
func (w *KernelWatch) Busy() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hint(false)
}

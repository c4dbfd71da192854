package ledger

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// pollInterval is how often the kernel is asked for its count, where that is
// permitted. A line in the kernel log makes it ask at once.
const pollInterval = 10 * time.Second

// KernelWatch follows the kernel's own count of lost audit records: audit_lost
// in kernel/audit.c. It counts records of every type, also those that IPE did
// not write, and it rises for each record that did not fit into a queue, before
// any listener could have seen it: there is no gap in the serials and no drop
// at the socket.
//
// The number comes from AUDIT_GET where we have CAP_AUDIT_CONTROL, and is then
// exact. Otherwise it comes from the lines that the kernel logs when it loses
// something; those are rate-limited, so the number is a lower bound.
//
// With audit=1 on the kernel's command line and no auditd the number also
// rises for every record that fails to enter the hold queue, although listeners
// got it (kauditd_hold_skb): then nobody can tell how many were lost.
type KernelWatch struct {
	ledger *Ledger

	// Query asks the kernel; nil when that is not permitted.
	Query func() (host.AuditStatus, error)

	// HoldQueue says that the kernel was started with audit=1.
	HoldQueue bool

	// Begun is called from Run's goroutines when the first number is known, so
	// that it can be kept: a process that ends without having told a loss must
	// not make the next one begin anew. It may be nil.
	Begun func()

	mu       sync.Mutex
	known    bool // lost is a number the kernel gave
	lost     uint32
	at       time.Time // when it was that number
	overflow bool      // the hold queue was seen to overflow in this boot
	caught   bool      // the old lines of the kernel log were read
	settling bool      // what follows is about lines whose last may still come
	logged   *uint32   // the number in them
	backlog  bool      // one of them says that the queue is full
}

// NewKernelWatch returns a watch that asks the kernel where that is permitted.
func NewKernelWatch(l *Ledger) *KernelWatch {
	w := &KernelWatch{ledger: l, HoldQueue: host.AuditAtBoot("/proc/cmdline")}
	if _, err := host.QueryAudit(); err == nil {
		w.Query = host.QueryAudit
	}
	return w
}

// Resume sets the number that an earlier process of the same boot has told, so
// that what was lost in between is told now.
func (w *KernelWatch) Resume(lost uint32, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.lost, w.at = true, lost, at
}

// Told returns the kernel's count without what the ledger has not told yet, for
// Resume in a later process, and whether it is known.
func (w *KernelWatch) Told() (n uint32, known bool) {
	w.mu.Lock() // observe holds it until the ledger has the difference
	defer w.mu.Unlock()
	return w.lost - uint32(w.ledger.untold(Kernel)), w.known
}

// begun calls Begun.
func (w *KernelWatch) begun() {
	if _, known := w.Told(); known && w.Begun != nil {
		w.Begun()
	}
}

// Permitted reports whether the kernel answers AUDIT_GET.
func (w *KernelWatch) Permitted() bool { return w.Query != nil }

// Run follows kmsg, which may be nil, and asks the kernel, until ctx ends.
// It closes kmsg.
func (w *KernelWatch) Run(ctx context.Context, kmsg *os.File) error {
	w.ask()
	w.begun()
	done := make(chan error, 1)
	if kmsg != nil {
		go func() { done <- followKmsg(kmsg, w.heard, w.caughtUp) }()
	}
	var tick <-chan time.Time
	if w.Query != nil {
		ticker := time.NewTicker(pollInterval)
		defer ticker.Stop()
		tick = ticker.C
	}
	var followErr error
	for {
		select {
		case <-ctx.Done():
			if kmsg != nil {
				kmsg.Close()
				<-done
			}
			w.ask()
			return nil
		case followErr = <-done:
			kmsg.Close()
			kmsg = nil
			if tick == nil {
				return errors.Join(errors.New("the kernel log can no longer be followed"), followErr)
			}
		case <-tick:
			w.ask()
		}
	}
}

// ask takes the number from AUDIT_GET.
func (w *KernelWatch) ask() {
	if w.Query == nil {
		return
	}
	status, err := w.Query()
	if err != nil {
		return // the next tick asks again; the count is cumulative
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	accuracy := ipe.AccuracyExact
	if status.PID == 0 && (w.HoldQueue || w.overflow) {
		accuracy = ipe.AccuracyUnknown
	}
	w.observe(status.Lost, accuracy)
}

// settleTime is how long lines of the kernel log wait for those about the same
// loss: that the queue is full, the number, and the reason. The kernel prints
// them one behind the other, but printk's rate limit, which they share with the
// records themselves where there is no auditd, may swallow any of them.
const settleTime = 100 * time.Millisecond

// heard takes a line of the kernel log.
func (w *KernelWatch) heard(finding kmsgFinding, lost uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch finding {
	case kmsgHoldOverflow:
		w.overflow = true
		return
	case kmsgBacklog:
		w.backlog = true
	default:
		w.logged = &lost
	}
	if w.caught && !w.settling {
		w.settling = true
		time.AfterFunc(settleTime, w.settle)
	}
}

// caughtUp is called when the old lines of the kernel log were read. The last
// number among them is where we begin, or what is compared with the number
// that an earlier process told.
func (w *KernelWatch) caughtUp() {
	w.settle()
	w.mu.Lock()
	w.caught = true
	if !w.known && w.Query == nil {
		w.known, w.at = true, time.Now() // nothing was ever lost that we could hear of
	}
	w.mu.Unlock()
	w.begun()
}

// settle takes the last number of the kernel log, or better one by asking. A
// full queue without a number is one record more than we know of: the kernel
// says it before it counts (audit_log_start), so its number is never below ours.
func (w *KernelWatch) settle() {
	w.mu.Lock()
	logged, backlog := w.logged, w.backlog && w.caught
	w.settling, w.logged, w.backlog = false, nil, false
	if w.Query == nil && (logged != nil || backlog) {
		accuracy := ipe.AccuracyAtLeast
		if w.overflow {
			accuracy = ipe.AccuracyUnknown
		}
		n := w.lost + 1
		if logged != nil {
			n = *logged
		}
		w.observe(n, accuracy)
	}
	w.mu.Unlock()
	if logged != nil || backlog {
		w.ask()
	}
}

// observe enters the difference between the kernel's number now and the last
// one. The first number is where we begin: what it counts happened before us.
// A number that fell was reset by somebody (AUDIT_STATUS_LOST), and is where we
// go on, unless it stands in an old line that an earlier process had read.
func (w *KernelWatch) observe(lost uint32, accuracy ipe.Accuracy) {
	now := time.Now()
	since, before, known := w.at, w.lost, w.known
	if known && lost < before && !w.caught && accuracy != ipe.AccuracyExact {
		return
	}
	w.known, w.lost, w.at = true, lost, now
	if !known || lost <= before {
		return
	}
	w.ledger.Add(Kernel, Loss{Count: uint64(lost - before), Accuracy: accuracy, Since: since, Until: now})
}

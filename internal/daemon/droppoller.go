package daemon

import (
	"context"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// dropPoller compares the counters of the socket with what it has told, at
// most once a second, and only while something is received: drops and
// forgeries come with traffic.
type dropPoller struct {
	conn     *netlinkaudit.Conn
	reporter *losses.Reporter
	kernel   *losses.KernelWatch
	active   <-chan struct{}

	drops   uint64    // told, or told by an earlier process
	checked time.Time // when Drops was that number; zero if that is not known
	stats   netlinkaudit.Stats
}

// burst is how many records in a second suggest that the kernel's queue, which
// has room for 64 unless told otherwise, may have been full. They are of the types
// that we ask for; others take places too.
const burst = 32

// run checks until ctx ends, and once more then.
func (a *dropPoller) run(ctx context.Context) {
	a.check(time.Now())
	for {
		select {
		case <-ctx.Done():
			a.check(time.Now())
			return
		case <-a.active:
		}
		a.check(time.Now())
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// check enters what is new into the reporter.
func (a *dropPoller) check(now time.Time) {
	add := func(account losses.Stage, n uint64) {
		if n > 0 {
			a.reporter.Add(account, losses.Loss{Count: n, Accuracy: ipe.AccuracyExact, Since: a.checked, Until: now})
		}
	}
	if drops, err := a.conn.Drops(); err == nil {
		// The kernel's counter has 32 bits, and so has what an earlier process
		// has kept of it.
		add(losses.Socket, uint64(uint32(drops)-uint32(a.drops)))
		a.drops = drops
	}
	stats := a.conn.Stats()
	add(losses.Forged, stats.Forged-a.stats.Forged)
	add(losses.Truncated, stats.Truncated-a.stats.Truncated)
	if stats.Received-a.stats.Received >= burst {
		a.kernel.Busy()
	}
	a.stats, a.checked = stats, now
}

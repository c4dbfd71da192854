package daemon

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// settleTime is how long a heartbeat waits for what is spooled to be counted.
const settleTime = time.Second

// sendHeartbeats puts one into the stream each time that the configuration's interval
// has passed, until ctx ends. The first one comes at a random moment of it, so that
// hosts that were started together do not all speak at once.
func (d *daemon) sendHeartbeats(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	var interval time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-d.heartbeats:
			if next != interval {
				timer.Stop()
				if interval = next; interval > 0 {
					timer.Reset(1 + rand.N(interval))
				}
			}
		case <-timer.C:
			timer.Reset(interval)
			d.beat(ctx)
		}
	}
}

// setHeartbeat says how often there is to be a heartbeat, 0 for never. It is for one
// goroutine.
func (d *daemon) setHeartbeat(interval time.Duration) {
	select {
	case <-d.heartbeats: // nobody has seen it yet
	default:
	}
	d.heartbeats <- interval
}

// beat puts a heartbeat into the stream.
func (d *daemon) beat(ctx context.Context) {
	d.audit.Check()
	ev := stateEvent(ipe.KindHeartbeat, d.Version, d.kernel, d.observeState())
	// What may not be read here the records may have said.
	is := d.annotator.State()
	if !ev.Policy.Known() && is.Active {
		ev.Policy = is.Policy
	}
	if !ev.Enforcing.Known() {
		ev.Enforcing = is.Enforcing
	}
	settling, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	d.accesses.Settle(settling)
	counts := d.accesses.Counts()
	ev.Has |= ipe.HasTotals
	ev.Totals = ipe.Totals{
		Denied: counts.Total(ipe.VerdictDenied), WouldDeny: counts.Total(ipe.VerdictWouldDeny), Allowed: counts.Total(ipe.VerdictAllowed),
		Lost: d.losses.total(),
	}
	d.emitter.emit(&ev)
}

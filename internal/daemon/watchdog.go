package daemon

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
)

// statusInterval is how often the service manager is told how we fare, where it
// has no watchdog that asks for more.
const statusInterval = 15 * time.Second

// statusPause is the least time between two of these, where its watchdog asks
// for a sign of life all the time.
const statusPause = 5 * time.Second

// watchdog looks from time to time whether the daemon moves on, and tells the
// service manager that, and how it fares.
//
// A loop that waits for a record cannot be told from one that is dead by asking
// it, short of waking it up. So the watchdog looks from outside: whoever has work,
// a batch in hand or a message in the socket's queue, and has got nowhere with
// it since an earlier look, stands still. Without work nothing can stand still.
//
// It looks twice in the time that the watchdog grants, and falls silent once
// something has stood still for all of that time. So a shorter stall never costs
// the daemon its life, wherever it begins between two looks, and a longer one
// does after at most twice the time. A disk that hangs is no stall: the spool
// goes on in memory.
type watchdog struct {
	// Set at construction.
	granted  time.Duration // what the service manager grants; 0: it has no watchdog
	notify   func(string)
	log      *zap.Logger
	progress func() (count uint64, working bool) // of the receiver
	spool    activepolicy.Appender
	status   func() string // the line for the service manager

	// Owned by the goroutine that calls run.
	receiving, keeping stallTimer
	asked              uint64 // of the spool
	silent             bool   // and that was said
	lastStatus         string // the last status
	lastStatusAt       time.Time

	answered atomic.Uint64 // by the spool
}

// run watches until ctx ends.
func (v *watchdog) run(ctx context.Context) {
	ask := make(chan struct{}, 1)
	defer close(ask)
	// Of its own, and not waited for: a spool that does not answer must not hold
	// up what tells of it.
	go func() {
		for range ask {
			v.spool.Append(nil)
			v.answered.Add(1)
		}
	}()
	interval := statusInterval
	if v.granted > 0 {
		interval = v.granted / 2
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			v.check(time.Now(), ask)
		}
	}
}

// check looks once.
func (v *watchdog) check(now time.Time, ask chan<- struct{}) {
	if v.answered.Load() == v.asked {
		v.asked++
		ask <- struct{}{} // nobody is behind with the last one, so there is room
	}
	var say []string
	if v.granted > 0 && v.alive(now) {
		say = append(say, "WATCHDOG=1")
	}
	if status := v.status(); status != v.lastStatus && now.Sub(v.lastStatusAt) >= statusPause {
		v.lastStatus, v.lastStatusAt = status, now
		say = append(say, "STATUS="+status)
	}
	if len(say) > 0 {
		v.notify(strings.Join(say, "\n"))
	}
}

// alive reports whether everything has moved on within the time of the watchdog.
func (v *watchdog) alive(now time.Time) bool {
	count, working := v.progress()
	receiver := v.receiving.stalledFor(now, count, working)
	spool := v.keeping.stalledFor(now, v.asked, true)
	if receiver < v.granted && spool < v.granted {
		v.silent = false
		return true
	}
	if !v.silent {
		v.silent = true
		v.log.Error("something stands still, so the service manager will abort this process: what waits in an inherited socket is not lost",
			zap.Duration("receiver", receiver), zap.Duration("spool", spool))
	}
	return false
}

// stallTimer is what a watchdog has seen of something that has to move on.
type stallTimer struct {
	count uint64    // how far it was
	since time.Time // of the first look that found it there with work to do; zero: it had none
}

// stalledFor returns how long it has been seen at count with work to do.
func (p *stallTimer) stalledFor(now time.Time, count uint64, working bool) time.Duration {
	switch {
	case !working:
		p.since = time.Time{}
		return 0
	case p.since.IsZero() || p.count != count:
		p.count, p.since = count, now
	}
	return now.Sub(p.since)
}

// startWatchdog begins a watchdog, if there is somebody to tell, who was told a status
// already, and returns what ends it.
func (d *daemon) startWatchdog(told string) (end func()) {
	if !d.managed {
		return func() {}
	}
	v := &watchdog{
		granted: d.Watchdog, notify: d.Notify, log: d.log,
		progress: d.receiver.progress, spool: d.spool, status: d.statusLine, lastStatus: told,
	}
	return begin(v.run)
}

const (
	extendInterval = 10 * time.Second
	extendBy       = 3 * extendInterval // so that one may come late
	extendLimit    = 10 * time.Minute
)

// extendTimeout asks the service manager for patience, while the spool is opened or
// brought to its disk: as long as that takes, but not for ever, because a disk
// that hangs looks the same. It returns what ends it.
func (d *daemon) extendTimeout() (end func()) {
	if !d.managed {
		return func() {}
	}
	say := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds())
	return begin(func(ctx context.Context) {
		ticker := time.NewTicker(extendInterval)
		defer ticker.Stop()
		for limit := time.Now().Add(extendLimit); time.Now().Before(limit); {
			d.Notify(say)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// begin runs f and returns what ends it and waits for that.
func begin(f func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	return func() { cancel(); <-done }
}

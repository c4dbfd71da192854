package daemon

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/internal/procinfo"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of what companions may cost.
const (
	// maxForeign is how many companions of nobody's access within a second are too
	// many.
	maxForeign = 2000

	leastPause = time.Minute
	mostPause  = time.Hour

	// recent is how many accesses are remembered that companions may belong to. A
	// place is that of a serial, of which every audit event of the host takes one.
	recent = 8192

	// mostAlone is how many accesses in a row without a companion say that none are
	// to be expected, where the kernel does not say it.
	mostAlone = 8
)

// companions finds out which of the records that may belong to an access do, and
// keeps the others out of the daemon where they are too many.
type companions struct {
	// Set at construction.
	auto   bool // false: they are never received
	join   time.Duration
	asker  *procinfo.Asker      // nil: /proc is not asked
	filter func(off bool) error // changes the kernel's filter
	now    func() time.Time

	// Owned by the receiver's goroutine.
	accesses  []received // by serial
	alone     int        // accesses since the last companion
	aloneFrom int64      // when the first of them was received
	window    int64      // when the second began in which foreign ones are counted
	inWindow  int

	// For all goroutines.
	expected atomic.Bool
	certain  atomic.Bool // the kernel has said it
	off      atomic.Bool
	joined   atomic.Uint64 // records
	foreign  atomic.Uint64 // records
	late     atomic.Uint64 // accesses
	changed  chan struct{} // has a token when the filter or what the kernel does may have changed

	mu       sync.Mutex
	pause    time.Duration // of the next time
	openedAt time.Time     // when they were let in last
	until    time.Time     // when they are let in again
	switches uint64
	told     bool // what was told last: that they are off
	err      error
}

// received is an access that was received.
type received struct {
	key  ipe.Key
	at   int64 // Unix nanoseconds
	late bool  // and that was counted
}

func newCompanions(auto bool, join time.Duration, filter func(off bool) error) *companions {
	c := &companions{
		auto: auto, join: join, filter: filter, now: time.Now, accesses: make([]received, recent),
		changed: make(chan struct{}, 1), pause: leastPause,
	}
	c.expected.Store(auto)
	c.openedAt = c.now()
	return c
}

// Companions reports whether the kernel sends companions, as far as that is known,
// and they are received.
func (c *companions) Companions() bool { return c.auto && c.expected.Load() && !c.off.Load() }

// Pending reports whether /proc is still to be asked about an access.
func (c *companions) Pending(k ipe.Key) bool { return c.asker != nil && c.asker.Pending(k) }

// access takes an access that was received at now, and reports whether companions
// are shut out.
func (c *companions) access(text []byte, now int64) (off bool) {
	k, ok := ipe.KeyOf(text)
	if !ok {
		return c.off.Load()
	}
	if at := &c.accesses[k.Serial%recent]; at.key != k {
		*at = received{key: k, at: now}
		if c.asker != nil {
			if pid, ok := pidOf(text); ok {
				c.asker.Ask(k, pid)
			}
		}
		if c.alone++; c.alone == 1 {
			c.aloneFrom = now
		} else if c.alone > mostAlone && now-c.aloneFrom > int64(c.join) && !c.certain.Load() {
			c.expected.Store(false) // until one comes, or the kernel says otherwise
		}
	}
	return c.off.Load()
}

// companion takes a record that may be one, and reports whether it belongs to an
// access that was received.
func (c *companions) companion(typ uint16, text []byte, now int64) bool {
	c.alone = 0
	if !c.expected.Load() {
		c.expected.Store(true)
	}
	k, ok := ipe.KeyOf(text)
	at := &c.accesses[k.Serial%recent]
	if !ok || at.key != k {
		c.countForeign(now)
		return false
	}
	c.joined.Add(1)
	if !at.late && now-at.at > int64(c.join) {
		at.late = true
		c.late.Add(1)
	}
	if typ == ipe.TypeSyscall && c.asker != nil {
		if ppid, ok := auditrec.Uint(word(text, " ppid=")); ok {
			c.asker.Parent(k, ppid)
		}
	}
	return true
}

// countForeign shuts companions out where too many are nobody's.
func (c *companions) countForeign(now int64) {
	c.foreign.Add(1)
	if c.inWindow == 0 || now-c.window >= int64(time.Second) || now < c.window {
		c.window, c.inWindow = now, 0
	}
	if c.inWindow++; c.inWindow < maxForeign || c.off.Load() {
		return
	}
	c.inWindow = 0
	c.shut()
}

// shut shuts companions out. It is called by the receiver, so that nothing more of
// them is received than what is queued.
func (c *companions) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.openedAt) > 2*leastPause {
		c.pause = leastPause // it has been well for a while
	}
	if c.err = c.filter(true); c.err != nil {
		c.poke()
		return
	}
	c.off.Store(true)
	c.switches++
	c.until = now.Add(c.pause)
	c.pause = min(2*c.pause, mostPause)
	c.poke()
}

// open lets companions in again, if it is time.
func (c *companions) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.off.Load() || c.now().Before(c.until) {
		return
	}
	if c.err = c.filter(false); c.err != nil {
		c.until = c.now().Add(leastPause)
		return
	}
	c.off.Store(false)
	c.openedAt = c.now()
}

// poke makes run look.
func (c *companions) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// run tells the changes, and lets companions in when it is time, until ctx ends.
// enabled says whether the kernel makes companions, if that is known.
func (c *companions) run(ctx context.Context, enabled func() (on, known bool), tell func(off bool, until time.Time), warn func(error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	asks := 20 // the answer comes soon after the start, if at all
	for {
		if on, known := enabled(); known {
			c.expected.Store(on && c.auto)
			c.certain.Store(true)
			asks = 0
		} else {
			asks--
		}
		c.open()
		c.mu.Lock()
		off, until, err := c.off.Load(), c.until, c.err
		changed := off != c.told
		c.told, c.err = off, nil
		c.mu.Unlock()
		if err != nil {
			warn(err)
		}
		if changed {
			tell(off, until)
		}
		switch {
		case off:
			timer.Reset(max(time.Until(until), time.Millisecond))
		case asks > 0:
			timer.Reset(250 * time.Millisecond)
		default:
			timer.Stop()
		}
		select {
		case <-c.changed:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// status is what status shows.
func (c *companions) status() *api.Companions {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := &api.Companions{
		State: "on", Joined: c.joined.Load(), Foreign: c.foreign.Load(), Late: c.late.Load(), ShutOut: c.switches,
		Join: c.join.Seconds(),
	}
	switch {
	case !c.auto:
		st.State = "disabled"
	case c.off.Load():
		st.State, st.Until = "off", c.until
	case !c.expected.Load():
		st.State = "none"
	}
	if c.asker != nil {
		asked, found, dropped := c.asker.Counts()
		st.Proc = &api.Proc{Asked: asked, Found: found, Dropped: dropped}
	}
	return st
}

// tellCompanions says that companions are shut out, or let in again.
func (d *daemon) tellCompanions(off bool, until time.Time) {
	was, is := "off", "on"
	if off {
		was, is = is, was
	}
	ev := ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(ipe.WhatCompanions), Old: []byte(was), New: []byte(is)}
	ev.Effect = ipe.AuditEffect(&ev)
	d.emitter.emit(&ev)
	if off {
		d.log.Warn("the records that say who asked for an access are shut out, because more than 2000 within a second belonged to nobody's access: somebody may want it so; audit rules that record less would mend it, source.companions: off ends the attempts",
			zap.Time("until", until))
		return
	}
	d.log.Info("the records that say who asked for an access are received again")
}

// pidOf returns the process that an access names: pid= comes before anything that a
// process can choose.
func pidOf(text []byte) (uint64, bool) { return auditrec.Uint(word(text, " pid=")) }

// word returns the value behind the first place of a key, nil if there is none.
func word(text []byte, key string) []byte {
	i := bytes.Index(text, []byte(key))
	if i < 0 {
		return nil
	}
	value, _, _ := bytes.Cut(text[i+len(key):], []byte(" "))
	return value
}

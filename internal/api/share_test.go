package api

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// crowd counts who is at work at the same time.
type crowd struct{ now, most, all atomic.Int64 }

// work is one piece of it; others are let come in its middle.
func (c *crowd) work() {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	for range 3 {
		runtime.Gosched()
	}
	c.now.Add(-1)
	c.all.Add(1)
}

// However many clients there are and whatever they ask for, no more of them are
// at work at the same time than there are places; and all get everything.
func TestClientsShareThePlacesThereAre(t *testing.T) {
	t.Parallel()
	const clients, events = 40, 600
	var c crowd
	w := start(t, func(o *Options, _ *timeouts) {
		o.Share = fairshare.NewPool(1, time.Hour)
		o.Policy = func(uint16) *ipe.Policy { c.work(); return nil }
		status := o.Status
		o.Status = func() Status { c.work(); return status() }
	})
	w.spool.Append(denials(1, events))
	queries := []string{"", "last=500", "since=1h", "paths=/nowhere/**", "last=10000&paths=/nowhere/**", "follow=false&not.ops=READ"}
	lines := []int{events, 500, events, 0, 0, events}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			got := 0
			for _, line := range w.events(queries[i%len(queries)]) {
				if line != "" {
					got++
				}
			}
			if want := lines[i%len(queries)]; got != want {
				t.Errorf("%q: %d events, want %d", queries[i%len(queries)], got, want)
			}
			w.page("GET", "/status")
		})
	}
	wg.Wait()
	if most := c.most.Load(); most != 1 || c.all.Load() < clients*events {
		t.Errorf("%d at work at the same time, want 1; %d pieces of work", most, c.all.Load())
	}
}

// A client that does not read, and one whose stream has nothing to send, have no
// place.
func TestWhoWaitsForAClientHasNoPlace(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *Options, _ *timeouts) { o.Share = fairshare.NewPool(1, time.Hour) })
	w.spool.Append(denials(1, 2000)) // more than fits between us
	for range 10 {
		w.dial(follow)
		w.dial("GET /events?paths=/nowhere&follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "all are clients", func() bool { return w.Status().Feed.Clients == 20 })
	for range 20 {
		if got := len(w.events("")); got != 2000 {
			t.Errorf("%d events", got)
		}
	}
}

// Package coalesce counts accesses that repeat. The first access of a kind is
// written at once; what follows it within a span is counted, and then told by one
// event "repeated" with the count.
package coalesce

import (
	"context"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of a span.
const (
	Shortest = 10 * time.Millisecond
	Longest  = time.Hour
)

// Emit writes an event "repeated". id says of which spool, host and boot it is.
// Both live until it returns.
type Emit func(ctx context.Context, ev *ipe.Event, id *format.Identity) error

// New returns a coalescer that counts for length. It holds about size bytes at most:
// beyond that it closes windows before they end. It is for one goroutine, which is
// also that of emit.
func New(length time.Duration, size int, emit Emit) *Coalescer {
	return &Coalescer{length: length, most: size, emit: emit, windows: make(map[string]*window), batch: 1}
}

// SetHost says what the host is called from here on.
func (c *Coalescer) SetHost(name []byte) { c.decoder.Host = name }

// Add counts ev, the event of e, if another one of its kind was written a short
// time ago, and reports whether it did; else ev is to be written. Before that it
// emits what has to come first. early is how many counts it emitted before their
// time, because memory was short.
func (c *Coalescer) Add(ctx context.Context, e *spool.Entry, ev *ipe.Event, id *format.Identity) (counted bool, early uint64, err error) {
	if ev.Kind != ipe.KindAccess || id.Spool != uint64(e.ID) || id.Seq != e.Seq {
		return false, 0, nil // no access, or an event of an input, which keeps its own number
	}
	// Sequence numbers of an event are those of one id.
	for w := front(&c.counted); w != nil && w.first.ID != e.ID; w = front(&c.counted) {
		if err := c.close(ctx, w); err != nil {
			return false, 0, err
		}
	}
	w := c.find(ev, id)
	if w != nil && c.over(w, ev) {
		if err := c.close(ctx, w); err != nil {
			return false, 0, err
		}
		w = nil
	}
	if w != nil {
		c.count(w, e, ev)
	} else {
		c.begin(ev, time.Now())
	}
	for c.size > c.most {
		first := front(&c.order)
		if first.count > 0 {
			early++
		}
		if err := c.close(ctx, first); err != nil {
			return false, early, err
		}
	}
	return w != nil, early, nil
}

// Empty reports whether there is no window, and so nothing that was counted.
func (c *Coalescer) Empty() bool { return c.order.Len() == 0 }

// Due reports whether a window has ended by the clock.
func (c *Coalescer) Due(now time.Time) bool {
	w := front(&c.order)
	return w != nil && now.Sub(w.open) >= c.length
}

// End returns when the next window ends; ok is false if there is none.
func (c *Coalescer) End() (t time.Time, ok bool) {
	if w := front(&c.order); w != nil {
		return w.open.Add(c.length), true
	}
	return t, false
}

// Close closes the window that ends first, if there is one, and emits what it has
// counted.
func (c *Coalescer) Close(ctx context.Context) error {
	if w := front(&c.order); w != nil {
		return c.close(ctx, w)
	}
	return nil
}

// Kept returns where to go on after a restart of a reader that stands at place:
// what was counted, but not told, has to be counted again.
func (c *Coalescer) Kept(place spool.Cursor) spool.Cursor {
	if w := front(&c.counted); w != nil {
		return spool.Cursor{ID: w.first.ID, Seq: w.first.Seq - 1}
	}
	return place
}

// Size returns how many bytes the windows take, about.
func (c *Coalescer) Size() int { return c.size }

// close closes a window and emits what it has counted.
func (c *Coalescer) close(ctx context.Context, w *window) error {
	ev := c.release(w)
	if ev == nil {
		return nil
	}
	return c.emit(ctx, ev, &c.identity)
}

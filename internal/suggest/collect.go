package suggest

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Collector takes the denials out of a history, in bounded memory. One
// goroutine at a time may use it.
type Collector struct {
	// Host is the name of this host. Denials on others cannot be measured here.
	Host string

	groups   tally.Groups
	lost     uint64 // events that tell of losses
	unparsed uint64
	foreign  uint64
	another  string // one of the hosts of those
	failed   uint64
	unread   tally.Unread

	on                       *eventsource.Host // whose events come; nil before the first
	skipped, leftOut, shared uint64            // as in eventsource.Host, of this one
	unnumbered               bool
}

// Add takes the next event.
func (c *Collector) Add(ev *eventsource.Event) {
	if ev.On != nil && ev.On != c.on {
		c.on = ev.On
		if !ev.Elsewhere(c.Host) {
			c.holes()
		}
	}
	switch {
	case ev.IsLoss() && string(ev.Stage) == ipe.StageSink:
		// One receiver has not got it. Where that leaves a hole, the hole counts.
	case ev.IsLoss():
		c.lost++
	case ev.Kind == ipe.KindUnparsed:
		c.unparsed++
	case ev.Action != ipe.ActionDeny:
	case ev.Elsewhere(c.Host):
		c.foreign = eventsource.Sum(c.foreign, tally.Times(&ev.Event))
		c.another = string(ev.Host)
	default:
		c.groups.Add(&ev.Event, tally.Times(&ev.Event), ev)
	}
}

// holes counts what is missing of the host whose events come.
func (c *Collector) holes() {
	h := c.on
	c.skipped, c.leftOut = eventsource.Sum(c.skipped, h.Skipped), eventsource.Sum(c.leftOut, h.LeftOut)
	if h.Skipped+h.LeftOut == 0 {
		c.shared = eventsource.Sum(c.shared, h.Shared)
	}
	c.unnumbered = c.unnumbered || h.Unnumbered
}

// Fail takes an error that ended a source too early.
func (c *Collector) Fail(err error) {
	if !c.unread.Fail(err) {
		c.failed++
	}
}

// Denials returns what was denied, the worst first.
func (c *Collector) Denials() []Denial { return Denials(c.groups.List()) }

// Elsewhere returns how many denials on other hosts were left out.
func (c *Collector) Elsewhere() uint64 { return c.foreign }

// Gaps returns what may be missing among the denials, a sentence each.
func (c *Collector) Gaps() []string {
	var gaps []string
	add := func(n uint64, format string, args ...any) {
		if n > 0 {
			gaps = append(gaps, fmt.Sprintf(format, args...))
		}
	}
	add(c.foreign, "Denials on other hosts, such as %s: %d. Run suggest there.", text.Name(c.another), c.foreign)
	add(c.lost, "Events that tell of losses: %d. What was lost cannot be known.", c.lost)
	add(c.skipped, "Events missing by their sequence numbers: %d.", c.skipped)
	add(c.shared, "Events missing by the sequence numbers, of this host or of others that have the same spool: %d.", c.shared)
	if c.unnumbered {
		gaps = append(gaps, "Whether events are missing is not known: there are too many sequence numbers to tell.")
	}
	add(c.leftOut, "Events that the sink did not get, by its match: %d.", c.leftOut)
	add(c.unparsed, "Records that cannot be read: %d.", c.unparsed)
	add(c.unread.Sources(), "Files of which not everything could be read: %d.", c.unread.Sources())
	add(c.failed, "Files that could not be read to their end: %d.", c.failed)
	add(c.groups.GivenUp, "Denials of %d more kinds, %d events, for which there was no room.", c.groups.GivenUp, c.groups.GivenUpEvents)
	return gaps
}

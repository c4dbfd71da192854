package report

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Report sums up events of one host after the other, as package eventsource gives
// them. The zero Report has seen none. One goroutine at a time may use it.
type Report struct {
	// Origin says where the events come from.
	Origin string

	// Since leaves out of the counts what happened before, in milliseconds since
	// 1970 UTC; what was in force then counts. 0: everything.
	Since int64

	// Several says that there is more than one host. It must be set before the
	// first event.
	Several bool

	// Match says which accesses count, and Kinds which other events are shown. What
	// was lost always counts. Nil: all.
	Match func(*eventsource.Event) bool
	Kinds func(ipe.Kind) bool

	// NewSince marks the denials of objects that were never denied before, in
	// milliseconds since 1970 UTC, also before Since; 0: none is marked.
	NewSince int64

	// By sums the denials up by one of tally.Dimensions, in place of listing them.
	By string

	// Limit is how many denials or sums are shown in text, 0: as many as there is
	// room for. All shows everything, the timeline too.
	Limit int
	All   bool

	// Package returns of which package a file is, empty where that is not known. Nil:
	// it is not asked for.
	Package func(file string) string

	// Unread is what was not read of the sources.
	Unread tally.Unread

	total  counts
	failed uint64 // sources that were not read whole
	errors []string

	skipped, leftOut, repeats uint64 // of all hosts
	unnumbered                bool

	on     *eventsource.Host // whose events come; nil before the first
	begun  bool              // on has had an event
	host   hostState         // of it
	hosts  hostList
	groups tally.Groups
	by     tally.By
	known  firsts

	timeline  timeline
	histogram histogram
	spans     spans // of the one host, if there is one
}

// counts is what is counted, of one host and of all.
type counts struct {
	events   uint64
	verdicts [5]uint64 // by ipe.Verdict
	unparsed uint64
	forged   uint64
	lost     tally.Loss

	first, last int64 // times of the events that have one, with timed
	timed       bool
}

// hostState is what is known of the host whose events come.
type hostState struct {
	counts
	bootID  []byte // of the last event
	inForce activepolicy.State
	changed int64 // when the policy in force became that, with dated
	dated   bool
	noIPE   bool // its kernel does not use IPE
}

// maxErrors bounds the errors that a report names.
const maxErrors = 100

// Add takes the next event.
func (r *Report) Add(ev *eventsource.Event) {
	if !r.begun || ev.On != r.on {
		r.endHost()
		r.begun, r.on, r.groups.Several = true, ev.On, r.Several
	}
	r.host.observe(ev)
	if !r.Several {
		r.spans.observe(ev)
	}
	access := ev.Kind == ipe.KindAccess || ev.Kind == ipe.KindRepeated
	if r.NewSince != 0 && access && ev.Action == ipe.ActionDeny {
		r.known.observe(&ev.Event)
	}
	if r.Since != 0 && ev.Has&ipe.HasStamp != 0 && ev.Time < r.Since {
		return
	}
	switch {
	case access && r.Match != nil && !r.Match(ev):
		return
	case !access && r.Kinds != nil && !r.Kinds(ev.Kind):
		r.total.lost.Add(&ev.Event)
		r.host.lost.Add(&ev.Event)
		return
	}
	r.total.add(&ev.Event)
	r.host.counts.add(&ev.Event)
	if access && ev.Has&ipe.HasStamp != 0 {
		r.histogram.add(ev.Time, ev.Verdict, tally.Times(&ev.Event))
	}
	switch {
	case access && ev.Action == ipe.ActionDeny && r.By != "":
		r.by.Of = r.By
		r.by.Add(ev)
		fallthrough
	case access && ev.Action == ipe.ActionDeny:
		r.groups.Add(&ev.Event, tally.Times(&ev.Event), ev)
	case access, ev.Kind == ipe.KindHeartbeat, ev.Kind == ipe.KindCheckpoint: // nothing happened
	default:
		r.timeline.add(ev)
	}
}

// endHost puts the host whose events came to the others.
func (r *Report) endHost() {
	if !r.begun {
		return
	}
	r.begun = false
	r.timeline.endHost()
	stray := false
	if on := r.on; on != nil {
		r.skipped, r.leftOut, r.repeats = eventsource.Sum(r.skipped, on.Skipped), eventsource.Sum(r.leftOut, on.LeftOut), eventsource.Sum(r.repeats, on.Repeats)
		r.unnumbered, stray = r.unnumbered || on.Unnumbered, on.Stray
	}
	if !stray {
		r.hosts.add(r.on, &r.host)
	}
	r.host = hostState{}
}

// add counts an event.
func (c *counts) add(ev *ipe.Event) {
	c.events++
	if ev.Has&ipe.HasStamp != 0 {
		if !c.timed {
			c.first, c.last, c.timed = ev.Time, ev.Time, true
		}
		c.first, c.last = min(c.first, ev.Time), max(c.last, ev.Time)
	}
	switch ev.Kind {
	case ipe.KindAccess, ipe.KindRepeated:
		c.verdicts[ev.Verdict] = eventsource.Sum(c.verdicts[ev.Verdict], tally.Times(ev))
	case ipe.KindUnparsed:
		c.unparsed++
	case ipe.KindForged:
		c.forged = eventsource.Sum(c.forged, ev.Count)
	case ipe.KindLost:
		c.lost.Add(ev)
	}
}

// Fail takes an error that ended a source too early.
func (r *Report) Fail(err error) {
	r.Unread.Fail(err)
	r.failed++
	if len(r.errors) < maxErrors {
		r.errors = append(r.errors, err.Error())
	}
}

// observe keeps what is in force, and since when, in the boot of the last event.
func (h *hostState) observe(ev *eventsource.Event) {
	switch {
	case ev.IPEStatus != nil:
		h.noIPE = string(ev.IPEStatus) == "absent"
	case ev.Kind.FromKernel():
		h.noIPE = false
	}
	if !bytes.Equal(h.bootID, ev.BootID) {
		if h.bootID != nil {
			h.inForce, h.dated = activepolicy.State{}, false
		}
		h.bootID = bytes.Clone(ev.BootID)
	}
	is := &ev.InForce
	h.inForce.Enforcing = is.Enforcing
	if is.Known == h.inForce.Known && is.Active == h.inForce.Active && is.Policy.Equal(&h.inForce.Policy) {
		return
	}
	h.inForce = *is
	h.inForce.Policy = is.Policy.Clone()
	h.changed, h.dated = ev.Time, ev.Has&ipe.HasStamp != 0
}

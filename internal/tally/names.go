package tally

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Names counts names, as many as there is room for.
type Names struct {
	counts map[string]*uint64
	others uint64
}

// Name is one of Names.
type Name struct {
	Name  []byte
	Count uint64
}

// List returns the names, the most frequent first, and the count of the others: those
// that there was no room for, and what had no name.
func (n *Names) List() (list []Name, others uint64) {
	for name, count := range n.counts {
		list = append(list, Name{[]byte(name), *count})
	}
	slices.SortFunc(list, func(a, b Name) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), bytes.Compare(a.Name, b.Name))
	})
	return list, n.others
}

// add counts a name. Those of commands are at most 15 bytes in records
// (TASK_COMM_LEN in include/linux/sched.h); what is longer than any name is one of
// the others.
func (n *Names) add(name []byte, times uint64) {
	count := n.counts[string(name)]
	switch {
	case name == nil || len(name) > maxName || count == nil && len(n.counts) >= maxNames:
		n.others = eventsource.Sum(n.others, times)
		return
	case n.counts == nil:
		n.counts = make(map[string]*uint64)
	}
	if count == nil {
		count = new(uint64)
		n.counts[string(name)] = count
	}
	*count = eventsource.Sum(*count, times)
}

// join adds other names.
func (n *Names) join(other *Names) {
	for name, times := range other.counts {
		n.add([]byte(name), *times)
	}
	n.others = eventsource.Sum(n.others, other.others)
}

// who counts where it ran and as whom, if that is known.
func (g *Group) who(ev *ipe.Event, n uint64) {
	g.Contained = g.Contained || Contained(ev)
	if unit := UnitOf(ev); unit != nil {
		g.Units.add(unit, n)
	}
	if ev.Has&ipe.HasUID != 0 {
		var scratch [10]byte
		g.Users.add(strconv.AppendUint(scratch[:0], uint64(ev.UID), 10), n)
	}
}

// Contained reports whether the caller is known to have run in a container, so that
// its paths are not those of the host.
func Contained(ev *ipe.Event) bool { return ev.Container != nil || ev.Pod != nil }

// UnitOf returns the unit in which the caller ran: that of the user's manager where
// there is one. Nil: not known.
func UnitOf(ev *ipe.Event) []byte {
	if ev.UserUnit != nil {
		return ev.UserUnit
	}
	return ev.Unit
}

// lastEvent says how the last event of something is called.
type lastEvent struct {
	at       spool.Cursor
	time     int64
	serial   uint64
	firstSeq uint64 // of a "repeated"
	timed    bool
}

// observe takes an event; of one that stands for several the first is meant.
func (l *lastEvent) observe(ev *eventsource.Event) {
	if ev.Time < l.time {
		return
	}
	*l = lastEvent{at: ev.At, time: ev.Time, serial: ev.Serial, timed: ev.Has&ipe.HasStamp != 0}
	if ev.Has&ipe.HasSeqRange != 0 {
		l.firstSeq = ev.FirstSeq
	}
}

// appendID appends the id of the event, as lines of text have it. Nothing where it
// has none.
func (l *lastEvent) appendID(dst []byte) []byte {
	ev := ipe.Event{Kind: ipe.KindAccess, Time: l.time, Serial: l.serial}
	if l.timed {
		ev.Has = ipe.HasStamp
	}
	id := format.Identity{Spool: uint64(l.at.ID), Seq: max(l.at.Seq, l.firstSeq)}
	return id.AppendID(dst, &ev)
}

// Callers are who caused accesses of several groups. The zero Callers is nobody.
type Callers struct{ comms, units, users Names }

// Join adds those of a group.
func (c *Callers) Join(g *Group) {
	c.comms.join(&g.Comms)
	c.units.join(&g.Units)
	c.users.join(&g.Users)
}

// String names the first of them, with users as p has them.
func (c *Callers) String(p *text.Page) string {
	name := func(name []byte) string { return text.Name(name) }
	line := c.comms.text(name, "an unknown command")
	if users := c.users.text(p.UserName, ""); users != "" {
		line += "; " + users
	}
	if units := c.units.text(name, ""); units != "" {
		line += "; in " + units
	}
	return line
}

// AppendJSON appends them as a JSON object with the lists of a group.
func (c *Callers) AppendJSON(dst []byte) []byte {
	start := len(dst)
	dst = c.comms.appendJSON(dst, "comm", format.AppendJSONText)
	dst = c.units.appendJSON(dst, "unit", format.AppendJSONText)
	dst = c.users.appendJSON(dst, "uid", appendNumber)
	dst[start] = '{' // in place of the first comma
	return append(dst, '}')
}

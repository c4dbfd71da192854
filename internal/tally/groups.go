package tally

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of Groups.
const (
	maxGroups = 10_000
	maxBytes  = 32 << 20 // of the strings of all groups
	maxNames  = 16       // commands, units and users that one group names
	maxName   = 128      // bytes of a name
)

// Group is one kind of access that was seen at least once: the same verdict,
// operation, hook, object, rule and policy. Of several hosts it is the same
// verdict, operation, hook, path and rule: their inodes have nothing in common.
type Group struct {
	// Event is what its events have in common. It has no time and no process.
	Event ipe.Event

	Count uint64
	Hosts uint64 // on how many
	on    *eventsource.Host

	// First and Last are the times of the first and the last of its events that
	// have one, in milliseconds since 1970 UTC; with Timed.
	First, Last int64
	Timed       bool

	// Package is for the user of the groups to set: the package of the object.
	Package string

	// New is for the user of the groups to set: it marks what is new.
	New bool

	// Note is whatever the caller of Join has given first.
	Note any

	// Contained says that some of its events are from containers.
	Contained bool

	// Comms, Units and Users are who asked: commands, units of the service manager,
	// and ids of users.
	Comms, Units, Users Names

	last    lastEvent
	dialect ipe.Dialect
	pid     uint64 // of the last event; 0 when not known
	size    int    // bytes of strings
}

// Sample returns what the events have in common as the last of them: with its
// dialect, process and time. It views the group.
func (g *Group) Sample() ipe.Event {
	ev := g.Event
	ev.Dialect, ev.PID, ev.Time = g.dialect, g.pid, g.Last
	if g.pid != 0 {
		ev.Has |= ipe.HasPID
	}
	if g.Timed {
		ev.Has |= ipe.HasStamp
	}
	return ev
}

// Groups counts accesses by their kind, in bounded memory. The zero Groups is
// empty.
type Groups struct {
	// Several says that they are of several hosts. It must be set before the first
	// event.
	Several bool

	byKey map[string]*Group
	size  int
	key   []byte

	// GivenUp is how many groups were given up for others, and GivenUpEvents how
	// many events they had. One that comes again then begins anew.
	GivenUp, GivenUpEvents uint64
}

// Add counts an access that happened n times on a host. What is of one host must
// come without that of another in between.
//
// from is the event as it was read, which tells the host, who asked, and how it is
// called; nil where nothing of that is known.
func (gs *Groups) Add(ev *ipe.Event, n uint64, from *eventsource.Event) {
	g := gs.of(ev)
	if gs.Several {
		g.agree(ev)
	}
	var on *eventsource.Host
	if from != nil {
		on = from.On
		g.last.observe(from)
		g.who(&from.Event, n)
	}
	if g.Hosts == 0 || g.on != on {
		g.Hosts, g.on = g.Hosts+1, on
	}
	g.Count = eventsource.Sum(g.Count, n)
	if g.dialect = ev.Dialect; ev.PID != 0 {
		g.pid = ev.PID
	}
	if ev.Has&ipe.HasStamp != 0 {
		g.at(ev.Time)
	}
	if ev.Kind == ipe.KindRepeated && ev.Has&ipe.HasSince != 0 {
		g.at(ev.Since)
	}
	g.Comms.add(ev.Comm, n)
}

// of returns the group of ev, a new one if there is none.
func (gs *Groups) of(ev *ipe.Event) *Group {
	gs.key = gs.appendKey(gs.key[:0], ev)
	g := gs.byKey[string(gs.key)]
	if g == nil {
		g = newGroup(ev, len(gs.key))
		if len(gs.byKey) >= maxGroups || gs.size+g.size > maxBytes && len(gs.byKey) > 0 {
			gs.giveUp()
		}
		if gs.byKey == nil {
			gs.byKey = make(map[string]*Group)
		}
		gs.byKey[string(gs.key)] = g
		gs.size += g.size
	}
	return g
}

// Join counts a group of one host. note says something of it, which the first of
// its kind keeps.
func (gs *Groups) Join(other *Group, on *eventsource.Host, note any) {
	g := gs.of(&other.Event)
	if g.Note == nil {
		g.Note = note
	}
	g.agree(&other.Event)
	if g.Hosts == 0 || g.on != on {
		g.Hosts, g.on = g.Hosts+1, on
	}
	g.Count = eventsource.Sum(g.Count, other.Count)
	g.dialect, g.pid = other.dialect, other.pid
	if other.Timed {
		g.at(other.First)
		g.at(other.Last)
	}
	g.Comms.join(&other.Comms)
	g.Units.join(&other.Units)
	g.Users.join(&other.Users)
	g.Contained = g.Contained || other.Contained
	if other.last.time >= g.last.time {
		g.last = other.last
	}
}

// agree leaves in the event what it has in common with ev, beside the key.
func (g *Group) agree(ev *ipe.Event) {
	has := &g.Event
	if has.Ino != ev.Ino || (has.Has^ev.Has)&ipe.HasIno != 0 {
		has.Ino, has.Has = 0, has.Has&^ipe.HasIno
	}
	if !bytes.Equal(has.Dev, ev.Dev) {
		has.Dev = nil
	}
	if !has.ActivePolicy.Equal(&ev.ActivePolicy) {
		has.ActivePolicy = ipe.Policy{}
	}
}

// at takes the time of one of its events.
func (g *Group) at(t int64) {
	if !g.Timed {
		g.First, g.Last, g.Timed = t, t, true
	}
	g.First, g.Last = min(g.First, t), max(g.Last, t)
}

// Events returns how many events the groups have.
func (gs *Groups) Events() (n uint64) {
	for _, g := range gs.byKey {
		n += g.Count
	}
	return n
}

// List returns the groups, the worst first.
func (gs *Groups) List() []*Group {
	return slices.SortedFunc(maps.Values(gs.byKey), worse)
}

// giveUp forgets the quarter of the groups, and what takes the bytes beyond
// half the bound, that matters least.
func (gs *Groups) giveUp() {
	list := gs.List()
	clear(gs.byKey)
	gs.size = 0
	for i, g := range list {
		if i >= maxGroups*3/4 || gs.size+g.size > maxBytes/2 {
			gs.GivenUp++
			gs.GivenUpEvents += g.Count
			continue
		}
		gs.byKey[string(gs.appendKey(nil, &g.Event))] = g
		gs.size += g.size
	}
}

// worse orders groups for an operator: what was denied before what would have
// been, then by how often and how lately, then in any order that is always the
// same.
func worse(a, b *Group) int {
	if n := cmp.Or(
		cmp.Compare(badness(b.Event.Verdict), badness(a.Event.Verdict)),
		cmp.Compare(b.Count, a.Count),
		cmp.Compare(b.Last, a.Last),
		bytes.Compare(a.Event.Path, b.Event.Path),
	); n != 0 {
		return n
	}
	return bytes.Compare(appendKey(nil, &a.Event), appendKey(nil, &b.Event))
}

func badness(v ipe.Verdict) int {
	switch v {
	case ipe.VerdictDenied:
		return 3
	case ipe.VerdictUnknown:
		return 2
	case ipe.VerdictWouldDeny:
		return 1
	}
	return 0
}

// newGroup returns the group of ev, without any event yet. Each of its strings
// is there once more in the key.
func newGroup(ev *ipe.Event, key int) *Group {
	g := &Group{Event: ipe.Event{
		Kind: ipe.KindAccess, Verdict: ev.Verdict, Op: bytes.Clone(ev.Op), Hook: bytes.Clone(ev.Hook),
		Path: bytes.Clone(ev.Path), Dev: bytes.Clone(ev.Dev), Ino: ev.Ino, Has: ev.Has & ipe.HasIno,
		Rule: bytes.Clone(ev.Rule), RuleKind: ev.RuleKind, Action: ev.Action, Enforcing: ev.Enforcing,
		ActivePolicy: ev.ActivePolicy.Clone(),
	}}
	g.size = 2 * key
	for _, p := range ev.RuleProperties {
		g.Event.RuleProperties = append(g.Event.RuleProperties, bytes.Clone(p))
		g.size += len(p)
	}
	return g
}

// appendKey appends what tells these groups apart.
func (gs *Groups) appendKey(dst []byte, ev *ipe.Event) []byte {
	if !gs.Several {
		return appendKey(dst, ev)
	}
	return appendStrings(append(dst, byte(ev.Verdict)), ev.Op, ev.Hook, ev.Path, ev.Rule)
}

// appendKey appends what tells groups of one host apart.
func appendKey(dst []byte, ev *ipe.Event) []byte {
	dst = append(dst, byte(ev.Verdict), byte(ev.Has&ipe.HasIno))
	dst = binary.LittleEndian.AppendUint64(dst, ev.Ino)
	return appendStrings(dst, ev.Op, ev.Hook, ev.Path, ev.Dev, ev.Rule,
		ev.ActivePolicy.Name, ev.ActivePolicy.Version, ev.ActivePolicy.Digest)
}

func appendStrings(dst []byte, list ...[]byte) []byte {
	for _, s := range list {
		n := uint64(len(s)) + 1
		if s == nil {
			n = 0
		}
		dst = append(binary.AppendUvarint(dst, n), s...)
	}
	return dst
}

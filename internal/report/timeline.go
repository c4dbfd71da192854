package report

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of the timeline.
const (
	maxItems     = 1000
	maxItemBytes = 8 << 20 // of all of them
	maxRaw       = 256     // bytes of a record that could not be read
	lookBack     = 4       // items that an event can be one more of
)

// item is one entry of the timeline: an event, and others that say the same.
type item struct {
	event  ipe.Event
	at     spool.Cursor
	host   []byte
	bootID []byte
	alike  []byte // the JSON of what they have in common
	times  uint64
	last   int64 // of the last of them, with HasStamp
}

// timeline is what happened to policies, modes and the stream itself.
type timeline struct {
	host    items  // of the host whose events come
	all     items  // of those that are over, in no order
	givenUp uint64 // events
}

// items are entries of a timeline in bounded memory.
type items struct {
	list []item
	size int
}

// add takes an event that is no access.
func (t *timeline) add(ev *eventsource.Event) {
	kept := own(ev)
	alike := common(kept)
	list := t.host.list
	for i := len(list) - 1; i >= max(0, len(list)-lookBack); i-- {
		it := &list[i]
		if !repeats(it.event.Kind) {
			break // whatever is the same again comes behind it
		}
		if bytes.Equal(it.alike, alike) {
			it.more(kept)
			return
		}
	}
	it := item{event: *kept, at: ev.At, bootID: bytes.Clone(ev.BootID), alike: alike, times: 1, last: kept.Time}
	if ev.On != nil {
		it.host = ev.On.Name
	}
	t.givenUp += t.host.add(it, maxItems)
}

// endHost puts the entries of the host to those of the others, and keeps the
// newest of all.
func (t *timeline) endHost() {
	for _, it := range t.host.list {
		t.all.list = append(t.all.list, it)
		t.all.size += 2 * len(it.alike)
	}
	t.host = items{}
	if len(t.all.list) > 2*maxItems || t.all.size > maxItemBytes {
		t.list()
	}
}

// list returns the entries by their times, the newest last.
func (t *timeline) list() []item {
	all := items{}
	for _, it := range sorted(t.all.list) {
		t.givenUp += all.add(it, maxItems)
	}
	t.all = all
	return all.list
}

// add adds an entry, gives up the oldest where there are too many, and returns how
// many events these had.
func (l *items) add(it item, bound int) (givenUp uint64) {
	l.size += 2 * len(it.alike)
	l.list = append(l.list, it)
	for len(l.list) > bound || l.size > maxItemBytes && len(l.list) > 1 {
		l.size -= 2 * len(l.list[0].alike)
		givenUp += l.list[0].times
		l.list = l.list[1:]
	}
	return givenUp
}

// sorted sorts entries by their times. Of one host they stay as they are.
func sorted(list []item) []item {
	slices.SortStableFunc(list, func(a, b item) int { return cmp.Compare(a.event.Time, b.event.Time) })
	return list
}

// repeats reports whether events of the kind come again and again and leave
// what is in force as it was.
func repeats(k ipe.Kind) bool {
	return k == ipe.KindLost || k == ipe.KindForged || k == ipe.KindUnparsed || k == ipe.KindPolicyLoad
}

// more adds an event that says the same.
func (it *item) more(ev *ipe.Event) {
	it.times++
	it.event.Count = eventsource.Sum(it.event.Count, ev.Count)
	if ev.Has&ipe.HasStamp != 0 {
		it.last = max(it.last, ev.Time)
	}
	if ev.Has&it.event.Has&ipe.HasUntil != 0 {
		it.event.Until = max(it.event.Until, ev.Until)
	}
	it.event.Has &^= ipe.HasSeqRange // there is no one range
}

// own returns a copy of what the timeline needs of ev.
func own(ev *eventsource.Event) *ipe.Event {
	c := &ipe.Event{
		Kind: ev.Kind, Dialect: ev.Dialect, Type: ev.Type, Time: ev.Time, Serial: ev.Serial,
		Has:       ev.Has &^ (ipe.HasPID | ipe.HasIno),
		Enforcing: ev.Enforcing, OldEnforcing: ev.OldEnforcing,
		Policy: ev.Policy.Clone(), OldPolicy: ev.OldPolicy.Clone(),
		AUID: ev.AUID, UID: ev.UID, SES: ev.SES, LSM: bytes.Clone(ev.LSM), Res: ev.Res, Errno: ev.Errno,
		Count: ev.Count, Accuracy: ev.Accuracy, Stage: bytes.Clone(ev.Stage), Sink: bytes.Clone(ev.Sink),
		Since: ev.Since, Until: ev.Until, FirstSeq: ev.FirstSeq, LastSeq: ev.LastSeq,
		Version: bytes.Clone(ev.Version), Kernel: bytes.Clone(ev.Kernel), IPEStatus: bytes.Clone(ev.IPEStatus), SuccessAudit: ev.SuccessAudit,
		Source: bytes.Clone(ev.Source),
		What:   bytes.Clone(ev.What), Old: bytes.Clone(ev.Old), New: bytes.Clone(ev.New), Effect: bytes.Clone(ev.Effect),
	}
	if ev.Kind == ipe.KindAuditConfig {
		c.Comm, c.Exe, c.Unit = bytes.Clone(ev.Comm), bytes.Clone(ev.Exe), bytes.Clone(ev.Unit)
	}
	if ev.Kind == ipe.KindUnparsed {
		c.Raw = bytes.Clone(ev.Raw[:min(len(ev.Raw), maxRaw)])
	}
	return c
}

// common returns what events that say the same have in common.
func common(ev *ipe.Event) []byte {
	c := *ev
	c.Has &^= ipe.HasStamp | ipe.HasSince | ipe.HasUntil | ipe.HasSeqRange | ipe.HasCount
	if c.Kind == ipe.KindUnparsed {
		c.Raw = nil
	}
	return format.AppendJSON(nil, &c, &format.Context{})
}

package report

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/history"
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
	event ipe.Event
	at    spool.Cursor
	alike []byte // the JSON of what they have in common
	times uint64
	last  int64 // of the last of them, with HasStamp
}

// timeline is what happened to policies, modes and the stream itself.
type timeline struct {
	items   []item
	size    int
	givenUp uint64 // events
}

// add takes an event that is no access.
func (t *timeline) add(ev *history.Event) {
	kept := own(ev)
	alike := common(kept)
	for i := len(t.items) - 1; i >= max(0, len(t.items)-lookBack); i-- {
		it := &t.items[i]
		if !repeats(it.event.Kind) {
			break // whatever is the same again comes behind it
		}
		if bytes.Equal(it.alike, alike) {
			it.more(kept)
			return
		}
	}
	t.size += 2 * len(alike)
	t.items = append(t.items, item{event: *kept, at: ev.At, alike: alike, times: 1, last: kept.Time})
	for len(t.items) > maxItems || t.size > maxItemBytes && len(t.items) > 1 {
		t.size -= 2 * len(t.items[0].alike)
		t.givenUp += t.items[0].times
		t.items = t.items[1:]
	}
}

// repeats reports whether events of the kind come again and again and leave
// what is in force as it was.
func repeats(k ipe.Kind) bool {
	return k == ipe.KindLost || k == ipe.KindForged || k == ipe.KindUnparsed || k == ipe.KindPolicyLoad
}

// more adds an event that says the same.
func (it *item) more(ev *ipe.Event) {
	it.times++
	it.event.Count = Sum(it.event.Count, ev.Count)
	if ev.Has&ipe.HasStamp != 0 {
		it.last = max(it.last, ev.Time)
	}
	if ev.Has&it.event.Has&ipe.HasUntil != 0 {
		it.event.Until = max(it.event.Until, ev.Until)
	}
	it.event.Has &^= ipe.HasSeqRange // there is no one range
}

// own returns a copy of what the timeline needs of ev.
func own(ev *history.Event) *ipe.Event {
	c := &ipe.Event{
		Kind: ev.Kind, Dialect: ev.Dialect, Type: ev.Type, Time: ev.Time, Serial: ev.Serial,
		Has:       ev.Has &^ (ipe.HasPID | ipe.HasIno),
		Enforcing: ev.Enforcing, OldEnforcing: ev.OldEnforcing,
		Policy: ev.Policy.Clone(), OldPolicy: ev.OldPolicy.Clone(),
		AUID: ev.AUID, UID: ev.UID, SES: ev.SES, LSM: bytes.Clone(ev.LSM), Res: ev.Res, Errno: ev.Errno,
		Count: ev.Count, Accuracy: ev.Accuracy, Stage: bytes.Clone(ev.Stage),
		Since: ev.Since, Until: ev.Until, FirstSeq: ev.FirstSeq, LastSeq: ev.LastSeq,
		Version: bytes.Clone(ev.Version), Kernel: bytes.Clone(ev.Kernel), IPEStatus: bytes.Clone(ev.IPEStatus), SuccessAudit: ev.SuccessAudit,
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

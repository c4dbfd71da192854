package entry

import (
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/procinfo"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Decoder turns entries into events.
type Decoder struct {
	// Policy returns the policy that an entry's context stands for, nil where
	// it says nothing. It may be nil.
	Policy func(context uint16) *ipe.Policy

	// Host is the name of the host whose spool is read; empty if that is not
	// known. It may be replaced between two calls.
	Host []byte

	records ipe.Decoder
	process procinfo.Joiner
	lines   format.Parser
	said    format.Identity // by a line
	boot    [16]byte        // what bootID says
	bootID  [36]byte
}

// Decode reads e into ev and id. Where the class is not ipe.ClassIPE, the entry
// holds no event, and ev and id mean nothing. What was an event of ours, but is
// not one that this release can read, is a KindUnparsed with its text in Raw.
func (d *Decoder) Decode(ev *ipe.Event, id *format.Identity, e *spool.Entry) ipe.Class {
	*id = format.Identity{Spool: uint64(e.ID), Seq: e.Seq, Host: d.Host, BootID: d.bootText(e.BootID)}
	class := ipe.ClassIPE
	switch e.Type {
	case TypeInternal:
		d.line(ev, &d.said, e.Data)
	case TypeImported:
		class = d.imported(ev, id, e)
	case TypeBackfill:
		class = d.backfill(ev, e)
	default:
		class = d.records.Decode(ev, e.Type, e.Data)
	}
	if ev.Kind == ipe.KindAccess || ev.Kind == ipe.KindAuditConfig && ev.HasRecord() {
		d.annotate(ev, e)
	}
	return class
}

// annotate adds to an access, or a change of audit, what stands beside its record.
func (d *Decoder) annotate(ev *ipe.Event, e *spool.Entry) {
	if d.Policy != nil && ev.Kind == ipe.KindAccess {
		if p := d.Policy(e.Context &^ ContextOff); p != nil {
			ev.ActivePolicy = *p
		}
	}
	if e.Context&ContextOff != 0 {
		ev.Context |= ipe.ContextOff
	}
	for i := range e.Attachments {
		if a := &e.Attachments[i]; a.Type != TypeProcess {
			d.records.Join(ev, a.Type, a.Data)
		}
	}
	// Behind the companions, which know better: they are of the moment.
	for i := range e.Attachments {
		if a := &e.Attachments[i]; a.Type == TypeProcess {
			d.process.Join(ev, a.Data)
		}
	}
}

// line reads an event in JSON.
func (d *Decoder) line(ev *ipe.Event, id *format.Identity, line []byte) {
	if d.lines.Parse(ev, id, line) != nil {
		ev.Raw = line // of a KindUnparsed
	}
}

// imported reads an imported entry.
func (d *Decoder) imported(ev *ipe.Event, id *format.Identity, e *spool.Entry) ipe.Class {
	im, ok := ParseImported(e.Data)
	if !ok {
		im = Imported{Data: e.Data} // which is no event: that is said
	}
	d.said = format.Identity{}
	said := &d.said
	class := ipe.ClassIPE
	if im.Type == TypeInternal {
		d.line(ev, said, im.Data)
	} else if class = d.records.Decode(ev, im.Type, im.Data); class == ipe.ClassIPE && im.Cut {
		MakeUnparsed(ev)
	}
	// What counts entries of another spool must not seem to count those of this one.
	if said.Spool != 0 || ev.Has&ipe.HasSeqRange != 0 {
		id.Spool, id.Seq = said.Spool, said.Seq
	}
	id.Host = first(said.Host, im.Host, d.Host)
	id.BootID = first(said.BootID, im.BootID)
	return class
}

// backfill reads a record that was found in a log of this boot. It says nothing of
// the policy that judged it.
func (d *Decoder) backfill(ev *ipe.Event, e *spool.Entry) ipe.Class {
	im, ok := ParseImported(e.Data)
	if !ok {
		im = Imported{Type: ipe.TypeAccess, Data: e.Data, Cut: true} // which cannot be read: that is said
	}
	class := d.records.Decode(ev, im.Type, im.Data)
	if class == ipe.ClassIPE {
		if im.Cut {
			MakeUnparsed(ev)
		}
		ev.Source = sourceBackfill
	}
	return class
}

var sourceBackfill = []byte(ipe.SourceBackfill)

// first returns the first that is not empty, nil if all are.
func first(list ...[]byte) []byte {
	for _, b := range list {
		if len(b) > 0 {
			return b
		}
	}
	return nil
}

// MakeUnparsed leaves of ev what may be said of a record whose end is missing: a
// value may be cut and look whole.
func MakeUnparsed(ev *ipe.Event) {
	*ev = ipe.Event{
		Kind: ipe.KindUnparsed, Dialect: ev.Dialect, Type: ev.Type, Raw: ev.Raw,
		Has: ev.Has & ipe.HasStamp, Time: ev.Time, Serial: ev.Serial,
		RuleProperties: ev.RuleProperties[:0], Extra: ev.Extra[:0],
	}
}

// Missed makes ev and id say what a reader of the spool missed, and returns the
// cursor behind it. A gap of unknown size does not move the cursor, so it is told
// again if the reader stops before anything follows. The event is no entry of the
// spool, so it has no identity.
func (d *Decoder) Missed(ev *ipe.Event, id *format.Identity, g *spool.GapError) spool.Cursor {
	*id = format.Identity{Host: d.Host}
	if d.boot != ([16]byte{}) {
		id.BootID = d.bootID[:]
	}
	ev.Reset()
	ev.Kind = ipe.KindLost
	ev.Stage = []byte(ipe.StageSpool)
	ev.Has = ipe.HasUntil
	ev.Until = time.Now().UnixMilli()
	ev.Accuracy = ipe.AccuracyUnknown
	if !g.Known {
		return spool.Cursor{ID: g.ID, Seq: g.First - 1}
	}
	ev.Accuracy = ipe.AccuracyExact
	ev.Has |= ipe.HasCount | ipe.HasSeqRange
	ev.Count, ev.FirstSeq, ev.LastSeq = g.Count, g.First, g.Last
	return spool.Cursor{ID: g.ID, Seq: g.Last}
}

// bootText returns the id of a boot as the kernel writes it (%pU, lib/uuid.c), nil
// if it is not known.
func (d *Decoder) bootText(boot [16]byte) []byte {
	if boot == ([16]byte{}) {
		return nil
	}
	if boot != d.boot {
		d.boot = boot
		bootid.ID(boot).AppendTo(d.bootID[:0])
	}
	return d.bootID[:]
}

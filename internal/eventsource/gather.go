package eventsource

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// sortRoom is how many bytes of events are kept in memory. What is more goes to a
// temporary file: some 50 bytes an event, or as many as it has in it where nearly
// no two accesses are alike.
const sortRoom = 32 << 20

// reading is a source while it is read.
type reading struct {
	source
	name    string // of a file or directory
	ordered bool   // its order is that of the spool, and so tells something

	// Of the event before.
	time       int64
	timed      bool
	host, boot []byte
}

// named says in which file an error is.
func (in *reading) named(err error) error {
	if in.name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", in.name, err)
}

// gatherer keeps the events of all sources, in any order, until all of them are
// there.
type gatherer struct {
	wanted func(name []byte) bool

	hosts  hosts
	shapes shapes
	sorter sorter
	seed   maphash.Seed
	blind  bool // something is missing, and nobody knows where
	event  Event

	rec, packed []byte
}

// add keeps ev, unless it is there already.
func (g *gatherer) add(in *reading, ev *Event) error {
	if g.sorter.bound == 0 {
		g.sorter.bound, g.seed = sortRoom, maphash.MakeSeed()
	}
	if len(ev.Host) > 0 && g.wanted != nil && !g.wanted(ev.Host) {
		return nil
	}
	at, timed := in.when(ev)
	var b uint32
	if unreadable := ev.Kind == ipe.KindUnparsed || ev.Kind == ipe.KindLost || ev.Kind == ipe.KindForged; unreadable &&
		!timed && len(ev.Host)+len(ev.BootID) == 0 && ev.At.Seq == 0 {
		b = g.hosts.strayBoot()
	} else {
		b = g.hosts.boot(ev.Host, ev.BootID)
	}
	g.blind = g.blind || !timed && ev.At.Seq == 0 && ev.unplaced()
	boot := g.hosts.boots[b]
	if timed {
		boot.at(at)
	}
	hasRange := ev.Has&ipe.HasSeqRange != 0 && ev.FirstSeq > 0 && ev.FirstSeq <= ev.LastSeq
	if hasRange && ev.Kind == ipe.KindLost && ev.At.Seq == 0 {
		boot.host.told.add(ev.FirstSeq, ev.LastSeq)
	}
	var n uint32
	if ev.At.ID != 0 {
		n = g.hosts.spool(boot, ev.At.ID)
		s := g.hosts.spools[n-1]
		if timed && ev.At.Seq > 0 {
			s.time(at)
		}
		if ev.At.Seq > 0 && !g.hosts.see(s, ev.At.Seq, ev.PrevSeq, ev.Partial) {
			boot.repeats++
			return nil
		}
	}
	g.pack(ev, at, timed, b, n)
	if hasRange && ev.Kind == ipe.KindRepeated && n > 0 {
		g.hosts.count(g.hosts.spools[n-1], counted{ev.FirstSeq, ev.LastSeq, ev.Count, maphash.Bytes(g.seed, g.packed)})
	}
	rec := binary.AppendUvarint(g.rec, uint64(n))
	rec = binary.AppendUvarint(rec, ev.PID)
	rec = binary.AppendUvarint(rec, ev.Ino)
	var shape uint32
	if ev.Kind == ipe.KindAccess {
		var err error
		if shape, err = g.shapes.number(g.packed); err != nil {
			return err
		}
	}
	rec = binary.AppendUvarint(rec, uint64(shape))
	if shape == 0 {
		rec = append(rec, g.packed...)
	}
	g.rec = rec
	return g.sorter.add(rec)
}

// when returns the time by which ev is sorted. Of a source whose order tells
// something it is that of the event before, where ev has none; a loss that says no
// host or boot there is of the same, if it says nothing else. Any other event
// without a boot is one of an input that did not name it.
func (in *reading) when(ev *Event) (at int64, timed bool) {
	if in.ordered && (len(ev.BootID) > 0 || ev.Kind == ipe.KindLost) {
		if in.elsewhere(ev) {
			in.boot, in.host = nil, nil
		}
		in.boot, in.host = keep(in.boot, &ev.BootID), keep(in.host, &ev.Host)
	}
	if ev.Has&ipe.HasStamp != 0 {
		in.time, in.timed = ev.Time, true
		return ev.Time, true
	}
	return in.time, in.ordered && in.timed
}

// elsewhere reports whether ev names another host or boot than the event before.
func (in *reading) elsewhere(ev *Event) bool {
	return len(ev.BootID) > 0 && string(ev.BootID) != string(in.boot) || len(ev.Host) > 0 && string(ev.Host) != string(in.host)
}

// keep fills in what is not known, and returns what is.
func keep(was []byte, is *[]byte) []byte {
	if len(*is) == 0 {
		*is = was
		return was
	}
	if string(was) == string(*is) {
		return was
	}
	return append([]byte(nil), *is...)
}

// pack begins the record of ev with what it is sorted by, and packs what it has
// in common with others.
func (g *gatherer) pack(ev *Event, at int64, timed bool, boot, n uint32) {
	var when uint64
	if timed {
		when = max(uint64(at)^1<<63, 1)
	}
	rec := append(g.rec[:0], 0, 0, 0, 0) // for the host
	rec = binary.BigEndian.AppendUint64(rec, when)
	rec = binary.BigEndian.AppendUint64(rec, ev.Serial)
	rec = binary.BigEndian.AppendUint64(rec, uint64(ev.At.ID))
	rec = binary.BigEndian.AppendUint64(rec, ev.At.Seq)
	g.rec = binary.BigEndian.AppendUint32(rec, boot)
	e := ev.Event
	e.Time, e.Serial, e.PID, e.Ino = 0, 0, 0, 0
	if e.Kind != ipe.KindUnparsed {
		e.Raw = nil
	}
	g.packed = pack(g.packed[:0], &e)
}

// sort ends the gathering.
func (g *gatherer) sort() ([]*Host, error) {
	wanted := g.wanted
	if wanted == nil {
		wanted = func([]byte) bool { return true }
	}
	list := g.hosts.resolve(wanted)
	g.hosts.byName, g.hosts.byBoot, g.hosts.byKey, g.shapes.numbers = nil, nil, nil, nil // nothing comes any more
	return list, g.sorter.sort(func(rec []byte) {
		b := g.hosts.boots[binary.BigEndian.Uint32(rec[keyLen:])].whole()
		binary.BigEndian.PutUint32(rec, b.host.rank)
	})
}

// load makes ev what a record says. It views the record.
func (g *gatherer) load(ev *Event, rec []byte) error {
	rank := binary.BigEndian.Uint32(rec)
	when := binary.BigEndian.Uint64(rec[4:])
	serial := binary.BigEndian.Uint64(rec[12:])
	id, seq := binary.BigEndian.Uint64(rec[20:]), binary.BigEndian.Uint64(rec[28:])
	b := g.hosts.boots[binary.BigEndian.Uint32(rec[keyLen:])].whole()
	var list [4]uint64
	rest := rec[keyLen+4:]
	for i := range list {
		n, l := binary.Uvarint(rest)
		if l <= 0 || rank == math.MaxUint32 {
			return errPacked
		}
		list[i], rest = n, rest[l:]
	}
	*ev = Event{}
	if shape := list[3]; shape > 0 {
		ev.Event = *g.shapes.events[shape-1]
	} else if _, err := unpack(&ev.Event, rest); err != nil {
		return err
	}
	ev.PID, ev.Ino, ev.Serial = list[1], list[2], serial
	if ev.Has&ipe.HasStamp != 0 {
		ev.Time = int64(when ^ 1<<63)
	}
	ev.At = spool.Cursor{ID: spool.ID(id), Seq: seq}
	if n := list[0]; n > 0 {
		ev.numbers = g.hosts.spools[n-1].whole()
	}
	ev.On, ev.Host = b.host, b.host.Name
	ev.boot = b.host.bootAt(b, int64(when^1<<63), when > 0)
	if len(ev.boot.id) > 0 {
		ev.BootID = ev.boot.id
	}
	return nil
}

// bootAt returns b, or where its id is not known, the only boot that is known to
// have lasted at that time.
func (h *Host) bootAt(b *boot, at int64, timed bool) *boot {
	if len(b.id) > 0 || !timed {
		return b
	}
	found := b
	for _, other := range h.boots {
		if len(other.id) > 0 && other.covers(at) {
			if found != b {
				return b
			}
			found = other
		}
	}
	return found
}

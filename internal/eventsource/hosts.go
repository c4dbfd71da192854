package eventsource

import (
	"bytes"
	"maps"
	"math"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// Host is one host of a history. It lives as long as that.
type Host struct {
	// Name is nil for what names no host.
	Name []byte

	// Boots is how many boots of it there are, at least 1.
	Boots int

	// Skipped is how many entries are missing by their sequence numbers and not
	// known to be lost, and LeftOut how many a sink has left out and said so.
	// Where there are more numbers than can be remembered, Unnumbered says that
	// neither is known.
	//
	// Where one spool has the events of several hosts, the first of them has both
	// numbers for all, and each has in Shared how many entries of any of them are
	// missing or left out there.
	Skipped, LeftOut uint64
	Shared           uint64
	Unnumbered       bool

	// Repeats is how many events were there more than once, so far: those of an
	// identity that was there before. It grows while the events of the host come
	// out of [History.Next].
	Repeats uint64

	// Live says that a daemon listens on this host now, so that where its events
	// end nothing has happened since.
	Live bool

	// Stray says that this is no host: what cannot be read and does not say of
	// which one of several it is.
	Stray bool

	rank  uint32 // in the order of the names; noRank: left out
	boots []*boot
	told  seqSet // entries that somebody said were lost, of whatever spool
}

const noRank = math.MaxUint32

// boot is one boot of a host. Its id is empty for what does not say one.
type boot struct {
	host *Host
	id   []byte

	first, last int64 // times of its events, with timed
	timed       bool

	repeats uint64
	into    *boot // that this one turned out to be a part of
}

// covers reports whether the boot is known to have lasted at t.
func (b *boot) covers(t int64) bool { return b.timed && b.first <= t && t <= b.last }

func (b *boot) at(t int64) {
	if !b.timed {
		b.first, b.last, b.timed = t, t, true
	}
	b.first, b.last = min(b.first, t), max(b.last, t)
}

type bootKey struct {
	host *Host
	id   string
}

type spoolKey struct {
	boot  *boot
	spool spool.ID
}

// hosts tells hosts, boots and spools apart, while events come in any order.
type hosts struct {
	byName map[string]*Host
	byBoot map[bootKey]uint32 // a place in boots
	byKey  map[spoolKey]uint32
	boots  []*boot
	spools []*numbers

	strayAt uint32
	stray   *boot // of what says neither host nor boot nor time; nil: there was none

	unnumbered bool // no more numbers are remembered
	spans      int
	counts     int
}

// boot returns the number of a boot.
func (hs *hosts) boot(host, id []byte) uint32 {
	h := hs.byName[string(host)]
	if h == nil {
		h = &Host{Name: bytes.Clone(host)}
		if len(host) == 0 {
			h.Name = nil
		}
		if hs.byName == nil {
			hs.byName, hs.byBoot, hs.byKey = make(map[string]*Host), make(map[bootKey]uint32), make(map[spoolKey]uint32)
		}
		hs.byName[string(host)] = h
	}
	n, known := hs.byBoot[bootKey{h, string(id)}]
	if !known {
		n = uint32(len(hs.boots))
		hs.boots = append(hs.boots, &boot{host: h, id: bytes.Clone(id)})
		hs.byBoot[bootKey{h, string(id)}] = n
	}
	return n
}

// markLive says of the hosts of the boot that they are Live.
func markLive(list []*Host, current string) {
	for _, h := range list {
		h.Live = slices.ContainsFunc(h.boots, func(b *boot) bool { return string(b.id) == current })
	}
}

// strayBoot returns the number of the boot of what does not say where it is from.
func (hs *hosts) strayBoot() uint32 {
	if hs.stray == nil {
		hs.stray = &boot{host: &Host{}}
		hs.strayAt = uint32(len(hs.boots))
		hs.boots = append(hs.boots, hs.stray)
	}
	return hs.strayAt
}

// spool returns the number of a spool in a boot, from 1.
func (hs *hosts) spool(b *boot, id spool.ID) uint32 {
	key := spoolKey{b, id}
	n := hs.byKey[key]
	if n == 0 {
		hs.spools = append(hs.spools, &numbers{boot: b, spool: id})
		n = uint32(len(hs.spools))
		hs.byKey[key] = n
	}
	return n
}

// resolve says which boot is of which host, now that all is known, and returns the
// hosts that are wanted, in the order of their names.
func (hs *hosts) resolve(wanted func(name []byte) bool) []*Host {
	names := make(map[string]*Host) // of boots
	for _, b := range hs.boots {
		if len(b.id) == 0 || b.host.Name == nil {
			continue
		}
		if h, known := names[string(b.id)]; !known {
			names[string(b.id)] = b.host
		} else if h != b.host {
			names[string(b.id)] = nil // clones: the boot does not tell
		}
	}
	known := make(map[bootKey]*boot, len(hs.boots))
	for _, b := range hs.boots {
		if b == hs.stray {
			continue
		}
		if h := names[string(b.id)]; b.host.Name == nil && h != nil {
			b.host = h
		}
		b.join(known)
	}
	for _, s := range hs.spools {
		s.boot = s.boot.whole()
	}
	for _, b := range hs.boots {
		b.whole().host.Repeats += b.repeats
	}
	hs.joinSpools()
	list := slices.SortedFunc(maps.Values(hs.byName), func(a, b *Host) int { return bytes.Compare(a.Name, b.Name) })
	out := list[:0]
	for _, h := range list {
		h.rank = noRank
		if len(h.boots) == 0 || !wanted(h.Name) {
			continue
		}
		h.rank, h.Unnumbered = uint32(len(out)), hs.unnumbered
		out = append(out, h)
		h.Boots = len(h.boots)
		if h.Boots > 1 && slices.ContainsFunc(h.boots, func(b *boot) bool { return len(b.id) == 0 }) {
			h.Boots-- // that is one of the others, for all that is known
		}
	}
	out = hs.placeStray(out)
	hs.number()
	return out
}

// placeStray puts what does not say where it is from to the only host, or before
// all of them.
func (hs *hosts) placeStray(list []*Host) []*Host {
	b := hs.stray
	switch {
	case b == nil:
	case len(list) == 1:
		b.host.told.each(func(lo, hi uint64) { list[0].told.add(lo, hi) })
		b.host = list[0]
		b.into = slices.MinFunc(b.host.boots, func(a, b *boot) int { return bytes.Compare(a.id, b.id) })
	default:
		b.host.Stray, b.host.Boots, b.host.boots = len(list) > 0, 1, []*boot{b}
		for _, h := range list {
			h.rank++
		}
		list = slices.Insert(list, 0, b.host)
	}
	return list
}

// whole returns the boot that b is a part of: what named only the boot is of the
// same one as what named the host too.
func (b *boot) whole() *boot {
	if b.into != nil {
		return b.into
	}
	return b
}

// join makes b a boot of its host, or a part of the same one.
func (b *boot) join(known map[bootKey]*boot) {
	key := bootKey{b.host, string(b.id)}
	other := known[key]
	if other == nil {
		known[key] = b
		b.host.boots = append(b.host.boots, b)
		return
	}
	b.into = other
	if b.timed {
		other.at(b.first)
		other.at(b.last)
	}
}

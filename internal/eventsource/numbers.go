package eventsource

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// maxSpans bounds how many ranges of sequence numbers are remembered, of all
// spools together, and maxCounts how many "repeated".
const (
	maxSpans  = 3_000_000
	maxCounts = 100_000
)

// numbers is what is known of the entries of one spool in one boot.
type numbers struct {
	boot  *boot
	spool spool.ID

	seen    seqSet // the numbers of its events
	covered seqSet // those, and what sinks have left out; only with left
	left    bool   // a sink says what it left out

	repeated []counted
	begins   []uint64 // before these nobody knows what a sink was given
	first    int64    // time of the first of its events, with timed
	timed    bool
	into     *numbers // that this one turned out to be a part of

	from, skipped, leftOut uint64   // by itself
	shared                 *numbers // with others, of other hosts or boots; or nil
}

// counted are entries that a "repeated" stands for.
type counted struct {
	first, last, n uint64
	kind           uint64 // a hash of all that it says
}

// see takes the number of an event, and of a partial reader that of the one that
// it was given before, 0 if there was none since it began. It reports false when
// the event was there before.
func (hs *hosts) see(s *numbers, seq, prev uint64, partial bool) bool {
	if hs.unnumbered {
		return true
	}
	was := s.seen.spans + s.covered.spans
	isNew := s.seen.add(seq, seq) > 0
	if partial {
		s.leave()
	}
	if s.left {
		s.covered.add(seq, seq)
	}
	switch {
	case !partial:
	case prev == 0 && isNew && hs.counts < maxCounts:
		hs.counts++
		s.begins = append(s.begins, seq)
	case 0 < prev && prev+1 < seq:
		s.covered.add(prev+1, seq-1)
	}
	hs.spans += s.seen.spans + s.covered.spans - was
	if hs.spans > maxSpans {
		hs.unnumbered = true
		for _, s := range hs.spools {
			s.seen, s.covered = seqSet{}, seqSet{}
		}
	}
	return isNew
}

// leave notes that a sink says what it left out, and begins to keep covered.
func (s *numbers) leave() {
	if !s.left {
		s.left = true
		s.seen.each(func(lo, hi uint64) { s.covered.add(lo, hi) })
	}
}

// count takes what a "repeated" stands for. Beyond the bound they count as one,
// which is wrong at most at the ends of the spool.
func (hs *hosts) count(s *numbers, c counted) {
	if n := len(s.repeated); hs.counts >= maxCounts && n > 0 {
		l := &s.repeated[n-1]
		*l = counted{min(l.first, c.first), max(l.last, c.last), Sum(l.n, c.n), 0}
		return
	}
	hs.counts++
	s.repeated = append(s.repeated, c)
}

// joinSpools joins what is of one spool in one boot. A boot that is not known is
// any boot of the host.
func (hs *hosts) joinSpools() {
	type key struct {
		host  *Host
		spool spool.ID
		boot  string
	}
	known := make(map[key]*numbers, len(hs.spools))
	anyBoot := make(map[key]*numbers)
	for _, s := range hs.spools {
		k := key{s.boot.host, s.spool, string(s.boot.id)}
		if other := known[k]; other != nil {
			other.join(s)
			continue
		}
		known[k] = s
		if k.boot == "" {
			continue
		}
		k.boot = ""
		if other := anyBoot[k]; other == nil || bytes.Compare(s.boot.id, other.boot.id) < 0 {
			anyBoot[k] = s
		}
	}
	for k, s := range known {
		if other := anyBoot[k]; k.boot == "" && other != nil {
			other.join(s)
		}
	}
}

// join makes o a part of s.
func (s *numbers) join(o *numbers) {
	if o.left {
		s.leave()
	}
	o.seen.each(func(lo, hi uint64) {
		s.seen.add(lo, hi)
		if s.left {
			s.covered.add(lo, hi)
		}
	})
	o.covered.each(func(lo, hi uint64) { s.covered.add(lo, hi) })
	s.repeated = append(s.repeated, o.repeated...)
	s.begins = append(s.begins, o.begins...)
	if o.timed {
		s.time(o.first)
	}
	*o = numbers{boot: s.boot, spool: s.spool, into: s}
}

// time takes the time of one of its events.
func (s *numbers) time(t int64) {
	if !s.timed || t < s.first {
		s.first, s.timed = t, true
	}
}

// whole returns the stream that s is a part of.
func (s *numbers) whole() *numbers {
	for s.into != nil {
		s = s.into
	}
	return s
}

// number counts what is missing of each host.
func (hs *hosts) number() {
	if hs.unnumbered {
		return
	}
	oldest := make(map[*Host]*numbers)
	for _, s := range hs.spools {
		if o := oldest[s.boot.host]; s.into == nil && (o == nil || s.before(o)) {
			oldest[s.boot.host] = s
		}
	}
	parts := make(map[spool.ID][]*numbers)
	for _, s := range hs.spools {
		if s.into != nil || s.seen.n == 0 {
			continue
		}
		from := uint64(1) // an id begins with it
		if oldest[s.boot.host] == s {
			from = s.all().first() // where the source begins, for all that is known
		}
		s.from = from
		s.skipped, s.leftOut = s.missing(from, &s.boot.host.told)
		parts[s.spool] = append(parts[s.spool], s)
	}
	for _, list := range parts {
		if len(list) == 1 || !share(list) {
			for _, s := range list {
				h := s.boot.host
				h.Skipped, h.LeftOut = Sum(h.Skipped, s.skipped), Sum(h.LeftOut, s.leftOut)
			}
		}
	}
}

// before reports whether s began before o.
func (s *numbers) before(o *numbers) bool {
	if s.timed != o.timed {
		return s.timed
	}
	return cmp.Or(cmp.Compare(s.first, o.first), cmp.Compare(s.spool, o.spool)) < 0
}

// all returns the numbers that are accounted for.
func (s *numbers) all() *seqSet {
	if s.left {
		return &s.covered
	}
	return &s.seen
}

// missing returns how many entries behind from are missing, but for those that
// somebody has told of, and how many of them were left out by a sink that said so.
func (s *numbers) missing(from uint64, told *seqSet) (skipped, left uint64) {
	for _, n := range s.begins {
		if before := s.covered.before(n); before+1 < n {
			s.covered.add(max(before+1, from), n-1)
		}
	}
	all, last := s.all(), s.seen.last()
	missing := last - from + 1 - all.within(from, last)
	told.each(func(lo, hi uint64) {
		if lo, hi = max(lo, from), min(hi, last); lo <= hi {
			missing -= hi - lo + 1 - all.within(lo, hi)
		}
	})
	if s.left {
		left = all.within(from, last) - s.seen.within(from, last)
	}
	slices.SortFunc(s.repeated, func(a, b counted) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last), cmp.Compare(a.n, b.n), cmp.Compare(a.kind, b.kind))
	})
	for _, c := range slices.Compact(s.repeated) { // what came twice counts once
		lo, hi := max(c.first, from), min(c.last, last)
		if lo > hi {
			continue
		}
		n := min(c.n, hi-lo+1)
		left, n = left-min(left, n), n-min(left, n)
		missing -= min(missing, n)
	}
	return missing, left
}

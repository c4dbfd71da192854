package eventsource

import (
	"bytes"
	"cmp"
	"slices"
)

// share finds out whether what came under one spool's id from several hosts or
// boots is one stream, as a daemon makes of an input with the records of all of
// them, and not several: of clones, which count for themselves. It is one if no
// number is there twice, and what is missing of one is there of another. Then it
// counts what is missing and reports true.
func share(parts []*numbers) bool {
	slices.SortFunc(parts, func(a, b *numbers) int {
		return cmp.Or(bytes.Compare(a.boot.host.Name, b.boot.host.Name), bytes.Compare(a.boot.id, b.boot.id))
	})
	first := parts[0].boot.host
	one := &numbers{boot: parts[0].boot, spool: parts[0].spool}
	var told seqSet
	var n, alone uint64
	from := uint64(1)
	hosts := 0
	for i, s := range parts {
		s.seen.each(func(lo, hi uint64) { one.seen.add(lo, hi) })
		if n += s.seen.n; one.seen.n < n {
			return false
		}
		one.left = one.left || s.left
		one.repeated = append(one.repeated, s.repeated...)
		one.begins = append(one.begins, s.begins...)
		alone = Sum(alone, Sum(s.skipped, s.leftOut))
		from = max(from, s.from)
		if i == 0 || s.boot.host != parts[i-1].boot.host {
			hosts++
			s.boot.host.told.each(func(lo, hi uint64) { told.add(lo, hi) })
		}
	}
	if one.left {
		for _, s := range parts {
			s.all().each(func(lo, hi uint64) { one.covered.add(lo, hi) })
		}
	}
	if from > 1 {
		from = one.all().first()
	}
	skipped, left := one.missing(from, &told)
	if Sum(skipped, left) >= alone {
		return false
	}
	first.Skipped, first.LeftOut = Sum(first.Skipped, skipped), Sum(first.LeftOut, left)
	for i, s := range parts {
		s.shared = one
		if hosts > 1 && (i == 0 || s.boot.host != parts[i-1].boot.host) {
			s.boot.host.Shared = Sum(s.boot.host.Shared, Sum(skipped, left))
		}
	}
	return true
}

// behindHole reports whether an entry of s may be missing between that with the
// number seq and the one before it.
func (s *numbers) behindHole(seq uint64) bool {
	if s.shared == nil {
		return seq > 1 && !s.seen.has(seq-1)
	}
	all := &s.shared.seen
	from := max(s.seen.before(seq)+1, all.first())
	return from < seq && all.within(from, seq-1) < seq-from
}

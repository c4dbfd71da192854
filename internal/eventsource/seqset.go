package eventsource

import (
	"math"
	"slices"
	"sort"
)

// seqSet is a set of sequence numbers, which begin with 1, as ranges: numbers
// that follow one another take the room of one. The zero seqSet is empty.
type seqSet struct {
	chunks [][]span // in order, none empty, at most chunkLen spans in each
	n      uint64   // members
	spans  int
}

// span is a range of numbers, both ends included.
type span struct{ lo, hi uint64 }

// chunkLen bounds what an insertion has to move.
const chunkLen = 256

// add adds the numbers from lo to hi, and returns how many were not there. Lo is
// at least 1 and at most hi.
func (s *seqSet) add(lo, hi uint64) (added uint64) {
	i, j := s.find(lo)
	in := span{lo, hi}
	var had uint64
	first := true
	for i < len(s.chunks) && s.chunks[i][j].lo-1 <= hi {
		c := &s.chunks[i][j]
		had += c.hi - c.lo + 1
		in = span{min(in.lo, c.lo), max(in.hi, c.hi)}
		if first { // the usual case: one range grows
			*c, first = in, false
			if j+1 < len(s.chunks[i]) {
				j++
			} else {
				i, j = i+1, 0
			}
			continue
		}
		s.grow(i, j, in)
		s.remove(i, j)
		if i < len(s.chunks) && j == len(s.chunks[i]) {
			i, j = i+1, 0
		}
	}
	if first {
		s.insert(i, j, in)
	}
	added = in.hi - in.lo + 1 - had
	s.n += added
	return added
}

// grow makes the span before (i, j) be in.
func (s *seqSet) grow(i, j int, in span) {
	if j > 0 {
		s.chunks[i][j-1] = in
		return
	}
	before := s.chunks[i-1]
	before[len(before)-1] = in
}

// find returns the place of the first span that reaches lo-1 or lies behind it.
func (s *seqSet) find(lo uint64) (i, j int) {
	i = sort.Search(len(s.chunks), func(i int) bool {
		c := s.chunks[i]
		return c[len(c)-1].hi >= lo-1
	})
	if i < len(s.chunks) {
		j = sort.Search(len(s.chunks[i]), func(j int) bool { return s.chunks[i][j].hi >= lo-1 })
	}
	return i, j
}

// insert puts a span before (i, j).
func (s *seqSet) insert(i, j int, in span) {
	s.spans++
	if i == len(s.chunks) {
		if i == 0 || len(s.chunks[i-1]) == chunkLen {
			s.chunks = append(s.chunks, []span{in})
			return
		}
		i, j = i-1, len(s.chunks[i-1])
	}
	if c := s.chunks[i]; len(c) == chunkLen {
		s.chunks = slices.Insert(s.chunks, i+1, slices.Clone(c[chunkLen/2:]))
		s.chunks[i] = c[:chunkLen/2]
		if j > chunkLen/2 {
			i, j = i+1, j-chunkLen/2
		}
	}
	s.chunks[i] = slices.Insert(s.chunks[i], j, in)
}

// remove takes the span at (i, j) out.
func (s *seqSet) remove(i, j int) {
	s.spans--
	if s.chunks[i] = slices.Delete(s.chunks[i], j, j+1); len(s.chunks[i]) == 0 {
		s.chunks = slices.Delete(s.chunks, i, i+1)
	}
}

// has reports whether n is in the set.
func (s *seqSet) has(n uint64) bool {
	return n > 0 && s.within(n, n) == 1
}

// before returns the highest member below n, 0 if there is none.
func (s *seqSet) before(n uint64) (m uint64) {
	i := sort.Search(len(s.chunks), func(i int) bool { return s.chunks[i][0].lo >= n })
	if i == 0 {
		return 0
	}
	c := s.chunks[i-1]
	j := sort.Search(len(c), func(j int) bool { return c[j].lo >= n })
	return min(c[j-1].hi, n-1)
}

// within returns how many members lie from lo to hi.
func (s *seqSet) within(lo, hi uint64) (n uint64) {
	if lo > hi {
		return 0
	}
	for i, j := s.find(lo); i < len(s.chunks); i, j = i+1, 0 {
		for _, c := range s.chunks[i][j:] {
			if c.lo > hi {
				return n
			}
			if from, to := max(c.lo, lo), min(c.hi, hi); from <= to {
				n += to - from + 1
			}
		}
	}
	return n
}

// each calls f for every range, in order.
func (s *seqSet) each(f func(lo, hi uint64)) {
	for _, c := range s.chunks {
		for _, in := range c {
			f(in.lo, in.hi)
		}
	}
}

// first and last return the ends of the set, 0 of an empty one.
func (s *seqSet) first() uint64 {
	if len(s.chunks) == 0 {
		return 0
	}
	return s.chunks[0][0].lo
}

func (s *seqSet) last() uint64 {
	if len(s.chunks) == 0 {
		return 0
	}
	c := s.chunks[len(s.chunks)-1]
	return c[len(c)-1].hi
}

// Sum returns a + b, or the highest number where that is higher: a count from a
// file may be any, and a loss must not become small by another one.
func Sum(a, b uint64) uint64 {
	if a+b < a {
		return math.MaxUint64
	}
	return a + b
}

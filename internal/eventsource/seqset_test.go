package eventsource

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestSeqSetIsASet compares a seqSet with a map.
func TestSeqSetIsASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const top = 3000 // more than a chunk has room for, when every second one is there
		var s seqSet
		model := make(map[uint64]bool)
		for range rapid.IntRange(0, 2000).Draw(t, "steps") {
			lo := rapid.Uint64Range(1, top).Draw(t, "lo")
			hi := lo
			if rapid.IntRange(0, 9).Draw(t, "wide") == 0 {
				hi = min(lo+rapid.Uint64Range(0, 40).Draw(t, "width"), top)
			}
			var want uint64
			for n := lo; n <= hi; n++ {
				if !model[n] {
					model[n] = true
					want++
				}
			}
			if got := s.add(lo, hi); got != want {
				t.Fatalf("add(%d, %d) = %d, want %d", lo, hi, got, want)
			}
		}
		var listed, spans, last uint64
		s.each(func(lo, hi uint64) {
			if lo <= last+1 && last > 0 {
				t.Fatalf("ranges touch: one ends at %d, the next begins at %d", last, lo)
			}
			listed, spans, last = listed+hi-lo+1, spans+1, hi
		})
		if s.n != uint64(len(model)) || listed != s.n || s.spans != int(spans) || s.last() != last {
			t.Fatalf("n %d, listed %d, want %d; spans %d, listed %d; last %d, want %d", s.n, listed, len(model), s.spans, spans, s.last(), last)
		}
		lo, hi := rapid.Uint64Range(1, top).Draw(t, "from"), rapid.Uint64Range(1, top).Draw(t, "to")
		var want uint64
		for n := lo; n <= hi; n++ {
			if model[n] {
				want++
			}
		}
		if got := s.within(lo, hi); got != want {
			t.Fatalf("within(%d, %d) = %d, want %d", lo, hi, got, want)
		}
		for n := uint64(0); n <= top; n++ {
			before := n
			for before > 0 && (before == n || !model[before]) {
				before--
			}
			if got := s.before(n); got != before {
				t.Fatalf("before(%d) = %d, want %d", n, got, before)
			}
			if s.has(n) != model[n] {
				t.Fatalf("has(%d) = %v", n, s.has(n))
			}
		}
	})
}

func TestSeqSetMergesRuns(t *testing.T) {
	t.Parallel()
	const n = 100_000
	var s seqSet
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		s.add(uint64(i+1), uint64(i+1))
	}
	if s.spans != 1 || len(s.chunks) != 1 || s.n != n || s.first() != 1 || s.last() != n {
		t.Errorf("%d spans in %d chunks, %d members from %d to %d", s.spans, len(s.chunks), s.n, s.first(), s.last())
	}
	s.add(math.MaxUint64, math.MaxUint64)
	if s.add(math.MaxUint64, math.MaxUint64) != 0 || s.last() != math.MaxUint64 || !s.has(math.MaxUint64) {
		t.Error("the highest number is not kept")
	}
}

package eventsource

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestSorterSorts sorts in memory, and with so little of it that most is on disk.
func TestSorterSorts(t *testing.T) {
	t.Parallel()
	for _, bound := range []int{1 << 20, 4096, 100} {
		s := sorter{bound: bound}
		random := rand.New(rand.NewPCG(1, uint64(bound)))
		const n = 5000
		for _, i := range random.Perm(n) {
			rec := make([]byte, keyLen+random.IntN(40))
			binary.BigEndian.PutUint64(rec, uint64(i)+1)
			if err := s.add(rec); err != nil {
				t.Fatal(err)
			}
		}
		// The order is that of what edit leaves.
		if err := s.sort(func(rec []byte) { rec[0] = ^rec[7] }); err != nil {
			t.Fatal(err)
		}
		if (s.runs != nil) != (bound < 1<<20) {
			t.Fatalf("bound %d: on disk: %v", bound, s.runs != nil)
		}
		var last []byte
		seen := make(map[uint64]bool)
		for {
			rec, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if rec == nil {
				break
			}
			if bytes.Compare(last, rec) > 0 {
				t.Fatalf("bound %d: %x comes behind %x", bound, rec, last)
			}
			last = append(last[:0], rec...)
			seen[binary.BigEndian.Uint64(rec)&(1<<56-1)] = true
		}
		if len(seen) != n {
			t.Errorf("bound %d: %d of %d records came out", bound, len(seen), n)
		}
		s.close()
	}
}

func TestSorterOfNothing(t *testing.T) {
	t.Parallel()
	s := sorter{bound: 100}
	if err := s.sort(func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.next(); rec != nil || err != nil {
		t.Errorf("got %x, %v", rec, err)
	}
}

//go:build !race

package spool

import (
	"context"
	"testing"
	"time"
)

// TestNoAllocations counts per batch: a chunk of memory for some thousand
// records is no allocation per record.
func TestNoAllocations(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := mustOpen(t, Options{Dir: dir, BootID: boot(1), Sync: time.Hour})
		recs := samples(64)
		if n := testing.AllocsPerRun(200, func() { s.Append(recs) }); n != 0 {
			t.Errorf("Append in %q: %v allocations for 64 records", dir, n)
		}
		ctx := context.Background()
		for _, name := range []string{"from memory", "from disk"} {
			if name == "from disk" {
				s.opts.Memory = 1 // hardly anything is buffered
				for range 200 {
					s.Append(recs)
				}
			}
			r := s.NewReader(Start{})
			if n := testing.AllocsPerRun(5000, func() {
				if _, err := r.Next(ctx); err != nil {
					t.Error(err)
				}
			}); n != 0 {
				t.Errorf("Next in %q %s: %v allocations", dir, name, n)
			}
			r.Close()
			if dir == "" {
				break
			}
		}
	}
}

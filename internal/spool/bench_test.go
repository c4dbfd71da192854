package spool

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// sample is a denial of ordinary length.
var sample = []byte(`audit(1795786538.497:1163): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=1234 comm="bash" path="/usr/local/bin/something" dev="vda1" ino=123456 rule="DEFAULT op=EXECUTE action=DENY"`)

func samples(n int) []Record {
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = Record{Type: 1420, Time: 1795786538497000000, Data: sample}
	}
	return recs
}

// cpu returns the time that all threads of this process have run: on a busy
// machine it says more than the time that has passed.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend does not sync: what a disk can take is not our cost.
func BenchmarkAppend(b *testing.B) {
	for _, form := range []string{"disk", "memory"} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", form, batch), func(b *testing.B) {
				s := mustOpen(b, Options{Dir: benchDir(b, form), BootID: boot(1), Size: 64 << 20, Sync: time.Hour})
				recs := samples(batch)
				b.ReportAllocs()
				began := cpu()
				for b.Loop() {
					s.Append(recs)
				}
				b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N*batch), "cpu-ns/record")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/record")
			})
		}
	}
}

func benchDir(b *testing.B, form string) string {
	if form == "memory" {
		return ""
	}
	return b.TempDir()
}

// BenchmarkNext reads entries from the disk and from memory.
func BenchmarkNext(b *testing.B) {
	const entries = 1 << 16
	for _, form := range []string{"disk", "memory"} {
		b.Run(form, func(b *testing.B) {
			s := mustOpen(b, Options{Dir: benchDir(b, form), BootID: boot(1), Memory: 32 << 20})
			if form == "disk" {
				s.opts.Memory = 1 // hardly anything is buffered
			}
			for range entries / 64 {
				s.Append(samples(64))
			}
			ctx := context.Background()
			r := s.NewReader(Start{})
			defer func() { r.Close() }()
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; n == entries {
					n = 0
					r.Rewind(Cursor{ID: s.End().ID, Seq: 0})
				}
				e, err := r.Next(ctx)
				if err != nil || !bytes.Equal(e.Data, sample) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWake measures the time from the beginning of Append to the entry in
// the hands of a reader that waited for it.
func BenchmarkWake(b *testing.B) {
	for _, form := range []string{"disk", "memory"} {
		b.Run(form, func(b *testing.B) {
			s := mustOpen(b, Options{Dir: benchDir(b, form), BootID: boot(1)})
			r := s.NewReader(Start{})
			defer r.Close()
			took := make(chan time.Duration)
			go func() {
				for {
					e, err := r.Next(b.Context())
					if err != nil {
						close(took)
						return
					}
					took <- time.Duration(time.Now().UnixNano() - e.Time)
				}
			}()
			var all []time.Duration
			recs := samples(1)
			for b.Loop() {
				time.Sleep(100 * time.Microsecond) // the reader is asleep again
				recs[0].Time = time.Now().UnixNano()
				s.Append(recs)
				all = append(all, <-took)
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSaveCursor does not sync, as the daemon does not.
func BenchmarkSaveCursor(b *testing.B) {
	dir := b.TempDir()
	file := NewCursorFile(dir, "x")
	defer file.Close()
	for _, way := range []struct {
		name string
		save func(Cursor) error
	}{
		{"replace", func(c Cursor) error { return SaveCursor(dir, "x", c, false) }},
		{"overwrite", file.Save},
	} {
		b.Run(way.name, func(b *testing.B) {
			c := Cursor{ID: 7}
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				c.Seq++
				if err := way.save(c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

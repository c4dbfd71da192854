package sink

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// TestSaverPaces sets cursors at moments that differ in what the saver does.
func TestSaverPaces(t *testing.T) {
	t.Parallel()
	const took = 10 * time.Millisecond // each save
	for _, tt := range []struct {
		name      string
		set, want []time.Duration // since the start
	}{
		{"while it is idle, at once", []time.Duration{0, 70 * time.Millisecond, time.Second},
			[]time.Duration{0, 70 * time.Millisecond, time.Second}},
		{"in the pause, behind it", []time.Duration{0, 20 * time.Millisecond, 30 * time.Millisecond},
			[]time.Duration{0, took + saveInterval}},
		{"during a save, behind the pause", []time.Duration{0, took / 2},
			[]time.Duration{0, took + saveInterval}},
		{"during a later save, behind the pause", []time.Duration{0, time.Second, time.Second + took/2},
			[]time.Duration{0, time.Second, time.Second + took + saveInterval}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var got []time.Duration
				var last spool.Cursor
				s := newSaver(func(c spool.Cursor) error {
					got, last = append(got, time.Since(begin)), c
					time.Sleep(took)
					return nil
				}, func(error) {})
				s.start()
				for i, at := range tt.set {
					time.Sleep(at - time.Since(begin))
					s.set(spool.Cursor{ID: testID, Seq: uint64(i)})
				}
				time.Sleep(time.Second)
				if err := s.stop(); err != nil {
					t.Error(err)
				}
				if !slices.Equal(got, tt.want) || last.Seq != uint64(len(tt.set)-1) {
					t.Errorf("saved at %v, %d at last, want %v", got, last.Seq, tt.want)
				}
			})
		})
	}
}

package api

import (
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// Lag returns how many entries of s come after c, and for how long the first
// of them that is still there has waited. The zero cursor stands before all. It
// may read from the disk.
func Lag(s *spool.Spool, c spool.Cursor, now time.Time) (entries uint64, age time.Duration) {
	start := spool.Start{After: &c}
	if c == (spool.Cursor{}) {
		start = spool.Start{}
	}
	r := s.NewReader(start)
	defer r.Close()
	if entries = r.Lag(); entries == 0 {
		return 0, 0
	}
	if first := firstTime(r); !first.IsZero() {
		age = max(0, now.Sub(first))
	}
	return entries, age
}

// Measure returns the state of s, but for Dir and Limit, which are the
// caller's. It may read from the disk.
func Measure(s *spool.Spool) Spool {
	stats := s.Stats()
	sp := Spool{
		ID: stats.ID.String(), Last: stats.Last, Form: FormMemory, Entries: stats.Entries,
		Disk: stats.Disk, Memory: stats.Memory, Appended: stats.Appended, Cut: stats.Cut,
		GivenUp: stats.GivenUp, Syncs: stats.Syncs, Failures: stats.Failures,
	}
	if stats.OnDisk {
		sp.Form = FormDisk
	}
	if stats.Err != nil {
		sp.LastError = stats.Err.Error()
	}
	r := s.NewReader(spool.Start{})
	defer r.Close()
	sp.Oldest = firstTime(r)
	return sp
}

// firstTime returns when the next entry of r was received, or the zero time.
func firstTime(r *spool.Reader) time.Time {
	e, ok, err := r.TryNext()
	if isGap(err) {
		e, ok, err = r.TryNext() // of what is behind it
	}
	if !ok || err != nil {
		return time.Time{}
	}
	return time.Unix(0, e.Time).UTC()
}

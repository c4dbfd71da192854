package coalesce

import (
	"fmt"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// attempt is a denial of one kind, by one process, at a time in milliseconds.
type attempt struct {
	kind, pid int
	comm      string
	time      int64
}

func (a attempt) record() []byte {
	return fmt.Appendf(nil, `audit(%d.%03d:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=%d comm="%s" path="/%d" dev="tmpfs" ino=%d rule="DEFAULT action=DENY"`,
		a.time/1000, a.time%1000, a.pid, a.comm, a.kind, a.kind)
}

// TestRollbackUndoesABatch looks at what a failed batch leaves in a coalescer.
func TestRollbackUndoesABatch(t *testing.T) {
	t.Parallel()
	var decoder ipe.Decoder
	c := New(time.Minute, 1<<20, nil)
	seq := uint64(0)
	try := func(a attempt) {
		seq++
		var ev ipe.Event
		e := &spool.Entry{ID: 7, Seq: seq, Type: 1420, Data: a.record()}
		decoder.Decode(&ev, e.Type, e.Data)
		if w := c.find(&ev, &format.Identity{}); w != nil {
			c.count(w, e, &ev)
		} else {
			c.begin(&ev, time.Unix(int64(seq), 0))
		}
	}
	try(attempt{1, 1, "a", 1})
	try(attempt{1, 2, "b", 2})
	try(attempt{2, 1, "a", 1})
	c.Commit()
	size := c.size
	for range 3 {
		try(attempt{1, 3, "c", 9})
		c.release(front(&c.order))
		try(attempt{1, 4, "d", 9})
		try(attempt{2, 5, "e", 9})
		c.release(front(&c.order))
		try(attempt{3, 6, "f", 9})
		c.Rollback()
		if grown := c.size - size; grown < 0 || grown > 544 { // the second kind keeps a page for pids
			t.Errorf("%d bytes more than before", grown)
		}
	}
	if n := len(c.windows); n != 2 {
		t.Errorf("%d windows, want 2", n)
	}
	ev := c.release(front(&c.order))
	if ev == nil || string(ev.Path) != "/1" || ev.Count != 1 || ev.FirstSeq != 2 || ev.LastSeq != 2 || ev.Time != 2 || ev.PID != 2 || string(ev.Comm) != "b" || c.identity.Spool != 7 || c.identity.Seq != 0 {
		t.Errorf("got %+v of %+v", ev, c.identity)
	}
	if ev := c.release(front(&c.order)); ev != nil {
		t.Errorf("the other kind has counted %d", ev.Count)
	}
}

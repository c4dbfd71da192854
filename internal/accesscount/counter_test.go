package accesscount

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// access is a record of an access.
func access(second int, op string, enforcing, action string) spool.Record {
	return spool.Record{Type: ipe.TypeAccess, Time: int64(100 * time.Second), Data: fmt.Appendf(nil,
		`audit(%d.000:7): ipe_op=%s ipe_hook=X %spid=1 comm="x" path="/x" dev="y" ino=2 rule="DEFAULT action=%s"`, second, op, enforcing, action)}
}

// counting returns a spool in memory and a Counter that runs on it.
func counting(t *testing.T, memory int64) (*spool.Spool, *Counter) {
	t.Helper()
	s, err := spool.Open(spool.Options{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	s.Append([]spool.Record{access(1, "EXECUTE", "enforcing=1 ", "DENY")}) // from before
	r := s.NewReader(spool.Start{End: true})
	c := New(r, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		r.Close()
		s.Close()
		c.Settle(context.Background()) // does not wait for what will not come
	})
	return s, c
}

func TestEachAccessCountsOnce(t *testing.T) {
	t.Parallel()
	s, c := counting(t, 1<<20)
	s.Append([]spool.Record{
		access(30, "EXECUTE", "enforcing=1 ", "DENY"),
		access(20, "EXECUTE", "enforcing=1 ", "DENY"),
		access(40, "KMODULE", "enforcing=0 ", "DENY"),
		access(41, "POLICY", "enforcing=1 ", "ALLOW"),
		access(42, "NEXT_YEARS", "", "DENY"),
		access(43, "other", "enforcing=1 ", "ALLOW"),
		access(9_000, "EXECUTE", "enforcing=1 ", "DENY"), // by a clock that is wrong
		{Type: ipe.TypeConfigChange, Data: []byte(`audit(44.000:8): no record of IPE`)},
		{Type: ipe.TypeAccess, Data: []byte(`audit(45.000:8): ipe_op=EXECUTE ipe_hook=X enforcing=1 path=`)},
	})
	c.Settle(t.Context())
	got := c.Counts()
	for _, tt := range []struct {
		verdict ipe.Verdict
		op      string
		want    uint64
	}{
		{ipe.VerdictDenied, "EXECUTE", 3},
		{ipe.VerdictWouldDeny, "KMODULE", 1},
		{ipe.VerdictAllowed, "POLICY", 1},
		{ipe.VerdictUnknown, Other, 1},
		{ipe.VerdictAllowed, Other, 1},
		{ipe.VerdictDenied, Other, 0},
	} {
		if n := got.Of(tt.verdict, tt.op); n != tt.want {
			t.Errorf("%v %s: %d, want %d", tt.verdict, tt.op, n, tt.want)
		}
	}
	if n := got.Total(ipe.VerdictDenied) + got.Total(ipe.VerdictWouldDeny) + got.Total(ipe.VerdictAllowed) + got.Total(ipe.VerdictUnknown); n != 7 {
		t.Errorf("%d accesses, want 7", n)
	}
	if got.LastDenial != 100_000 {
		t.Errorf("the last denial was at %d, want the time of receipt, which is earlier than its stamp", got.LastDenial)
	}
	if got.Missed != 0 {
		t.Errorf("%d missed", got.Missed)
	}
}

func TestOverwrittenEntriesAreMissed(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Memory: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.NewReader(spool.Start{End: true})
	defer r.Close()
	const n = 5000
	for range n {
		s.Append([]spool.Record{access(1, "EXECUTE", "enforcing=1 ", "DENY")})
	}
	c := New(r, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	c.Settle(ctx)
	cancel()
	<-done
	got := c.Counts()
	if got.Missed == 0 || got.Missed+got.Total(ipe.VerdictDenied) != n {
		t.Errorf("%d missed and %d counted of %d", got.Missed, got.Total(ipe.VerdictDenied), n)
	}
}

func TestSettleEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := New(nil, nil) // nobody runs it
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	c.Settle(ctx)
}

func TestEveryOperationHasANumber(t *testing.T) {
	t.Parallel()
	if len(ops) != maxOps || ops[maxOps-1] != Other {
		t.Errorf("%d operations, with room for %d: %v", len(ops), maxOps, ops)
	}
}

func BenchmarkCount(b *testing.B) {
	r := access(1, "EXECUTE", "enforcing=1 ", "DENY")
	e := spool.Entry{Type: r.Type, Data: r.Data}
	c := New(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.take(b.Context(), &e); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := access(1, "EXECUTE", "enforcing=1 ", "DENY")
	e := spool.Entry{Type: r.Type, Data: r.Data}
	c := New(nil, nil)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { c.take(ctx, &e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

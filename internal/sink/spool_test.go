package sink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The runner against the real spool.

func openSpool(t testing.TB, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// records returns n records that are numbered from first on.
func records(first, n int) []spool.Record {
	var recs []spool.Record
	for i := range n {
		recs = append(recs, spool.Record{Type: 1420, Data: record(uint64(first + i))})
	}
	return recs
}

// paths formats an event as the number in its path.
func paths(dst []byte, ev *ipe.Event, _ *format.Context) []byte {
	if ev.Kind == ipe.KindLost {
		return fmt.Appendf(dst, "lost %d", ev.Count)
	}
	return append(dst, strings.TrimPrefix(string(ev.Path), "/tmp/")...)
}

func TestRunnerGoesOnWhereTheSavedCursorIs(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	var got []string
	for i := range 5 {
		s := openSpool(t, spool.Options{Dir: state, BootID: [16]byte{1}})
		from, err := spool.LoadCursor(state, "test")
		if err != nil {
			from = s.End()
		}
		s.Append(records(1+i*300, 300))
		reader := s.NewReader(spool.Start{After: &from})
		failed := false
		m := &memory{}
		m.onFlush = func(context.Context) error {
			if !failed {
				failed = true
				return errFake
			}
			return nil
		}
		r := New(Config{Name: "test", Sink: m, Source: reader, Start: from, Format: paths,
			Save:      func(c spool.Cursor) error { return spool.SaveCursor(state, "test", c, false) },
			Delivered: reader.Delivered})
		wait := start(t.Context(), r)
		if i%2 == 0 {
			if err := r.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
		reader.Close()
		got = append(got, m.got()...)
	}
	if !slices.Equal(got, numbers(1, 1500)) {
		t.Errorf("got %d entries, want each of 1500 once", len(got))
	}
}

// AppendWait makes room only for what was delivered, so nothing is overwritten
// however small the spool.
func TestWriterWaitsForTheSink(t *testing.T) {
	t.Parallel()
	s := openSpool(t, spool.Options{Memory: 64 << 10})
	end := s.End()
	reader := s.NewReader(spool.Start{After: &end, Blocking: true})
	defer reader.Close()
	m := &memory{}
	r := New(Config{Sink: m, Source: reader, Start: end, Format: paths, Delivered: reader.Delivered})
	wait := start(t.Context(), r)
	for i := range 50 {
		if _, err := s.AppendWait(t.Context(), records(1+i*100, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
	if got := m.got(); !slices.Equal(got, numbers(1, 5000)) {
		t.Errorf("got %d entries, want 1 to 5000", len(got))
	}
}

func TestOverwrittenEntriesAreCounted(t *testing.T) {
	t.Parallel()
	s := openSpool(t, spool.Options{Memory: 64 << 10})
	end := s.End()
	reader := s.NewReader(spool.Start{After: &end})
	defer reader.Close()
	s.Append(records(1, 5000))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	m := &memory{}
	r := New(Config{Sink: m, Source: reader, Start: end, Format: paths})
	if err := r.Run(t.Context()); err != nil {
		t.Error(err)
	}
	lost := r.Status().Overwritten
	got := m.got()
	want := append([]string{fmt.Sprintf("lost %d", lost)}, numbers(int(lost)+1, 5000)...)
	if lost == 0 || !slices.Equal(got, want) {
		t.Errorf("%d lost, got %.3q and so on, %d in all", lost, got, len(got))
	}
}

// endless is a source of the same few entries over and over.
type endless struct {
	entries []spool.Entry
	seq     uint64
}

func (s *endless) TryNext() (*spool.Entry, bool, error) {
	s.seq++
	e := &s.entries[s.seq%uint64(len(s.entries))]
	e.Seq = s.seq
	return e, true, nil
}

func (s *endless) Next(context.Context) (*spool.Entry, error) { panic("never empty") }
func (s *endless) Rewind(spool.Cursor)                        {}

// null takes everything.
type null struct{}

func (null) Open(context.Context) error          { return nil }
func (null) Write(context.Context, *Entry) error { return nil }
func (null) Flush(context.Context) error         { return nil }
func (null) Close() error                        { return nil }

// flatOut is a runner with a match and the JSON form, ready for deliver.
func flatOut(tb testing.TB) (*Runner, func()) {
	tb.Helper()
	m, err := match.Compile([]match.Selection{{Verdicts: []string{"denied"}, Not: &match.Selection{Paths: []string{"/usr/**"}}}})
	if err != nil {
		tb.Fatal(err)
	}
	var src endless
	for i := range 100 {
		src.entries = append(src.entries, spool.Entry{ID: testID, Type: 1420, BootID: [16]byte{1}, Data: record(uint64(i))})
	}
	r := New(Config{Sink: null{}, Source: &src, Match: m, Format: format.AppendJSON,
		Save: func(spool.Cursor) error { return nil }, Delivered: func(spool.Cursor) {}})
	return r, func() {
		if _, err := r.deliver(tb.Context(), tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestDeliverDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r, deliver := flatOut(t)
	deliver()
	if n := testing.AllocsPerRun(10, deliver); n != 0 {
		t.Errorf("got %v allocations in %d entries, want 0", n, DefaultBatch)
	}
	if st := r.Status(); st.Delivered == 0 || st.Unmatched == 0 {
		t.Errorf("got %+v, want entries of both kinds", st)
	}
}

// Per batch of DefaultBatch entries.
func BenchmarkDeliver(b *testing.B) {
	_, deliver := flatOut(b)
	b.ReportAllocs()
	for b.Loop() {
		deliver()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*DefaultBatch), "ns/entry")
}

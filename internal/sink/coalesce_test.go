package sink

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
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

// try appends the attempts; a kind of 0 is a switch of enforcement.
func (l *log) try(list ...attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range list {
		e := spool.Entry{ID: testID, Seq: uint64(len(l.entries) + 1), Type: 1420, Data: a.record()}
		if a.kind == 0 {
			e.Type = 1404
			e.Data = fmt.Appendf(nil, "audit(%d.000:1): enforcing=1 old_enforcing=0 lsm=ipe res=1", a.time/1000)
		}
		l.entries = append(l.entries, e)
	}
	l.signal()
}

// spoken formats what the tests here look at.
func spoken(dst []byte, ev *ipe.Event, c *format.Context) []byte {
	if ev.Kind != ipe.KindRepeated {
		return fmt.Appendf(dst, "%v %s %d", ev.Kind, ev.Path, c.Seq)
	}
	dst = fmt.Appendf(dst, "%s %d (%d to %d) %d-%d", ev.Path, ev.Count, ev.FirstSeq, ev.LastSeq, ev.Since, ev.Until)
	dst = fmt.Appendf(dst, " pids %d comms %d", ev.PIDs, ev.Comms)
	if ev.Has&ipe.HasPID != 0 {
		dst = fmt.Appendf(dst, " pid=%d", ev.PID)
	}
	if ev.Comm != nil {
		dst = fmt.Appendf(dst, " comm=%s", ev.Comm)
	}
	if c.Seq != 0 || c.Spool != uint64(testID) || string(ev.Rule) != "DEFAULT action=DENY" || ev.Verdict != ipe.VerdictDenied ||
		ev.Raw != nil || ev.Type != 0 || ev.Time != ev.Until || ev.Dialect != ipe.DialectNone {
		dst = fmt.Appendf(dst, " but %+v %+v", ev, c)
	}
	return dst
}

func coalescing(l *log, m Sink) Config {
	c := config(l, m)
	c.Format, c.Coalesce = spoken, 10*time.Second
	return c
}

func TestRepetitionsAreCounted(t *testing.T) {
	t.Parallel()
	a := func(kind, pid int, comm string, time int64) attempt { return attempt{kind, pid, comm, time} }
	tests := []struct {
		name  string
		tries []attempt
		want  []string
	}{
		{"one", []attempt{a(1, 7, "sh", 5)}, []string{"access /1 1"}},
		{"the same process", []attempt{a(1, 7, "sh", 5), a(1, 7, "sh", 6), a(1, 7, "sh", 9999)},
			[]string{"access /1 1", "/1 2 (2 to 3) 6-9999 pids 1 comms 1 pid=7 comm=sh"}},
		{"several processes", []attempt{a(1, 7, "sh", 5), a(1, 8, "sh", 9), a(1, 9, "sh", 6), a(1, 8, "x", 7)},
			[]string{"access /1 1", "/1 3 (2 to 4) 6-9 pids 2 comms 2"}},
		{"one name", []attempt{a(1, 7, "x", 5), a(1, 8, "sh", 6), a(1, 9, "sh", 7)},
			[]string{"access /1 1", "/1 2 (2 to 3) 6-7 pids 2 comms 1 comm=sh"}},
		{"several kinds", []attempt{a(1, 7, "sh", 5), a(2, 7, "sh", 6), a(2, 7, "sh", 6), a(1, 7, "sh", 7)},
			[]string{"access /1 1", "access /2 2", "/1 1 (4 to 4) 7-7 pids 1 comms 1 pid=7 comm=sh", "/2 1 (3 to 3) 6-6 pids 1 comms 1 pid=7 comm=sh"}},
		{"what is no access", []attempt{a(0, 0, "", 5), a(0, 0, "", 5), a(0, 0, "", 5)},
			[]string{"enforcement  1", "enforcement  2", "enforcement  3"}},
		{"a window that ends by the stamps", []attempt{a(1, 7, "sh", 5), a(1, 7, "sh", 10_004), a(1, 7, "sh", 10_005), a(1, 7, "sh", 10_006)},
			[]string{"access /1 1", "/1 1 (2 to 2) 10004-10004 pids 1 comms 1 pid=7 comm=sh", "access /1 3", "/1 1 (4 to 4) 10006-10006 pids 1 comms 1 pid=7 comm=sh"}},
	}
	for _, tt := range tests {
		l, m := newLog(0), &memory{}
		l.try(tt.tries...)
		l.close()
		r := New(coalescing(l, m))
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := m.got(); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
		if st := r.Status(); st.Kept.Seq != uint64(len(tt.tries)) || st.Delivered != uint64(len(tt.want)) {
			t.Errorf("%s: status %+v", tt.name, st)
		}
	}
}

// TestOnlyOneHostIsCountedTogether has the same access on two hosts, and as events
// of another spool, which keep their numbers.
func TestOnlyOneHostIsCountedTogether(t *testing.T) {
	t.Parallel()
	l, m := newLog(0), &memory{}
	add := func(im entry.Imported) {
		l.entries = append(l.entries, spool.Entry{ID: testID, Seq: uint64(len(l.entries) + 1), Type: entry.TypeImported, Data: entry.AppendImported(nil, &im)})
	}
	for range 3 {
		for _, host := range []string{"a", "b"} {
			add(entry.Imported{Type: 1420, Host: []byte(host), Data: attempt{1, 7, "sh", 5}.record()})
		}
	}
	for seq := range 2 {
		add(entry.Imported{Data: fmt.Appendf(nil, `{"spool":"00000000000000aa","seq":%d,"event":"access","verdict":"denied","path":"/line"}`, 70+seq)})
	}
	l.close()
	c := coalescing(l, m)
	c.Format = func(dst []byte, ev *ipe.Event, c *format.Context) []byte {
		return fmt.Appendf(dst, "%v %s %d %x:%d of %s", ev.Kind, ev.Path, ev.Count, c.Spool, c.Seq, c.Host)
	}
	if err := New(c).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%x", uint64(testID))
	want := []string{
		"access /1 0 " + id + ":1 of a", "access /1 0 " + id + ":2 of b",
		"access /line 0 aa:70 of ", "access /line 0 aa:71 of ",
		"repeated /1 2 " + id + ":0 of a", "repeated /1 2 " + id + ":0 of b",
	}
	if got := m.got(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestWindowEndsByTheClock has nothing more to read when its window ends.
func TestWindowEndsByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, m := newLog(0), &memory{}
		var kept atomic.Uint64
		c := coalescing(l, m)
		c.Save = func(c spool.Cursor) error { kept.Store(c.Seq); return nil }
		r := New(c)
		wait := start(t.Context(), r)
		check := func(when string, seq uint64, want ...string) {
			t.Helper()
			time.Sleep(time.Second) // the cursor is saved by then
			synctest.Wait()
			if got := m.got(); !slices.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", when, got, want)
			}
			if got := kept.Load(); got != seq {
				t.Errorf("%s: cursor %d, want %d", when, got, seq)
			}
		}
		l.try(attempt{1, 7, "sh", 5})
		check("the first comes at once", 1, "access /1 1")
		time.Sleep(5 * time.Second)
		l.try(attempt{1, 7, "sh", 6}, attempt{2, 7, "sh", 6})
		check("another one is counted, and not forgotten by a crash", 1, "access /1 1", "access /2 3")
		time.Sleep(4 * time.Second)
		const told = "/1 1 (2 to 2) 6-6 pids 1 comms 1 pid=7 comm=sh"
		check("it is told in time", 3, "access /1 1", "access /2 3", told)
		time.Sleep(time.Hour)
		l.try(attempt{1, 7, "sh", 7})
		check("and the next is the first again", 4, "access /1 1", "access /2 3", told, "access /1 4")
		l.close()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// audit checks that accesses and what counts them make up the attempts, each
// once, in order; or with again, each at least once.
func audit(t *testing.T, tries []attempt, got []string, again bool) {
	t.Helper()
	places := make(map[int][]int) // of the attempts of a kind, from 1
	for i, a := range tries {
		places[a.kind] = append(places[a.kind], i+1)
	}
	seen := make([]bool, len(tries)+1)
	next := make(map[int]int) // of places
	for _, line := range got {
		var kind, count, first, last int
		if n, _ := fmt.Sscanf(line, "access /%d %d", &kind, &first); n == 2 {
			count, last = 1, first
		} else if n, _ := fmt.Sscanf(line, "/%d %d (%d to %d)", &kind, &count, &first, &last); n != 4 || strings.Contains(line, "but") {
			t.Fatalf("odd line %q", line)
		}
		from, ok := slices.BinarySearch(places[kind], first)
		if !ok || !again && from != next[kind] || from+count > len(places[kind]) || places[kind][from+count-1] != last {
			t.Fatalf("%q does not go on behind %d of %v", line, next[kind], places[kind])
		}
		next[kind] = from + count
		pids, comms := map[int]bool{}, map[string]bool{}
		for _, at := range places[kind][from:next[kind]] {
			seen[at] = true
			pids[tries[at-1].pid], comms[tries[at-1].comm] = true, true
		}
		if want := fmt.Sprintf(" pids %d comms %d", len(pids), len(comms)); !strings.HasPrefix(line, "access") && !strings.Contains(line+" ", want+" ") {
			t.Fatalf("%q: want%s", line, want)
		}
	}
	if i := slices.Index(seen[1:], false); i >= 0 {
		t.Fatalf("attempt %d was never told", i+1)
	}
}

func attempts(n int) []attempt {
	var list []attempt
	now := int64(1000)
	for range n {
		now += rand.Int64N(100)
		kind := 1 + int(rand.ExpFloat64()*3)
		list = append(list, attempt{kind, rand.IntN(20), fmt.Sprint("c", rand.IntN(5)), now})
	}
	return list
}

// TestCountsAreRightWhateverFails lets writes and flushes fail at random. What
// was not flushed is written and counted again, and nothing twice.
func TestCountsAreRightWhateverFails(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			tries := attempts(3000)
			fails := func() error {
				if rand.IntN(100) == 0 {
					return errFake
				}
				return nil
			}
			l, m := newLog(0), &memory{
				onWrite: func(context.Context, []byte) error { return fails() },
				onFlush: func(context.Context) error { return fails() },
			}
			c := coalescing(l, m)
			c.Batch = 1 + rand.IntN(200)
			r := New(c)
			wait := start(t.Context(), r)
			for part := range slices.Chunk(tries, 500) {
				l.try(part...)
				time.Sleep(rand.N(20 * time.Second))
			}
			l.close()
			if err := wait(); err != nil {
				t.Error(err)
			}
			audit(t, tries, m.got(), false)
			if st := r.Status(); st.Delivered != uint64(len(m.got())) || st.Kept.Seq != uint64(len(tries)) {
				t.Errorf("status %+v", st)
			}
			if n := r.windows.Size(); n != 0 || !r.windows.Empty() {
				t.Errorf("windows of %d bytes are left", n)
			}
		})
	}
}

// TestKillLosesNoCount ends runners in the middle; the next one goes on at the
// cursor that was kept.
func TestKillLosesNoCount(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			tries := attempts(2000)
			l := newLog(0)
			l.try(tries...)
			kept := spool.Cursor{ID: testID}
			var got []string
			for range 10 {
				stop, kill := context.WithCancel(t.Context())
				budget := rand.IntN(300)
				m := &memory{onWrite: func(ctx context.Context, _ []byte) error {
					if budget--; budget < 0 {
						kill()
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}}
				c := coalescing(l, m)
				c.Batch, c.Start = 1+rand.IntN(50), kept
				c.Source = &source{log: l, at: int(kept.Seq)}
				c.Save = func(c spool.Cursor) error { kept = c; return nil }
				time.AfterFunc(rand.N(30*time.Second), kill)
				_ = New(c).Run(stop)
				kill()
				got = append(got, m.got()...)
			}
			m := &memory{}
			c := coalescing(l, m)
			c.Start, c.Source = kept, &source{log: l, at: int(kept.Seq)}
			l.close()
			if err := New(c).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			audit(t, tries, append(got, m.got()...), true)
		})
	}
}

// causer is a sink that causes what process 7 does.
type causer struct{ memory }

func (*causer) Caused(ev *ipe.Event) bool { return ev.PID == 7 }

func TestWhatASinkCausesIsNotCounted(t *testing.T) {
	t.Parallel()
	l, m := newLog(0), &causer{}
	l.try(attempt{1, 7, "sh", 5}, attempt{1, 7, "sh", 5}, attempt{1, 8, "sh", 5}, attempt{1, 7, "sh", 5}, attempt{1, 8, "sh", 6})
	l.close()
	if err := New(coalescing(l, m)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"access /1 1", "access /1 2", "access /1 3", "access /1 4", "/1 1 (5 to 5) 6-6 pids 1 comms 1 pid=8 comm=sh"}
	if got := m.got(); !slices.Equal(got, want) {
		t.Errorf(" got %q\nwant %q", got, want)
	}
}

// TestStopTellsWhatWasCounted stops a runner whose time is over.
func TestStopTellsWhatWasCounted(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			tries := []attempt{{1, 1, "a", 1}, {1, 2, "a", 2}, {2, 1, "a", 3}, {1, 3, "a", 4}}
			l, m := newLog(0), &memory{}
			l.try(tries...)
			r := New(coalescing(l, m))
			wait := start(t.Context(), r)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_ = r.Stop(ctx)
			_ = wait()
			audit(t, tries, m.got(), false)
			if st := r.Status(); st.Kept != st.Cursor || st.Kept.Seq != 4 {
				t.Errorf("patience %v: status %+v", patience, st)
			}
		})
	}
}

// TestMemoryForKindsIsBounded has more kinds than fit, names and numbers without
// end: events come early, and the counts stay right.
func TestMemoryForKindsIsBounded(t *testing.T) {
	t.Parallel()
	var tries []attempt
	for i := range 60_000 {
		tries = append(tries, attempt{1 + i/2, i, fmt.Sprint("c", i), 1})
	}
	for i := range 60_000 {
		tries = append(tries, attempt{1, i * 5000, fmt.Sprint("d", i), 2})
	}
	l, m := newLog(0), &memory{}
	l.try(tries...)
	l.close()
	r := New(coalescing(l, m))
	most := 0
	r.config.Format = func(dst []byte, ev *ipe.Event, c *format.Context) []byte {
		most = max(most, r.windows.Size())
		return spoken(dst, ev, c)
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	audit(t, tries, m.got(), false)
	if most > maxWindows+10_000 || most < maxWindows/2 {
		t.Errorf("%d bytes were used, want up to %d", most, maxWindows)
	}
	if r.Status().EarlyFlushes == 0 {
		t.Error("nothing was told early")
	}
}

// storm is a source of n denials of three kinds, by many processes.
type storm struct {
	n     int
	at    int
	entry spool.Entry
	buf   [3][]byte
}

func (s *storm) TryNext() (*spool.Entry, bool, error) {
	if s.at == s.n {
		return nil, false, io.EOF
	}
	s.at++
	s.entry = spool.Entry{ID: testID, Seq: uint64(s.at), Type: 1420, Data: s.buf[s.at%3]}
	return &s.entry, true, nil
}

func (s *storm) Next(context.Context) (*spool.Entry, error) {
	_, _, err := s.TryNext()
	return nil, err
}
func (s *storm) Rewind(spool.Cursor) {}

// TestStormOfAMillionIsThreeNumbers counts a million denials of three kinds.
func TestStormOfAMillionIsThreeNumbers(t *testing.T) {
	const n = 1_000_000
	src := &storm{n: n}
	for i := range src.buf {
		src.buf[i] = attempt{1 + i, i, "sh", 5}.record()
	}
	m := &memory{}
	c := coalescing(newLog(0), m)
	c.Source, c.Coalesce = src, time.Hour // of the clock: a slow machine is no failure
	r := New(c)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	want := []string{"access /2 1", "access /3 2", "access /1 3",
		"/2 333333 (4 to 1000000) 5-5 pids 1 comms 1 pid=1 comm=sh",
		"/3 333332 (5 to 999998) 5-5 pids 1 comms 1 pid=2 comm=sh",
		"/1 333332 (6 to 999999) 5-5 pids 1 comms 1 pid=0 comm=sh"}
	if got := m.got(); !slices.Equal(got, want) {
		t.Errorf(" got %q\nwant %q", got, want)
	}
	if st := r.Status(); st.Coalesced != n-3 {
		t.Errorf("%d were coalesced, want %d", st.Coalesced, n-3)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 && !raceEnabled {
		t.Errorf("%d bytes were allocated for %d entries", got, n)
	}
}

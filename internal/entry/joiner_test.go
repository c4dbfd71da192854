package entry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// tape is a Source of what is put on it.
type tape struct {
	mu      sync.Mutex
	entries []any // *spool.Entry or error
	at      int
	grown   chan struct{}
}

func newTape() *tape { return &tape{grown: make(chan struct{}, 1)} }

func (l *tape) put(list ...any) {
	l.mu.Lock()
	l.entries = append(l.entries, list...)
	l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

func (l *tape) TryNext() (*spool.Entry, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == len(l.entries) {
		return nil, false, nil
	}
	l.at++
	if err, ok := l.entries[l.at-1].(error); ok {
		return nil, false, err
	}
	return l.entries[l.at-1].(*spool.Entry), true, nil
}

func (l *tape) Next(ctx context.Context) (*spool.Entry, error) {
	for {
		if e, ok, err := l.TryNext(); ok || err != nil {
			return e, err
		}
		select {
		case <-l.grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *tape) Rewind(c spool.Cursor) { l.at = int(c.Seq) }

// expected is an Expectation.
type expected struct {
	companions atomic.Bool
	pending    atomic.Int64 // serial
}

func (e *expected) Companions() bool       { return e.companions.Load() }
func (e *expected) Pending(k ipe.Key) bool { return int64(k.Serial) == e.pending.Load() }

// n makes the access with that serial, companion what belongs to it.
func access(n int) *spool.Entry {
	return &spool.Entry{ID: 1, Seq: uint64(n), Time: time.Now().UnixNano(), Type: 1420, Data: fmt.Appendf(nil, "audit(1.%03d:%d): ipe_op=EXECUTE pid=%d rule=\"DEFAULT action=DENY\"", n, n, n)}
}

func companion(n int, typ uint16) *spool.Entry {
	return &spool.Entry{ID: 1, Time: time.Now().UnixNano(), Type: typ, Attachment: true, Data: fmt.Appendf(nil, "audit(1.%03d:%d): x=%d", n, n, n)}
}

func loss() *spool.Entry {
	return &spool.Entry{ID: 1, Seq: 99, Time: time.Now().UnixNano(), Type: TypeInternal, Data: []byte(`{"event":"lost","count":1}`)}
}

// render says what an entry has.
func render(e *spool.Entry) string {
	s := fmt.Sprint(e.Seq)
	for _, a := range e.Attachments {
		s += fmt.Sprintf("+%d", a.Type)
	}
	return s
}

// drain returns what TryNext has now.
func drain(j *Joiner) (list []string) {
	for {
		e, ok, err := j.TryNext()
		switch {
		case err != nil:
			list = append(list, err.Error())
			if errors.Is(err, io.EOF) {
				return list
			}
		case !ok:
			return list
		default:
			list = append(list, render(e))
		}
	}
}

// TestJoinerOfThePast has everything there is on the tape, and waits for nothing.
func TestJoinerOfThePast(t *testing.T) {
	t.Parallel()
	other := access(1)
	other.ID = 2
	gap := &spool.GapError{ID: 1, First: 2, Last: 3, Count: 2, Known: true}
	imported := func(n int) *spool.Entry {
		e := access(n)
		e.Type, e.Data = TypeImported, AppendImported(nil, &Imported{Type: 1420, Data: e.Data})
		return e
	}
	for _, tt := range []struct {
		name string
		tape []any
		want string
	}{
		{"nothing", nil, ""},
		{"alone", []any{access(1), access(2)}, "1 2"},
		{"in order", []any{access(1), companion(1, 1300), companion(1, 1327), companion(1, 1320), access(2)}, "1+1300+1327 2"},
		{"interleaved", []any{access(1), access(2), companion(2, 1300), companion(2, 1320), companion(1, 1300), companion(1, 1320)}, "1+1300 2+1300"},
		{"/proc behind the end", []any{access(1), companion(1, 1300), companion(1, 1320), access(2), companion(1, TypeProcess)}, "1+1300+1 2"},
		{"a stranger's", []any{companion(7, 1300), access(1), companion(8, 1300)}, "1"},
		{"a loss between", []any{access(1), loss(), companion(1, 1300)}, "1+1300 99"},
		{"another epoch", []any{access(1), other, companion(1, 1300)}, "1 1+1300"},
		{"a gap", []any{access(1), gap, companion(1, 1300), access(4)}, "1 entries 2-3 missing 4"},
		{"imported", []any{imported(1), companion(1, 1300), imported(2)}, "1+1300 2"},
		{"an own event", []any{loss(), access(1)}, "99 1"},
	} {
		l := newTape()
		l.put(tt.tape...)
		got := strings.Join(drain(NewJoiner(l)), " ")
		if i := strings.Index(got, gap.Error()); i >= 0 {
			got = strings.Replace(got, gap.Error(), "entries 2-3 missing", 1)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestJoinerHoldsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	l := newTape()
	for n := range 2 * maxHeld {
		l.put(access(n + 1))
	}
	j := NewJoiner(l)
	if e, ok, err := j.TryNext(); !ok || err != nil || e.Seq != 1 || j.held.Len() >= maxHeld || l.at > maxHeld {
		t.Errorf("%v %v, %d held, %d read", ok, err, j.held.Len(), l.at)
	}
	big := newTape()
	for n := range 100 {
		e := access(n + 1)
		e.Data = append(e.Data, make([]byte, maxHeldBytes/8)...)
		big.put(e)
	}
	j = NewJoiner(big)
	if _, ok, _ := j.TryNext(); !ok || big.at > 9 {
		t.Errorf("%d large entries were read", big.at)
	}
}

// TestJoinerWaits is about what a live reader waits for, and how long.
func TestJoinerWaits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		companions bool
		pending    int64
		then       []any // 20 ms behind access 1
		want       time.Duration
		gets       string
	}{
		{"for nothing without an audit context", false, 0, nil, 0, "1"},
		{"for the end", true, 0, []any{companionOf(1, 1300), companionOf(1, 1320)}, 20 * time.Millisecond, "1+1300"},
		{"no longer than it may", true, 0, []any{companionOf(1, 1300)}, 100 * time.Millisecond, "1+1300"},
		{"for companions that never come", true, 0, nil, 100 * time.Millisecond, "1"},
		{"until a loss", true, 0, []any{loss}, 20 * time.Millisecond, "1"},
		{"for /proc", false, 1, []any{companionOf(1, TypeProcess)}, 20 * time.Millisecond, "1+1"},
		{"for /proc behind the end", true, 1, []any{companionOf(1, 1320), companionOf(1, TypeProcess)}, 20 * time.Millisecond, "1+1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newTape()
				j := NewJoiner(l)
				var expect expected
				expect.companions.Store(tt.companions)
				expect.pending.Store(tt.pending)
				j.Wait, j.Expect = 100*time.Millisecond, &expect
				begin := time.Now()
				l.put(access(1))
				if tt.then != nil {
					go func() {
						time.Sleep(20 * time.Millisecond)
						for _, f := range tt.then {
							l.put(f.(func() *spool.Entry)())
						}
						expect.pending.Store(0)
					}()
				}
				e, err := j.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := render(e); got != tt.gets || time.Since(begin) != tt.want {
					t.Errorf("got %s after %v, want %s after %v", got, time.Since(begin), tt.gets, tt.want)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

func companionOf(n int, typ uint16) func() *spool.Entry {
	return func() *spool.Entry { return companion(n, typ) }
}

// TestJoinerKeepsTheOrder has an access that waits in front of others that do not.
func TestJoinerKeepsTheOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newTape()
		j := NewJoiner(l)
		var expect expected
		expect.companions.Store(true)
		j.Wait, j.Expect = 100*time.Millisecond, &expect
		own := loss()
		own.Data = []byte(`{"event":"stopped"}`)
		l.put(access(1), access(2), companion(2, 1300), companion(2, 1320), own)
		if got := drain(j); got != nil {
			t.Errorf("%v came before what is in front of it", got)
		}
		time.Sleep(100 * time.Millisecond)
		if diff := cmp.Diff([]string{"1", "2+1300", "99"}, drain(j)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		// What comes late is passed over, and what the reader goes back for comes again.
		l.put(companion(1, 1300))
		if got := drain(j); got != nil {
			t.Errorf("%v came twice", got)
		}
		j.Rewind(spool.Cursor{ID: 1, Seq: 0})
		if diff := cmp.Diff([]string{"1+1300", "2+1300", "99"}, drain(j)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		l.put(access(3))
		if got := drain(j); got != nil {
			t.Errorf("%v did not wait", got)
		}
		j.Hurry()
		if diff := cmp.Diff([]string{"3"}, drain(j)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestJoinerDoesNotAllocate(t *testing.T) {
	l := newTape()
	l.put(access(1), access(2), companion(2, 1300), companion(2, 1320), companion(1, 1300), companion(1, 1320))
	j := NewJoiner(l)
	n := testing.AllocsPerRun(100, func() {
		l.at = 0
		for {
			if _, ok, _ := j.TryNext(); !ok {
				return
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJoiner(b *testing.B) {
	for _, bb := range []struct {
		name string
		list []any
	}{
		{"alone", []any{access(1), access(2), access(3), access(4)}},
		{"companions", []any{access(1), companion(1, 1300), companion(1, 1327), companion(1, 1320)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			l := newTape()
			l.put(bb.list...)
			j := NewJoiner(l)
			b.ReportAllocs()
			for b.Loop() {
				l.at = 0
				for ok := true; ok; {
					_, ok, _ = j.TryNext()
				}
			}
		})
	}
}

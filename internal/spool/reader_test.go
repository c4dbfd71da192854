package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// small are options under which a few hundred records are given up.
func small(dir string) Options {
	return Options{Dir: dir, BootID: boot(1), Size: 32 << 10, Memory: 8 << 10}
}

// inBothForms runs a test with a spool in memory and one on disk.
func inBothForms(t *testing.T, test func(t *testing.T, o Options)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, small("")) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); test(t, small(t.TempDir())) })
}

func TestSlowReaderIsToldTheExactGap(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, o)
		r := s.NewReader(Start{})
		defer r.Close()
		var read, missed uint64
		for i := 0; i < 5000; i += 100 {
			s.Append(text(i, 100))
			if i%1000 != 0 {
				continue
			}
			for {
				e, ok, err := r.TryNext()
				var gap *GapError
				if errors.As(err, &gap) {
					if !gap.Known || gap.ID != s.cur.id || gap.First != read+missed+1 || gap.Last-gap.First+1 != gap.Count {
						t.Fatalf("gap %+v after %d entries", gap, read+missed)
					}
					missed += gap.Count
					continue
				}
				if !ok {
					break
				}
				if read++; e.Seq != read+missed || string(e.Data) != fmt.Sprintf("record %d", e.Seq-1) {
					t.Fatalf("entry %d %q, want %d", e.Seq, e.Data, read+missed)
				}
			}
		}
		if missed == 0 {
			t.Error("nothing was overwritten: the test tests nothing")
		}
		// A reader that holds a chunk may have got what was given up then.
		if st := s.Stats(); missed > st.GivenUp {
			t.Errorf("told %d missing, only %d were given up", missed, st.GivenUp)
		}
	})
}

func TestDiskIsBounded(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 300 {
		s.Append(text(i*50, 50))
		files, _ := filepath.Glob(filepath.Join(o.Dir, "*"))
		var sum int64
		for _, f := range files {
			if filepath.Base(f) != segment.MarkName {
				sum += size(t, f)
			}
		}
		if sum > o.Size {
			t.Fatalf("%d bytes on disk, the bound is %d", sum, o.Size)
		}
	}
	if st := s.Stats(); st.Memory > o.Memory || st.Disk > o.Size || st.Entries+st.GivenUp != 15000 {
		t.Errorf("stats %+v", st)
	}
}

func TestReaderStarts(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		o.Memory = 64 << 10
		s := mustOpen(t, o)
		id := s.End().ID
		s.Append(text(1, 300)) // record n has seq n and is received at n nanoseconds
		tests := []struct {
			name  string
			start Start
			first string // "" for none
		}{
			{"oldest", Start{}, "1 record 1"},
			{"after one", Start{After: &Cursor{ID: id, Seq: 250}}, "251 record 251"},
			{"after none", Start{After: &Cursor{ID: id, Seq: 0}}, "1 record 1"},
			{"after the last", Start{After: &Cursor{ID: id, Seq: 300}}, ""},
			{"beyond the last", Start{After: &Cursor{ID: id, Seq: 1000}}, fmt.Sprintf("entries from %v:1001 on missing, how many is not known: the cursor is beyond the end of its id", id)},
			{"after the highest there is", Start{After: &Cursor{ID: id, Seq: math.MaxUint64}}, ""},
			{"after the highest of an unknown id", Start{After: &Cursor{ID: id + 1, Seq: math.MaxUint64}},
				fmt.Sprintf("entries from %v:18446744073709551615 on missing, how many is not known: the spool no longer knows this id", id+1)},
			{"end", Start{End: true}, ""},
			{"since", Start{Since: time.Unix(0, 123)}, "123 record 123"},
			{"since before all", Start{Since: time.Unix(0, -5)}, "1 record 1"},
		}
		for _, tt := range tests {
			r := s.NewReader(tt.start)
			got := ""
			if all := drain(t, r); len(all) > 0 {
				got = all[0]
			}
			if got != tt.first {
				t.Errorf("%s: first %q, want %q", tt.name, got, tt.first)
			}
			r.Close()
		}

		var readers []*Reader
		for _, start := range []Start{{End: true}, {After: &Cursor{ID: id, Seq: 300}}, {After: &Cursor{ID: id, Seq: math.MaxUint64}}, {Since: time.Unix(0, 301)}} {
			readers = append(readers, s.NewReader(start))
		}
		s.Append(text(301, 1))
		for i, r := range readers {
			if got := drain(t, r); len(got) != 1 || got[0] != "301 record 301" {
				t.Errorf("reader %d got %q of what came later", i, got)
			}
			r.Close()
		}
	})
}

func TestReaderOfAnUnknownIDIsTold(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, o)
		s.Append(text(0, 5))
		r := s.NewReader(Start{After: &Cursor{ID: s.End().ID + 1, Seq: 42}})
		defer r.Close()
		_, err := r.Next(t.Context())
		var gap *GapError
		if !errors.As(err, &gap) || gap.Known || gap.ID != s.End().ID+1 || gap.First != 43 {
			t.Fatalf("got %v, want a gap of unknown size from %v:43 on", err, s.End().ID+1)
		}
		wantText(t, datas(t, r, 5), 0)
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{})
		r := s.NewReader(Start{})
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.Next(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		s.Append(text(0, 1))
		wantText(t, datas(t, r, 1), 0)
		s.Close()
	})
}

func TestCloseWakesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{})
		r := s.NewReader(Start{})
		defer r.Close()
		got := make(chan error)
		go func() { _, err := r.Next(context.Background()); got <- err }()
		synctest.Wait() // it waits
		s.Close()
		if err := <-got; err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
		if c := s.Append(text(0, 1)); c != (Cursor{}) {
			t.Errorf("appended %v after Close", c)
		}
	})
}

func TestAppendWaitWaitsForBlockingReaders(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, o)
		r := s.NewReader(Start{Blocking: true})
		const n = 3000
		done := make(chan error, 1)
		go func() {
			for i := 0; i < n; i += 30 {
				if _, err := s.AppendWait(t.Context(), text(i, 30)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		last := s.End()
		for i := range n {
			e, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 { // what is not delivered is read again after a failure
				r.Rewind(last)
				if e, err = r.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if want := fmt.Sprintf("record %d", i); string(e.Data) != want {
				t.Fatalf("got %q, want %q", e.Data, want)
			}
			if last = e.Cursor(); i%10 == 9 {
				r.Delivered(last)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}

		// With nobody reading it waits for ever, or until its context ends.
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for s.Stats().Last < n+100 { // it has begun
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if c, err := s.AppendWait(ctx, text(0, 100000)); err != context.Canceled || c.Seq <= n {
			t.Errorf("AppendWait: %v, %v", c, err)
		}
		if g := s.Stats().GivenUp; g > n {
			t.Errorf("%d given up, only %d were delivered", g, n)
		}
		go r.Close()
		if c, err := s.AppendWait(t.Context(), text(0, 1000)); err != nil {
			t.Errorf("AppendWait when the reader is gone: %v, %v", c, err)
		}
	})
}

// TestReadersAndWritersAtOnce is for the race detector.
func TestReadersAndWritersAtOnce(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		o.Sync = time.Millisecond
		s := mustOpen(t, o)
		const writers, batches = 3, 200
		var wg sync.WaitGroup
		for i := range 4 {
			r := s.NewReader(Start{Blocking: i == 0})
			wg.Go(func() {
				defer r.Close()
				var seen uint64
				for {
					e, err := r.Next(context.Background())
					var gap *GapError
					switch {
					case err == io.EOF:
						if seen == 0 {
							t.Error("read nothing")
						}
						return
					case errors.As(err, &gap):
						seen += gap.Count
						continue
					case err != nil:
						t.Error(err)
						return
					}
					if seen++; e.Seq != seen {
						t.Errorf("entry %d, want %d", e.Seq, seen)
						return
					}
					if i == 3 && rand.IntN(20) == 0 {
						time.Sleep(time.Millisecond)
					}
					r.Delivered(e.Cursor())
					r.Lag()
				}
			})
		}
		var appending sync.WaitGroup
		for range writers {
			appending.Go(func() {
				for i := range batches {
					recs := text(i, 1+i%20)
					recs[0].Urgent = i%10 == 0
					s.Append(recs)
					s.Stats()
				}
			})
		}
		appending.Wait()
		if err := s.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestUrgentRecordsAreSyncedAtOnce(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	s := mustOpen(t, Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Sync: time.Hour})
	synced := make(chan struct{}, 100)
	fs.set(func(fs *faultFS) { fs.sync = func(string) error { synced <- struct{}{}; return nil } })
	s.Append(text(0, 5))
	s.Append([]Record{{Type: 1422, Data: []byte("policy"), Urgent: true}})
	<-synced
}

func TestReaderThatKeepsUpHoldsNoFile(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, small(t.TempDir()))
	s.Append(text(0, 500))
	r := s.NewReader(Start{})
	defer r.Close()
	datas(t, r, int(s.Stats().Entries))
	if _, ok, err := r.TryNext(); ok || err != nil || r.file.f != nil {
		t.Errorf("at the end %v, %v, file %v", ok, err, r.file.f)
	}
}

func TestLag(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, Options{})
	r := s.NewReader(Start{})
	defer r.Close()
	s.Append(text(0, 5))
	datas(t, r, 2)
	if n := r.Lag(); n != 3 {
		t.Errorf("lag %d, want 3", n)
	}
}

func TestLongDataIsCutAndCounted(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, Options{Dir: o.Dir})
		r := s.NewReader(Start{})
		defer r.Close()
		s.Append([]Record{{Data: make([]byte, MaxData+1)}, {Data: []byte("after")}})
		e, err := r.Next(t.Context())
		if err != nil || len(e.Data) != MaxData || s.Stats().Cut != 1 {
			t.Errorf("%d bytes, cut %d, %v", len(e.Data), s.Stats().Cut, err)
		}
		if got := datas(t, r, 1); got[0] != "after" {
			t.Errorf("then %q", got[0])
		}
	})
}

// Passed is called while Since is looked for, and can end that for a while.
func TestOlderEntriesArePassedOverInSteps(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, Options{Dir: t.TempDir()})
	old, young := text(1, 3*PassedStep+1), text(3*PassedStep+2, 1)
	for i := range old {
		old[i].Time = 1
	}
	young[0].Time = 100
	s.Append(old)
	s.Append(young)
	calls, enough := 0, errors.New("enough")
	r := s.NewReader(Start{Since: time.Unix(0, 50), Passed: func() error {
		if calls++; calls == 2 {
			return enough
		}
		return nil
	}})
	defer r.Close()
	if e, ok, err := r.TryNext(); ok || err != enough {
		t.Fatalf("got %v, %v, want %v", e, err, enough)
	}
	if e, ok, err := r.TryNext(); !ok || e.Seq != 3*PassedStep+2 {
		t.Fatalf("got %v, %v, want the entry that is not older", e, err)
	}
	if calls != 3 {
		t.Errorf("called %d times, want 3", calls)
	}
}

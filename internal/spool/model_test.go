package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model is what the spool ought to be: for each id, in order, what was
// appended under it.
type model struct {
	t    *rapid.T
	opts Options
	fs   *faultFS
	back chan Change

	s       *Spool
	ids     []ID
	texts   map[ID][]string
	cut     map[ID]bool // the end may be lost, by our own doing
	synced  Cursor      // what a power cut spares,
	file    string      // and in which file that ends
	spared  int64
	readers []*modelReader
	serial  int
}

// modelReader checks what a reader gets: every entry of every id in order,
// but for the gaps that it is told and that are really there.
type modelReader struct {
	r   *Reader
	at  Cursor // last entry delivered or told missing; zero before the first
	any bool   // the next entry may be any: told that the id is gone
}

func (m *model) open() {
	s, err := Open(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.s = s
	if end := s.End(); !slices.Contains(m.ids, end.ID) {
		m.ids = append(m.ids, end.ID)
	} else if end.ID != m.ids[len(m.ids)-1] {
		m.t.Fatalf("goes on with the older id %v", end.ID)
	}
	m.settle()
	for _, r := range m.readers {
		start := Start{}
		if r.at.ID != 0 {
			start.After = &r.at
		}
		r.r = s.NewReader(start)
	}
}

// settle takes over from the spool how much of the old ids is left at their
// ends, where that is uncertain.
func (m *model) settle() {
	for _, id := range m.ids {
		if e := m.s.find(id); m.cut[id] && e != nil {
			if id == m.synced.ID && e.next <= m.synced.Seq {
				m.t.Fatalf("%v was synced, but %v ends at %d", m.synced, id, e.next-1)
			}
			m.texts[id] = m.texts[id][:e.next-1]
		}
	}
}

func (m *model) append(n int) {
	recs := make([]Record, n)
	for i := range recs {
		m.serial++
		recs[i].Data = fmt.Appendf(nil, "%0*d", 10+m.serial%150, m.serial)
		recs[i].Context = contextOf(recs[i].Data)
	}
	last := m.s.Append(recs)
	// A failing disk splits a batch: the beginning is on disk already.
	var split []string
	if prev := m.ids[len(m.ids)-1]; last.ID != prev {
		before := int(m.s.find(prev).next) - 1 - len(m.texts[prev])
		for _, r := range recs[:before] {
			split = append(split, string(r.Data))
		}
		m.texts[prev] = append(m.texts[prev], split...)
		m.ids = append(m.ids, last.ID)
	}
	for _, r := range recs[len(split):] {
		m.texts[last.ID] = append(m.texts[last.ID], string(r.Data))
	}
	if want := uint64(len(m.texts[last.ID])); last.Seq != want {
		m.t.Fatalf("Append returned %v, want seq %d", last, want)
	}
}

// read reads n entries, or all with n < 0.
func (m *model) read(r *modelReader, n int) {
	for ; n != 0; n-- {
		e, ok, err := r.r.TryNext()
		var gap *GapError
		switch {
		case errors.As(err, &gap) && gap.Known:
			m.follow(r, Cursor{gap.ID, gap.First})
			r.at.Seq = gap.Last
			if e := m.s.find(gap.ID); gap.Err != nil || e != nil && e.available(gap.First) <= gap.Last {
				m.t.Fatalf("%v, but it is there", gap)
			}
		case errors.As(err, &gap) && errors.Is(err, errGone):
			if m.s.find(gap.ID) != nil || gap.ID != r.at.ID {
				m.t.Fatalf("%v, but it is there", gap)
			}
			r.any = true
		case errors.As(err, &gap):
			if !m.cut[gap.ID] {
				m.t.Fatalf("%v, but nothing was cut", gap)
			}
		case err != nil && err != io.EOF:
			m.t.Fatal(err)
		case !ok:
			if end := (Cursor{m.s.cur.id, uint64(len(m.texts[m.s.cur.id]))}); r.at != end && end.Seq > 0 {
				m.t.Fatalf("reader at %v has nothing to read, the end is %v", r.at, end)
			}
			return
		default:
			m.follow(r, e.Cursor())
			if want := m.texts[e.ID][e.Seq-1]; string(e.Data) != want {
				m.t.Fatalf("entry %v says %q, want %q", e.Cursor(), e.Data, want)
			}
			if want := contextOf(e.Data); e.Context != want {
				m.t.Fatalf("entry %v has context %d, want %d", e.Cursor(), e.Context, want)
			}
		}
	}
}

// contextOf returns the context of the record with this data: any number, but
// none for every third record.
func contextOf(data []byte) uint16 {
	n, err := strconv.Atoi(string(data))
	if err != nil || n%3 == 0 {
		return 0
	}
	return uint16(n * 25033)
}

// follow checks that c comes right after where the reader is.
func (m *model) follow(r *modelReader, c Cursor) {
	switch {
	case r.any || r.at.ID == 0:
	case c.ID == r.at.ID:
		if c.Seq != r.at.Seq+1 {
			m.t.Fatalf("%v follows %v", c, r.at)
		}
	default:
		from, to := slices.Index(m.ids, r.at.ID), slices.Index(m.ids, c.ID)
		if c.Seq != 1 || from > to || uint64(len(m.texts[r.at.ID])) > r.at.Seq {
			m.t.Fatalf("%v follows %v of %d", c, r.at, len(m.texts[r.at.ID]))
		}
		for _, id := range m.ids[from+1 : to] {
			if len(m.texts[id]) > 0 && m.s.find(id) != nil {
				m.t.Fatalf("%v follows %v, but there is %v between", c, r.at, id)
			}
		}
	}
	r.at, r.any = c, false
}

// end closes the readers. An id that is in memory only is gone with a crash.
func (m *model) end(stop func(*Spool)) {
	for _, r := range m.readers {
		r.r.Close()
	}
	stop(m.s)
	for e := m.s.oldest; e != nil; e = e.succ {
		if e.memory {
			m.cut[e.id] = true
		}
	}
}

// lookOffline wants somebody who reads the directory beside the running spool to
// get what a new reader does; in the memory form, what is on disk and that the
// rest is missing.
func (m *model) lookOffline(inMemory bool) {
	o, err := OpenOffline(m.opts.Dir, m.opts.BootID, time.Time{})
	if err != nil {
		m.t.Fatal(err)
	}
	defer o.Close()
	got := listing(o.Next)
	r := m.s.NewReader(Start{})
	defer r.Close()
	want := listing(func() (*Entry, error) {
		e, ok, err := r.TryNext()
		if err == nil && (!ok || m.s.find(e.ID).memory) {
			return nil, io.EOF
		}
		var gap *GapError
		if errors.As(err, &gap) {
			if of := m.s.find(gap.ID); of != nil && of.memory {
				return nil, io.EOF // overwritten before anything of it came to the disk
			}
		}
		return e, err
	})
	if inMemory {
		// Where the disk failed within a frame, that is what is said.
		if last := len(got) - 1; last < 0 || !strings.Contains(got[last], ErrUnclosed.Error()) && !strings.Contains(got[last], ErrDamaged.Error()) {
			m.t.Fatalf("the newest entries are in memory, but %q ends the files", got[max(last, 0):])
		}
		got = got[:len(got)-1]
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		m.t.Fatalf("offline (-reader +offline):\n%s", diff)
	}
}

// listing reads everything.
func listing(next func() (*Entry, error)) (list []string) {
	for {
		e, err := next()
		switch {
		case err == io.EOF:
			return list
		case err != nil:
			list = append(list, err.Error())
		default:
			list = append(list, fmt.Sprintf("%v %x %d %s", e.Cursor(), e.BootID[0], e.Context, e.Data))
		}
	}
}

// TestModel wants any interleaving of what can happen to a spool to agree with
// the model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{t: t, fs: &faultFS{}, texts: map[ID][]string{}, cut: map[ID]bool{}, back: make(chan Change, 1000)}
		m.opts = Options{
			Dir: dir, BootID: boot(1), FS: m.fs, Size: 40 << 10, Memory: 12 << 10,
			Sync: time.Hour, Retry: time.Millisecond, StallTimeout: time.Minute, // a busy disk is no failure
			Notify: func(c Change) {
				if c.Kind == BackOnDisk {
					m.back <- c
				}
			},
		}
		for range 3 {
			m.readers = append(m.readers, &modelReader{})
		}
		m.open()
		broken := false
		heal := func() {
			if broken {
				broken = false
				m.fs.heal()
				m.ids = append(m.ids, (<-m.back).ID)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { m.append(rapid.IntRange(1, 80).Draw(t, "n")) },
			"read": func(t *rapid.T) {
				m.read(rapid.SampledFrom(m.readers).Draw(t, "reader"), rapid.IntRange(-1, 50).Draw(t, "n"))
			},
			"start anew": func(t *rapid.T) {
				r := rapid.SampledFrom(m.readers).Draw(t, "reader")
				r.r.Close()
				*r = modelReader{r: m.s.NewReader(Start{})}
			},
			"reopen": func(t *rapid.T) {
				heal()
				m.end(func(s *Spool) {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				})
				if rapid.Bool().Draw(t, "reboot") {
					m.opts.BootID[0]++
				}
				was := len(m.ids)
				m.open()
				if len(m.ids) != was {
					t.Fatal("a new id after a clean end")
				}
			},
			"kill": func(t *rapid.T) {
				heal()
				m.end(crash)
				if rapid.Bool().Draw(t, "torn") {
					f, err := os.OpenFile(newestOf(dir), os.O_WRONLY|os.O_APPEND, 0)
					if err != nil {
						t.Fatal(err)
					}
					b := make([]byte, 200)
					n := putFrame(b, m.s.cur.id, m.s.cur.next, &Record{Data: []byte("torn")})
					f.Write(b[:rapid.IntRange(1, n-1).Draw(t, "bytes")])
					f.Close()
				}
				was := len(m.ids)
				m.open()
				if len(m.ids) != was {
					t.Fatal("a new id after a kill")
				}
			},
			"kill in memory": func(t *rapid.T) {
				if !broken {
					t.Skip("on disk")
				}
				m.end(crash)
				broken = false
				m.fs.heal()
				was := len(m.ids)
				m.open()
				if len(m.ids) != was+1 {
					t.Fatal("no new id after a kill in the memory form")
				}
			},
			"sync": func(t *rapid.T) {
				if broken {
					t.Skip("in memory")
				}
				if err := m.s.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				g := m.s.cur.segs[len(m.s.cur.segs)-1]
				m.synced, m.file, m.spared = Cursor{m.s.cur.id, m.s.cur.next - 1}, m.s.path(segmentName(g.ordinal)), g.size
			},
			"power cut": func(t *rapid.T) {
				heal()
				m.end(crash)
				path, floor := newestOf(dir), int64(headerSize)
				if path == m.file {
					floor = m.spared
				} else {
					m.synced = Cursor{}
				}
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(path, rapid.Int64Range(floor, info.Size()).Draw(t, "size")); err != nil {
					t.Fatal(err)
				}
				m.cut[m.s.cur.id] = true
				m.opts.BootID[0]++
				was := len(m.ids)
				m.open()
				if len(m.ids) != was+1 {
					t.Fatal("no new id after a power cut")
				}
			},
			"disk fails": func(t *rapid.T) {
				if broken {
					t.Skip("already")
				}
				m.fs.set(func(fs *faultFS) {
					fs.write = func(string, int64, []byte) error { return syscall.EIO }
					fs.create = func(string) error { return syscall.EIO }
				})
				for m.s.Stats().OnDisk {
					m.append(1)
				}
				broken = true
			},
			"disk is back":      func(t *rapid.T) { heal() },
			"look from outside": func(*rapid.T) { m.lookOffline(broken) },
		})
		heal()
		for _, r := range m.readers {
			m.read(r, -1)
		}
		m.end(func(s *Spool) { s.Close() })
	})
}

func newestOf(dir string) string {
	names, _ := os.ReadDir(dir)
	for _, n := range slices.Backward(names) {
		if _, ok := parseSegmentName(n.Name()); ok {
			return dir + "/" + n.Name()
		}
	}
	return ""
}

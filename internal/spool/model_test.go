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
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
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
	frames  map[ID][]modelFrame
	cut     map[ID]bool   // the end may be lost, by our own doing
	synced  ID            // what a power cut spares of it,
	frame   segment.Point // up to where,
	file    string        // and in which file that ends
	spared  int64
	last    Cursor // the newest event
	readers []*modelReader
	serial  int
}

type modelFrame struct {
	text       string
	attachment bool
	event      uint64 // of an attachment
}

// modelReader checks what a reader gets: every entry of every id in order,
// but for the gaps that it is told and that are really there.
type modelReader struct {
	r     *Reader
	all   bool // wants attachments
	id    ID   // 0 before the first entry
	n     int  // how many frames of id are delivered, told missing, or not wanted
	any   bool // the next entry may be any: told that the id is gone
	loose bool // how many attachments are missing before the next entry is not known
}

// events returns how many of the frames are events.
func events(frames []modelFrame) (n uint64) {
	for _, f := range frames {
		if !f.attachment {
			n++
		}
	}
	return n
}

// behind returns how many of the frames end with the event seq.
func behind(frames []modelFrame, seq uint64) int {
	for i, f := range frames {
		if seq == 0 {
			return i
		}
		if !f.attachment {
			seq--
		}
	}
	return len(frames)
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
	for _, r := range m.readers {
		start := Start{Attachments: r.all}
		if r.id != 0 {
			start.After = &Cursor{ID: r.id, Seq: events(m.frames[r.id][:r.n])}
			// What comes right behind that event comes again.
			r.n, r.loose = behind(m.frames[r.id], start.After.Seq), true
		}
		r.r = s.NewReader(start)
	}
	m.settle()
}

// settle takes over from the spool how much of the old ids is left at their
// ends, where that is uncertain.
func (m *model) settle() {
	for _, id := range m.ids {
		if e := m.s.find(id); m.cut[id] && e != nil {
			if id == m.synced && e.next.N < m.frame.N {
				m.t.Fatalf("%v was synced up to %v, but ends at %v", id, m.frame, e.next)
			}
			m.frames[id] = m.frames[id][:e.next.N-1]
		}
	}
	for _, r := range m.readers {
		r.n = min(r.n, len(m.frames[r.id]))
	}
}

func (m *model) append(n int) {
	recs := make([]Record, n)
	for i := range recs {
		m.serial++
		recs[i].Data = fmt.Appendf(nil, "%0*d", 10+m.serial%150, m.serial)
		recs[i].Context = contextOf(recs[i].Data)
		recs[i].Attachment = m.serial%5 == 0
		if m.serial%10 == 0 {
			recs[i].Event = m.last
		}
	}
	last := m.s.Append(recs)
	// A failing disk splits a batch: the beginning is on disk already.
	if prev := m.ids[len(m.ids)-1]; last.ID != prev {
		before := int(m.s.find(prev).next.N) - 1 - len(m.frames[prev])
		m.add(prev, recs[:before])
		m.ids = append(m.ids, last.ID)
		recs = recs[before:]
	}
	m.add(last.ID, recs)
	if want := events(m.frames[last.ID]); last.Seq != want {
		m.t.Fatalf("Append returned %v, want seq %d", last, want)
	}
	m.last = last
}

func (m *model) add(id ID, recs []Record) {
	for _, r := range recs {
		f := modelFrame{text: string(r.Data), attachment: r.Attachment}
		if r.Event.ID == id {
			f.event = r.Event.Seq
		}
		m.frames[id] = append(m.frames[id], f)
	}
}

// read reads n entries, or all with n < 0.
func (m *model) read(r *modelReader, n int) {
	for ; n != 0; n-- {
		e, ok, err := r.r.TryNext()
		var gap *GapError
		switch {
		case errors.As(err, &gap) && gap.Known:
			m.skip(r, gap)
		case errors.As(err, &gap) && errors.Is(err, errGone):
			if m.s.find(gap.ID) != nil || gap.ID != r.id {
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
			left := m.frames[m.s.cur.id]
			if r.id == m.s.cur.id {
				left = left[r.n:]
			}
			if r.wants(left) > 0 {
				m.t.Fatalf("reader at %v, %d has nothing to read, the end is %v", r.id, r.n, m.s.cur.next)
			}
			return
		default:
			m.follow(r, e.ID, e.Seq, e.Attachment)
			f := m.frames[e.ID][r.n]
			r.n++
			want := Entry{ID: e.ID, Seq: e.Seq, Data: []byte(f.text), Attachment: f.attachment, Event: f.event, Context: contextOf(e.Data)}
			got := *e
			got.BootID, got.Time, got.Type = [16]byte{}, 0, 0
			if diff := cmp.Diff(want, got); diff != "" {
				m.t.Fatalf("entry %v (-want +got):\n%s", e.Cursor(), diff)
			}
		}
	}
}

// wants returns how many of the frames the reader has to get.
func (r *modelReader) wants(frames []modelFrame) int {
	if r.all {
		return len(frames)
	}
	return int(events(frames))
}

// skip checks a gap whose size is told, and puts the reader behind it.
func (m *model) skip(r *modelReader, gap *GapError) {
	if gap.Err != nil {
		m.t.Fatalf("%v, but nothing is damaged", gap)
	}
	first := r.any || r.id == 0
	m.enter(r, gap.ID)
	frames := m.frames[gap.ID]
	if first {
		r.n, r.loose = behind(frames, gap.First-1), true
	}
	if want := events(frames[:r.n]) + 1; gap.First != want {
		m.t.Fatalf("%v, but %d comes next", gap, want)
	}
	to := behind(frames, gap.Last)
	if r.all && gap.Count == 0 || r.all && !r.loose {
		to = r.n + int(gap.Count+gap.Attachments)
		if got := events(frames[r.n:to]); got != gap.Count {
			m.t.Fatalf("%v, but %d of these %d frames are events", gap, got, to-r.n)
		}
	}
	// The spool may have given up more meanwhile, but it has nothing of these.
	if e := m.s.find(gap.ID); e != nil && e.available(segment.Point{N: uint64(r.n) + 1}).N <= uint64(to) && !r.loose {
		m.t.Fatalf("%v, but it is there", gap)
	}
	r.n, r.any = to, false
}

// enter goes on to another id, of which everything before is delivered.
func (m *model) enter(r *modelReader, id ID) {
	if r.any || r.id == 0 || r.id == id {
		if r.id != id {
			r.id, r.n, r.loose = id, 0, true
		}
		return
	}
	from, to := slices.Index(m.ids, r.id), slices.Index(m.ids, id)
	// What came right behind an event that was delivered may be given up unsaid.
	left := m.frames[r.id][r.n:]
	if from > to || r.wants(left) > 0 && !(r.loose && events(left) == 0) {
		m.t.Fatalf("%v follows %v, %d of %d", id, r.id, r.n, len(m.frames[r.id]))
	}
	for _, between := range m.ids[from+1 : to] {
		if r.wants(m.frames[between]) > 0 && m.s.find(between) != nil {
			m.t.Fatalf("%v follows %v, but there is %v between", id, r.id, between)
		}
	}
	r.id, r.n, r.loose = id, 0, false
}

// follow checks that an entry comes right after where the reader is, and puts
// the reader before it.
func (m *model) follow(r *modelReader, id ID, seq uint64, attachment bool) {
	first := r.any || r.id == 0
	m.enter(r, id)
	frames := m.frames[id]
	at := r.n
	if first {
		if at = behind(frames, seq); !attachment {
			at = behind(frames, seq-1)
		}
	}
	// Attachments are left out by who does not want them, and may be where it
	// is not known what comes next.
	for at < len(frames) && frames[at].attachment && (!r.all || (r.loose || first) && string(r.r.entry.Data) != frames[at].text) {
		at++
	}
	before := events(frames[:at])
	if at == len(frames) || frames[at].attachment != attachment || attachment && seq != before || !attachment && seq != before+1 {
		m.t.Fatalf("%v:%d (attachment: %v) follows frame %d of %d, behind event %d", id, seq, attachment, r.n, len(frames), events(frames[:r.n]))
	}
	r.n, r.any, r.loose = at, false, false
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
func (m *model) lookOffline(inMemory, all bool) {
	o, err := segment.OpenOffline(m.opts.Dir, m.opts.BootID, time.Time{})
	if err != nil {
		m.t.Fatal(err)
	}
	defer o.Close()
	o.Attachments = all
	got := listing(o.Next)
	r := m.s.NewReader(Start{Attachments: all})
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
		if last := len(got) - 1; last < 0 || !strings.Contains(got[last], segment.ErrUnclosed.Error()) && !strings.Contains(got[last], ErrDamaged.Error()) {
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
			list = append(list, fmt.Sprintf("%v %x %d %v %d %s", e.Cursor(), e.BootID[0], e.Context, e.Attachment, e.Event, e.Data))
		}
	}
}

// TestModel wants any interleaving of what can happen to a spool to agree with
// the model.
func TestModel(t *testing.T) {
	t.Parallel()
	base := memoryDir(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{t: t, fs: &faultFS{}, frames: map[ID][]modelFrame{}, cut: map[ID]bool{}, back: make(chan Change, 1000)}
		m.opts = Options{
			Dir: dir, BootID: boot(1), FS: m.fs, Size: 40 << 10, Memory: 12 << 10,
			Sync: time.Hour, Retry: time.Millisecond, StallTimeout: time.Minute, // a busy disk is no failure
			Notify: func(c Change) {
				if c.Kind == BackOnDisk {
					m.back <- c
				}
			},
		}
		for i := range 4 {
			m.readers = append(m.readers, &modelReader{all: i%2 == 0})
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
				*r = modelReader{r: m.s.NewReader(Start{Attachments: r.all}), all: r.all}
			},
			"reopen": func(t *rapid.T) {
				heal()
				m.end(func(s *Spool) {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				})
				reboots := rapid.Bool().Draw(t, "reboot")
				if reboots {
					m.opts.BootID[0]++
				}
				was := len(m.ids)
				m.open()
				if reboots != (len(m.ids) == was+1) {
					t.Fatal("an id goes on over a boot, or not over a clean end")
				}
			},
			"kill": func(t *rapid.T) {
				heal()
				m.end(crash)
				if rapid.Bool().Draw(t, "torn") {
					b, err := os.ReadFile(newestOf(dir))
					if err == nil {
						err = os.WriteFile(newestOf(dir), tear(b), 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
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
				m.synced, m.frame, m.file, m.spared = m.s.cur.id, m.s.cur.next, m.s.path(segment.Name(g.ordinal)), g.size
			},
			"power cut": func(t *rapid.T) {
				heal()
				m.end(crash)
				path, floor := newestOf(dir), int64(segment.HeaderSize)
				if path == m.file {
					floor = m.spared
				} else {
					m.synced = 0
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
			"look from outside": func(t *rapid.T) { m.lookOffline(broken, rapid.Bool().Draw(t, "all")) },
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
		if _, ok := segment.ParseName(n.Name()); ok {
			return dir + "/" + n.Name()
		}
	}
	return ""
}

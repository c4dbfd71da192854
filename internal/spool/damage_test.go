package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// quickFS does not sync: there are many cases, and no power cut.
type quickFS struct{ osFS }

func (quickFS) SyncDir(string) error { return nil }

func (fs quickFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := fs.osFS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return quickFile{f}, nil
}

type quickFile struct{ File }

func (quickFile) Sync() error { return nil }

// wreck is a directory with two ids, of two boots, of several segments each, and
// what was appended to it.
type wreck struct {
	options Options
	files   map[string][]byte
	events  map[Cursor]string
	ids     [2]ID
	last    Cursor
	newest  string // segment
	told    map[ChangeKind]bool
	oldest  bool // the first segment is not there: it may have been given up
}

// newWreck ends a spool by end, in the second of its boots; reboots says that it
// is opened in the third.
func newWreck(t *testing.T, end func(*Spool), reboots bool) *wreck {
	t.Helper()
	w := &wreck{events: map[Cursor]string{}}
	w.options = Options{Dir: memoryDir(t), BootID: boot(1), Size: 64 << 10, Memory: 1, FS: quickFS{}, Sync: time.Hour}
	w.options.Size = 8 * 4096
	for i := range 2 {
		w.options.BootID = boot(byte(1 + i))
		s := mustOpen(t, w.options)
		for j := range 120 {
			rec := Record{Type: 1420, Time: int64(j), Data: fmt.Appendf(nil, "%d: %060d", i, j)}
			w.last = s.Append([]Record{rec})
			w.events[w.last] = string(rec.Data)
			if j%10 == 9 {
				s.Append([]Record{{Data: []byte("an attachment"), Attachment: true}})
			}
		}
		w.ids[i] = w.last.ID
		if i == 0 {
			s.Close()
		} else {
			end(s)
		}
	}
	w.files = map[string][]byte{}
	names, err := os.ReadDir(w.options.Dir)
	if err != nil || len(names) < 7 {
		t.Fatalf("%d files, %v: the test wants more segments", len(names), err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(w.options.Dir, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		w.files[n.Name()] = b
	}
	w.newest = filepath.Base(newest(t, w.options.Dir))
	if reboots {
		w.options.BootID = boot(9)
	}
	return w
}

// lay makes the directory anew, with b in place of one file; nil removes it.
func (w *wreck) lay(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	for n, content := range w.files {
		path := filepath.Join(dir, n)
		switch n {
		case name:
			continue
		case w.newest, segment.MarkName: // they are written to
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		default:
			if err := os.Link(filepath.Join(w.options.Dir, n), path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if name != segment.MarkName {
		adopt(t, dir)
	} else if b != nil {
		// What is damaged is the mark of this directory.
		was, now := segment.ParseMark(w.files[segment.MarkName]), filepath.Join(dir, segment.MarkName)
		f, err := was.Write(osFS{}, dir, false)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		sound := was.Encode()
		damaged := slices.Clone(sound)
		for i := range min(len(b), len(damaged)) {
			damaged[i] ^= b[i] ^ w.files[segment.MarkName][i]
		}
		f2, err := os.OpenFile(now, os.O_WRONLY, 0)
		if err == nil {
			_, err = f2.Write(damaged)
			err = errors.Join(err, f2.Truncate(int64(min(len(b), len(damaged)))), f2.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if b != nil {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// read checks what comes from next, in order and as it was appended, and returns
// how many events of the wreck came and whether a gap was told.
func (w *wreck) read(next func() (*Entry, error)) (n int, gap bool, err error) {
	var last Cursor
	for {
		e, err := next()
		switch {
		case err == io.EOF:
			return n, gap, nil
		case errors.As(err, new(*GapError)):
			gap = true
			continue
		case err != nil:
			return n, gap, err
		}
		c := e.Cursor()
		if string(e.Data) == "new" && (c.ID != w.last.ID || c.Seq == w.last.Seq+1) {
			continue // appended behind
		}
		if want, ok := w.events[c]; !ok || want != string(e.Data) {
			return n, gap, fmt.Errorf("%v says %q, want %q", c, e.Data, want)
		}
		if c.ID == last.ID && c.Seq <= last.Seq || last.ID == w.ids[1] && c.ID == w.ids[0] {
			return n, gap, fmt.Errorf("%v follows %v", c, last)
		}
		if last = c; e.Attachment {
			continue
		}
		n++
	}
}

// check opens the directory and wants every event, or a loss told, and nothing
// that was not appended.
func (w *wreck) check(dir string, saved []Cursor) error {
	o := w.options
	o.Dir, o.Delivered = dir, saved
	off, err := segment.OpenOffline(dir, o.BootID, time.Time{})
	if err != nil {
		return fmt.Errorf("offline: %w", err)
	}
	n, gap, err := w.read(off.Next)
	off.Close()
	if err != nil {
		return fmt.Errorf("offline: %w", err)
	}
	if n < len(w.events) && !gap && len(saved) == 0 && !w.oldest { // it knows of no cursors
		return fmt.Errorf("offline: %d of %d events, and no gap told", n, len(w.events))
	}

	w.told = map[ChangeKind]bool{}
	o.Notify = func(c Change) { w.told[c.Kind] = true }
	s, err := Open(o)
	if err != nil {
		return err
	}
	c := s.Append([]Record{{Data: []byte("new")}})
	if _, ok := w.events[c]; ok {
		err = fmt.Errorf("the identity %v is given again", c)
	}
	r := s.NewReader(Start{After: &Cursor{ID: w.ids[0], Seq: 0}})
	end := s.NewReader(Start{After: &w.last})
	if n, gap, e := w.read(try(r)); e != nil {
		err = errors.Join(err, e)
	} else if n < len(w.events) && !gap {
		err = errors.Join(err, fmt.Errorf("%d of %d events, and no gap told", n, len(w.events)))
	}
	if n, _, e := w.read(try(end)); e != nil || n > 0 {
		err = errors.Join(err, fmt.Errorf("behind the end came %d events, %v", n, e))
	}
	r.Close()
	end.Close()
	err = errors.Join(err, s.Close())
	lost := w.told[TailLost] || w.told[TailUncertain] || w.told[MemoryUncertain] || w.told[Moved]
	if e := s.find(w.ids[1]); !lost && (e == nil || e.next.Seq <= w.last.Seq) {
		err = errors.Join(err, errors.New("the end of the newest id is gone, and that was not told"))
	}
	return err
}

// damages calls try with each damage to b, but for the bits, of which it takes one
// in first of what is at the beginning and one in step elsewhere.
func damages(b []byte, first, step int, try func(what string, b []byte)) {
	flip := func(i int) {
		c := slices.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		try(fmt.Sprintf("bit %d", i), c)
	}
	head := min(segment.HeaderSize, len(b)) * 8
	for i := 0; i < head; i += first {
		flip(i)
	}
	for i := head; i < len(b)*8; i += 17 * step {
		flip(i)
	}
	for i := max(head, len(b)*8-120*8); i < len(b)*8; i += step { // the last frame
		flip(i)
	}
	for at := 0; at < len(b); at += 512 {
		c := slices.Clone(b)
		clear(c[at:min(at+512, len(c))])
		try(fmt.Sprintf("512 zeros at %d", at), c)
		try(fmt.Sprintf("cut at %d", at), b[:at])
	}
	try("all zeros", make([]byte, len(b)))
	try("removed", nil)
	for n := max(0, len(b)-130); n < len(b); n += step {
		try(fmt.Sprintf("cut at %d", n), b[:n])
	}
	for _, n := range []int{1, 40, segment.HeaderSize - 1, segment.HeaderSize, segment.HeaderSize + 1, segment.HeaderSize + 20} {
		if n < len(b) {
			try(fmt.Sprintf("cut at %d", n), b[:n])
		}
	}
	if len(b) > segment.HeaderSize { // between two frames
		for off := segment.HeaderSize; off < len(b); off += segment.SizeOf(b[off:]) {
			try(fmt.Sprintf("cut between frames at %d", off), b[:off])
		}
	}
}

// TestDamageIsNeverSilent damages each file of a spool in every way that is
// short, after each way to end.
func TestDamageIsNeverSilent(t *testing.T) {
	t.Parallel()
	step := 13
	if testing.Short() {
		step = 61
	}
	synced := func(s *Spool) { s.Sync(t.Context()); crash(s) }
	for _, mode := range []struct {
		name    string
		end     func(*Spool)
		reboots bool
		saved   bool // a reader has saved that it got everything
		every   bool // bit of the newest header and the mark
	}{
		{"closed", func(s *Spool) { s.Close() }, false, false, false},
		{"closed, other boot", func(s *Spool) { s.Close() }, true, false, false},
		{"killed", synced, false, false, true},
		{"killed, not synced, delivered", crash, false, true, false},
		{"power cut", synced, true, false, false},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			w := newWreck(t, mode.end, mode.reboots)
			var saved []Cursor
			if mode.saved {
				saved = []Cursor{w.last}
			}
			base := memoryDir(t)
			cases, failed := 0, 0
			names := slices.Sorted(maps.Keys(w.files)) // the newest segment before the mark
			for i, name := range names {
				first := step
				if i >= len(names)-2 && mode.every && !testing.Short() {
					first = 1
				}
				damages(w.files[name], first, step, func(what string, b []byte) {
					if failed > 20 {
						return
					}
					cases++
					w.oldest = i == 0 && b == nil
					dir := filepath.Join(base, fmt.Sprint(cases))
					if err := os.Mkdir(dir, 0o700); err != nil {
						t.Fatal(err)
					}
					w.lay(t, dir, name, b)
					if err := w.check(dir, saved); err != nil {
						failed++
						t.Errorf("%s, %s: %v", name, what, err)
					}
					os.RemoveAll(dir)
				})
			}
			t.Logf("%d cases", cases)
		})
	}
}

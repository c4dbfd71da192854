package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// edit changes a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// frameAt returns the offset of the frame of an entry.
func frameAt(b []byte, seq uint64) int {
	for at := segment.HeaderSize; ; {
		var f segment.Frame
		n := f.Get(b[at:])
		if f.At.Seq == seq && !f.Attachment {
			return at
		}
		at += n
	}
}

// tear returns a segment with a frame behind its last one of which only the part
// up to the end of a page was written.
func tear(b []byte) []byte {
	id, at := ID(binary.LittleEndian.Uint64(b[12:])), segment.Origin
	for off := segment.HeaderSize; off < len(b); {
		var f segment.Frame
		off += f.Get(b[off:])
		at = f.Next()
	}
	page := os.Getpagesize()
	more := make([]byte, 3*page)
	torn := Record{Data: make([]byte, 2*page)}
	if (len(b)+segment.FrameSize(&torn))%page == 0 {
		torn.Data = torn.Data[1:] // or all of it would be there
	}
	n := segment.PutFrame(more, id, at, &torn)
	b = append(b, more[:n]...)
	return b[:len(b)/page*page]
}

// TestRecovery damages the only segment, of records 1 to 20, opens it again,
// appends record 21, and reads.
func TestRecovery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(b []byte) []byte
		end    func(*Spool)
		keeps  bool // the id
		told   ChangeKind
		gap    string // the reader's first error
		read   int    // entries, without the new one
	}{
		{
			name:   "torn frame after a kill",
			change: tear,
			keeps:  true, told: TornTail, read: 20,
		}, {
			name:   "cut within a page after a kill",
			change: func(b []byte) []byte { return b[:len(b)-1] },
			told:   TailLost, gap: "entries from ID:20 on missing, how many is not known: damaged on disk", read: 19,
		}, {
			name:   "cut between two frames, what was synced",
			change: func(b []byte) []byte { return b[:frameAt(b, 18)] },
			end:    func(s *Spool) { s.Sync(context.Background()); crash(s) },
			told:   TailLost, gap: "entries from ID:18 on missing, how many is not known: damaged on disk", read: 17,
		}, {
			name:   "torn frame after a kill in the memory form",
			change: tear,
			end:    func(s *Spool) { crash(s); os.Remove(s.path(segment.MarkName)) },
			told:   Damaged, gap: "entries from ID:21 on missing, how many is not known: damaged on disk", read: 20,
		}, {
			name:   "garbage at the end",
			change: func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0xff}, 100)...) },
			told:   Damaged, gap: "entries from ID:21 on missing, how many is not known: damaged on disk", read: 20,
		}, {
			name:   "zeros at the end",
			change: func(b []byte) []byte { return append(b, make([]byte, 4096)...) },
			told:   Damaged, gap: "entries from ID:21 on missing, how many is not known: damaged on disk", read: 20,
		}, {
			name:   "a bit in the last entry",
			change: func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			told:   Damaged, gap: "entries from ID:20 on missing, how many is not known: damaged on disk", read: 19,
		}, {
			name:   "a bit in the data of an entry",
			change: func(b []byte) []byte { b[frameAt(b, 8)+segment.FrameHeaderSize] ^= 1; return b },
			keeps:  true, told: Damaged, gap: "1 entries from ID:8 to 8 missing: damaged on disk", read: 19,
		}, {
			name:   "a bit in the length of an entry",
			change: func(b []byte) []byte { b[frameAt(b, 8)+5] ^= 0x40; return b },
			keeps:  true, told: Damaged, gap: "1 entries from ID:8 to 8 missing: damaged on disk", read: 19,
		}, {
			name: "a page of zeros",
			change: func(b []byte) []byte {
				clear(b[frameAt(b, 5)+1 : frameAt(b, 10)+1])
				return b
			},
			keeps: true, told: Damaged, gap: "6 entries from ID:5 to 10 missing: damaged on disk", read: 14,
		}, {
			name:   "damaged header",
			change: func(b []byte) []byte { b[20] ^= 1; return b },
			told:   SetAside, gap: "entries from ID:1 on missing, how many is not known: the spool no longer knows this id",
		}, {
			name:   "another version",
			change: func(b []byte) []byte { b[8]++; return b },
			told:   SetAside, gap: "entries from ID:1 on missing, how many is not known: the spool no longer knows this id",
		}, {
			name:   "cut in the header",
			change: func(b []byte) []byte { return b[:40] },
			told:   SetAside, gap: "entries from ID:1 on missing, how many is not known: the spool no longer knows this id",
		}, {
			name:   "cut after a clean end",
			change: func(b []byte) []byte { return b[:frameAt(b, 18)] },
			end:    func(s *Spool) { s.Close() },
			told:   Damaged, gap: "3 entries from ID:18 to 20 missing: damaged on disk", read: 17,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			notify, told := changes()
			o := Options{Dir: t.TempDir(), BootID: boot(1)}
			s := mustOpen(t, o)
			s.Append(text(1, 20))
			if tt.end == nil {
				tt.end = crash
			}
			tt.end(s)
			old := s.cur.id
			path := newest(t, o.Dir)
			edit(t, path, tt.change)
			var was []byte
			edit(t, path, func(b []byte) []byte { was = bytes.Clone(b); return b })

			o.Notify = notify
			s = mustOpen(t, o)
			if keeps := s.cur.id == old; keeps != tt.keeps {
				t.Errorf("keeps the id: %v, want %v", keeps, tt.keeps)
			}
			s.Append(text(21, 1))
			r := s.NewReader(Start{After: &Cursor{ID: old, Seq: 0}})
			defer r.Close()
			read, gap := 0, ""
			for {
				e, ok, err := r.TryNext()
				if err != nil && gap == "" {
					gap = strings.ReplaceAll(err.Error(), old.String(), "ID")
					continue
				}
				if err != nil {
					t.Error(err)
				}
				if !ok {
					break
				}
				if read++; string(e.Data) == "record 21" {
					read--
				} else if e.ID != old || string(e.Data) != string(text(int(e.Seq), 1)[0].Data) {
					t.Errorf("entry %v says %q", e.Cursor(), e.Data)
				}
			}
			if read != tt.read || gap != tt.gap {
				t.Errorf("read %d entries and %q, want %d and %q", read, gap, tt.read, tt.gap)
			}
			s.Close()
			close(told)
			seen := false
			for c := range told {
				seen = seen || c.Kind == tt.told
			}
			if !seen && tt.told != 0 {
				t.Errorf("%v was not told", tt.told)
			}
			// Nothing is destroyed but what was never appended.
			if tt.told == SetAside {
				path += segment.AsideSuffix
			}
			if tt.told == Damaged || tt.told == SetAside {
				if b, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, was) {
					t.Errorf("the damaged file was changed, %v", err)
				}
			}
		})
	}
}

func TestDamagedMiddleSegmentIsAGap(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 500 {
		s.Append(text(1+i, 1))
	}
	segs := s.cur.segs
	crash(s)
	first, next := segs[1].first.Seq, segs[1].next.Seq
	edit(t, filepath.Join(o.Dir, segment.Name(segs[1].ordinal)), func(b []byte) []byte {
		clear(b[segment.HeaderSize:])
		return b
	})
	s = mustOpen(t, o)
	r := s.NewReader(Start{})
	defer r.Close()
	wantText(t, datas(t, r, int(first-1)), 1)
	_, err := r.Next(t.Context())
	var gap *GapError
	if !errors.As(err, &gap) || gap.First != first || gap.Count != next-first || !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want the gap from %d to %d", err, first, next-1)
	}
	wantText(t, datas(t, r, int(500-next+1)), int(next))
}

func TestRemovedSegmentIsAGap(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 500 {
		s.Append(text(1+i, 1))
	}
	g := s.cur.segs[1]
	if err := os.Remove(filepath.Join(o.Dir, segment.Name(g.ordinal))); err != nil {
		t.Fatal(err)
	}
	r := s.NewReader(Start{After: &Cursor{ID: s.cur.id, Seq: g.first.Seq + 3}})
	defer r.Close()
	_, err := r.Next(t.Context())
	var gap *GapError
	if !errors.As(err, &gap) || gap.First != g.first.Seq+4 || gap.Last != g.next.Seq-1 || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want the gap from %d to %d", err, g.first.Seq+4, g.next.Seq-1)
	}
	wantText(t, datas(t, r, int(500-g.next.Seq+1)), int(g.next.Seq))
}

// TestReaderSurvivesErrors gives a reader errors that say nothing about the
// disk, then one that does.
func TestReaderSurvivesErrors(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 500 {
		s.Append(text(1+i, 1))
	}
	s.Close()
	o.FS = fs
	s = mustOpen(t, o)
	r := s.NewReader(Start{})
	defer r.Close()
	fs.set(func(fs *faultFS) { fs.open = func(string) error { return syscall.EMFILE } })
	for range 2 {
		if _, err := r.Next(t.Context()); err != syscall.EMFILE {
			t.Fatalf("got %v, want EMFILE", err)
		}
	}
	fs.heal()
	wantText(t, datas(t, r, 10), 1)
	g := s.cur.segs[1]
	fs.set(func(fs *faultFS) {
		fs.open = func(name string) error {
			if filepath.Base(name) == segment.Name(g.ordinal) {
				return syscall.EIO
			}
			return nil
		}
	})
	wantText(t, datas(t, r, int(g.first.Seq)-11), 11)
	var gap *GapError
	if _, err := r.Next(t.Context()); !errors.As(err, &gap) || gap.Count != g.next.Seq-g.first.Seq || !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want a gap of %d", err, g.next.Seq-g.first.Seq)
	}
	wantText(t, datas(t, r, int(500-g.next.Seq+1)), int(g.next.Seq))
}

// TestDirectoryIsLockedWhileItIsRead closes a spool of which a reader has not
// got everything. Another process would give up segments under it, and begin
// with a cursor that is about to move.
func TestDirectoryIsLockedWhileItIsRead(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir()}
	s := mustOpen(t, o)
	r := s.NewReader(Start{})
	s.Append(text(0, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Errorf("with a reader at work: %v, want ErrLocked", err)
	}
	wantText(t, datas(t, r, 10), 0)
	r.Close()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("after the last reader: %v", err)
	}
	s.Close()
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "b")}
	s := mustOpen(t, o)
	if info, err := os.Stat(o.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(newest(t, o.Dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("segment %v, %v", info.Mode(), err)
	}
	if _, err := Open(o); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("second Open: %v", err)
	}
	s.Close()
	mustOpen(t, o)
}

// TestOpenWaitsForAKilledPredecessor holds the lock as a process does that the
// predecessor was about to start: until it executes its program.
func TestOpenWaitsForAKilledPredecessor(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir()}
	lock, err := lockDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { unlockDir(lock) })
	mustOpen(t, o)
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: path}); err == nil {
		t.Error("opened a file")
	}
}

func TestFilesSetAsideAreNeverReplaced(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), BootID: boot(1)}
	const rounds = 3
	for i := range rounds {
		s := mustOpen(t, o)
		s.Append(text(i, 1))
		s.Close()
		edit(t, newest(t, o.Dir), func(b []byte) []byte { b[8]++; return b })
	}
	mustOpen(t, o)
	if files, _ := filepath.Glob(filepath.Join(o.Dir, "*"+segment.AsideSuffix)); len(files) != rounds {
		t.Errorf("%d files set aside, want %d", len(files), rounds)
	}
}

func TestSmallerBoundIsKeptFromTheStart(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), BootID: boot(1), Size: 256 << 10}
	s := mustOpen(t, o)
	for i := range 500 {
		s.Append(text(1+i*10, 10))
	}
	s.Close()
	o.Size = 64 << 10
	s = mustOpen(t, o)
	if st := s.Stats(); st.Disk > o.Size || st.Entries == 0 || st.Oldest.Seq == 1 {
		t.Errorf("stats %+v", st)
	}
	s.Append(text(5001, 1))
	r := s.NewReader(Start{})
	defer r.Close()
	n := int(s.Stats().Entries)
	wantText(t, datas(t, r, n), 5001-n+1)
}

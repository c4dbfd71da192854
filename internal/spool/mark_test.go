package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// killed returns a copy of the directory: what kill -9 would leave now.
func killed(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Error(err)
	}
	return left
}

// isSegment reports whether the path is that of a segment, or of one that is
// being made.
func isSegment(path string) bool {
	_, ok := segment.ParseName(strings.TrimSuffix(filepath.Base(path), atomicfile.Suffix))
	return ok
}

// adopt makes a copy look as if nobody had noticed: its mark is written again.
func adopt(t *testing.T, dir string) string {
	t.Helper()
	m, _ := segment.ReadMark(osFS{}, dir)
	if m.State == segment.MarkNone {
		t.Fatalf("no mark in %s", dir)
	}
	f, err := m.Write(osFS{}, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return dir
}

// failing makes every write and every new file fail.
func failing(err error) func(*faultFS) {
	return func(fs *faultFS) {
		fs.write = func(string, int64, []byte) error { return err }
		fs.create = func(string) error { return err }
	}
}

// TestKillInMemoryFormEndsTheID takes a spool to the memory form in several
// ways and opens what kill -9 would leave then.
func TestKillInMemoryFormEndsTheID(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	t.Cleanup(func() { close(gate) }) // behind those of the subtests' spools: they do not wait for it
	tests := []struct {
		name  string
		fault func(*faultFS)
		hangs bool
	}{
		{"full", failing(syscall.ENOSPC), false},
		{"input/output error", failing(syscall.EIO), false},
		{"sync fails", func(fs *faultFS) {
			failing(syscall.EIO)(fs)
			fs.write, fs.sync = nil, func(string) error { return syscall.EIO }
		}, false},
		{"a write hangs", func(fs *faultFS) {
			failing(syscall.EIO)(fs)
			fs.write = func(string, int64, []byte) error { <-gate; return syscall.EIO }
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := &faultFS{}
			notify, told := changes()
			o := Options{
				Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify,
				Retry: time.Hour, Sync: time.Millisecond, StallTimeout: 20 * time.Millisecond,
			}
			if !tt.hangs {
				o.StallTimeout = time.Minute // so that the mark is waited for
			}
			s := mustOpen(t, o)
			disk := s.Append(text(0, 10))
			s.Sync(t.Context())
			fs.set(tt.fault)
			memory := s.Append(text(10, 5))
			await(t, told, WentToMemory)
			if memory.ID == disk.ID { // written before its sync failed
				disk, memory = memory, s.Append(text(15, 5))
			}
			if tt.hangs {
				awaitNoMark(t, o.Dir)
			} else {
				for _, w := range s.left {
					<-w.gone // it has taken back the half of a write
				}
			}

			again := Options{Dir: killed(t, o.Dir), BootID: boot(1), Notify: notify}
			s = mustOpen(t, again)
			if c := await(t, told, MemoryUncertain); c.ID != disk.ID {
				t.Errorf("told of id %v, want %v", c.ID, disk.ID)
			}
			if id := s.End().ID; id == disk.ID || id == memory.ID {
				t.Errorf("goes on with %v; the disk had %v, the memory %v", id, disk, memory)
			}
			last := s.Append(text(int(disk.Seq), 3))
			r := s.NewReader(Start{After: &Cursor{ID: disk.ID, Seq: 4}})
			defer r.Close()
			wantText(t, datas(t, r, int(disk.Seq)-4+3), 4)

			// Of the id that was in memory only nothing is known any more:
			// what a reader got before comes again, and nothing is missed.
			r = s.NewReader(Start{After: &memory})
			defer r.Close()
			var gap *GapError
			if _, err := r.Next(t.Context()); !errors.As(err, &gap) || gap.ID != memory.ID || gap.Known {
				t.Errorf("behind the memory form: %v, want a gap of unknown size", err)
			}
			wantText(t, datas(t, r, int(disk.Seq)+3), 0)

			// On its sound disk the new id is kept.
			again.Dir, again.Notify = adopt(t, killed(t, again.Dir)), nil
			if end := mustOpen(t, again).End(); end != last {
				t.Errorf("after a second kill the end is %v, want %v", end, last)
			}
		})
	}
}

// awaitNoMark waits for the mark to be removed.
func awaitNoMark(t *testing.T, dir string) {
	t.Helper()
	for range 1000 {
		if _, err := os.Stat(filepath.Join(dir, segment.MarkName)); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the mark is not removed")
}

// TestKillOnTheWayBackToDisk kills when a part of what was in memory has
// already been written, under its id.
func TestKillOnTheWayBackToDisk(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	notify, told := changes()
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify, Retry: time.Millisecond}
	s := mustOpen(t, o)
	s.Append(text(0, 10))
	fs.set(failing(syscall.EIO))
	memory := s.Append(text(10, 5))
	var left string
	made := 0
	fs.set(func(fs *faultFS) {
		fs.write = nil
		fs.create = func(name string) error {
			if !isSegment(name) {
				return nil
			}
			if made++; made == 2 { // the first is of the id in memory
				left = killed(t, o.Dir)
			}
			return nil
		}
	})
	back := await(t, told, BackOnDisk)
	last := s.Append(text(15, 1))
	if last.ID != back.ID {
		t.Fatalf("%v was appended, back on disk with %v", last, back.ID)
	}

	o.FS, o.Notify = nil, nil
	o.Dir = left
	if id := mustOpen(t, o).End().ID; id == memory.ID {
		t.Errorf("goes on with %v, of which entries may have been lost", id)
	}
	o.Dir = adopt(t, killed(t, s.opts.Dir))
	if end := mustOpen(t, o).End(); end != last {
		t.Errorf("killed when all was on disk again: the end is %v, want %v", end, last)
	}
}

// TestDiskThatFailsInOpen has an old mark, of a clean end, and then entries in
// memory only.
func TestDiskThatFailsInOpen(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Retry: time.Hour}
	s := mustOpen(t, o)
	disk := s.Append(text(0, 10))
	s.Close()
	fs.set(failing(syscall.ENOSPC))
	s = mustOpen(t, o)
	s.Append(text(10, 5))
	o.Dir, o.FS = killed(t, o.Dir), nil
	if id := mustOpen(t, o).End().ID; id == disk.ID {
		t.Errorf("goes on with %v", id)
	}
}

func TestCloseThatCannotSyncEndsTheID(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Sync: time.Hour}
	s := mustOpen(t, o)
	disk := s.Append(text(0, 10))
	fs.set(func(fs *faultFS) { fs.sync = func(string) error { return syscall.EIO } })
	if err := s.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: %v", err)
	}
	fs.heal()
	if id := mustOpen(t, o).End().ID; id == disk.ID {
		t.Errorf("goes on with %v, whose end was not synced", id)
	}
}

// TestAppendDoesNotWaitForTheMark lets the mark hang when a write has failed.
func TestAppendDoesNotWaitForTheMark(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Retry: time.Hour, StallTimeout: 20 * time.Millisecond}
	s := mustOpen(t, o)
	disk := s.Append(text(0, 10))
	fs.set(failing(syscall.EIO))
	fs.set(func(fs *faultFS) { fs.remove = func(string) error { <-gate; return nil } })
	if memory := s.Append(text(10, 5)); memory.ID == disk.ID || memory.Seq != 5 {
		t.Errorf("appended up to %v, want a new id", memory)
	}
	close(gate)
	awaitNoMark(t, o.Dir)
}

// TestKillInOpen kills again before the new id is on disk.
func TestKillInOpen(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Retry: time.Hour}
	s := mustOpen(t, o)
	disk := s.Append(text(0, 10))
	fs.set(failing(syscall.EIO))
	s.Append(text(10, 5))
	o.Dir = killed(t, o.Dir)
	var left string
	fs.set(func(fs *faultFS) {
		fs.write = nil
		fs.create = func(name string) error {
			if isSegment(name) {
				left = killed(t, o.Dir)
				return syscall.EIO
			}
			return nil
		}
	})
	mustOpen(t, o)
	o.Dir, o.FS = left, nil
	if id := mustOpen(t, o).End().ID; id == disk.ID {
		t.Errorf("goes on with %v", id)
	}
}

// TestEntriesOfAShortFailureComeInOrder lets the first entry of the memory form
// come when the segment behind it is already being made.
func TestEntriesOfAShortFailureComeInOrder(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	notify, told := changes()
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify, Retry: time.Millisecond, Sync: time.Hour}
	s := mustOpen(t, o)
	disk := s.Append(text(0, 10))
	fs.set(func(fs *faultFS) {
		failing(syscall.EIO)(fs)
		fs.write, fs.sync = nil, func(string) error { return syscall.EIO }
	})
	s.Sync(t.Context()) // fails, and nothing else is appended
	await(t, told, WentToMemory)
	var memory Cursor
	made := 0
	fs.set(func(fs *faultFS) {
		fs.sync = nil
		fs.create = func(name string) error {
			if isSegment(name) {
				if made++; made == 2 { // that of the next id
					memory = s.Append(text(10, 3))
				}
			}
			return nil
		}
	})
	back := await(t, told, BackOnDisk)
	last := s.Append(text(13, 2))
	if disk.ID == memory.ID || memory.ID == back.ID || last.ID != back.ID {
		t.Fatalf("ids: on disk %v, in memory %v, back %v, then %v", disk, memory, back, last)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.FS = nil
	s = mustOpen(t, o)
	if s.End() != last {
		t.Errorf("goes on at %v, want %v", s.End(), last)
	}
	r := s.NewReader(Start{})
	defer r.Close()
	wantText(t, datas(t, r, 15), 0)
}

func TestAnotherDirectoryBeginsANewID(t *testing.T) {
	t.Parallel()
	// copyTo makes new files; overwrite writes over those that are there.
	copyTo := func(t *testing.T, from, to string) {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	overwrite := func(t *testing.T, from, to string) {
		names, _ := os.ReadDir(from)
		for _, n := range names {
			b, err := os.ReadFile(filepath.Join(from, n.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(to, n.Name()), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	end := func(s *Spool) { s.Close() }
	for _, tt := range []struct {
		name  string
		end   func(*Spool)
		move  func(t *testing.T, dir string) string
		keeps bool
		told  ChangeKind
	}{
		{"left alone", end, func(t *testing.T, dir string) string { return dir }, true, 0},
		{"renamed", end, func(t *testing.T, dir string) string {
			if err := os.Rename(dir, dir+".new"); err != nil {
				t.Fatal(err)
			}
			return dir + ".new"
		}, true, 0},
		{"copied", end, func(t *testing.T, dir string) string {
			to := filepath.Join(t.TempDir(), "copy")
			copyTo(t, dir, to)
			return to
		}, false, Moved},
		{"copied after a kill", crash, func(t *testing.T, dir string) string {
			to := filepath.Join(t.TempDir(), "copy")
			copyTo(t, dir, to)
			return to
		}, false, Moved},
		{"restored into a new directory of that name", end, func(t *testing.T, dir string) string {
			to := filepath.Join(t.TempDir(), "copy")
			copyTo(t, dir, to)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			copyTo(t, to, dir)
			return dir
		}, false, Moved},
		{"restored into the same directory", end, func(t *testing.T, dir string) string {
			if birthOf(dir) == 0 {
				t.Skip("the file system does not know when a file was made")
			}
			to := filepath.Join(t.TempDir(), "copy")
			copyTo(t, dir, to)
			names, _ := os.ReadDir(dir)
			for _, n := range names {
				os.Remove(filepath.Join(dir, n.Name()))
			}
			overwrite(t, to, dir)
			return dir
		}, false, Moved},
		{"rolled back under what came later", end, func(t *testing.T, dir string) string {
			if birthOf(dir) == 0 {
				t.Skip("the file system does not know when a file was made")
			}
			to := filepath.Join(t.TempDir(), "copy")
			copyTo(t, dir, to)
			s := mustOpen(t, Options{Dir: dir, BootID: boot(1)})
			s.Append(text(5, 5))
			s.Close()
			overwrite(t, to, dir)
			return dir
		}, false, Moved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			s := mustOpen(t, Options{Dir: dir, BootID: boot(1)})
			last := s.Append(text(0, 5))
			tt.end(s)
			notify, told := changes()
			s = mustOpen(t, Options{Dir: tt.move(t, dir), BootID: boot(1), Notify: notify})
			if keeps := s.End() == last; keeps != tt.keeps {
				t.Errorf("ended at %v, goes on at %v", last, s.End())
			}
			if tt.told != 0 {
				await(t, told, tt.told)
			}
			s.Append(text(5, 1))
			r := s.NewReader(Start{After: &Cursor{ID: last.ID, Seq: 0}})
			defer r.Close()
			wantText(t, datas(t, r, 6), 0)
		})
	}
}

// TestCursorBeyondTheEndProvesALoss cuts off, at the end of a frame, what only a
// reader knows of.
func TestCursorBeyondTheEndProvesALoss(t *testing.T) {
	t.Parallel()
	notify, told := changes()
	o := Options{Dir: t.TempDir(), BootID: boot(1), Sync: time.Hour}
	s := mustOpen(t, o)
	last := s.Append(text(1, 10))
	crash(s)
	edit(t, newestOf(o.Dir), func(b []byte) []byte { return b[:frameAt(b, 8)] })
	cursors := t.TempDir()
	for name, c := range map[string]Cursor{"late": {ID: last.ID, Seq: 2}, "newest": last, "of another": {ID: last.ID + 1, Seq: 99}} {
		if err := SaveCursor(cursors, name, c, false); err != nil {
			t.Fatal(err)
		}
	}
	o.Delivered, o.Notify = LoadCursors(cursors), notify
	if len(o.Delivered) != 3 {
		t.Fatalf("loaded %v", o.Delivered)
	}
	s = mustOpen(t, o)
	if c := await(t, told, TailLost); c.ID != last.ID || c.Count != 3 {
		t.Errorf("told %+v, want 3 of %v", c, last.ID)
	}
	next := s.Append(text(11, 1))
	if next.ID == last.ID {
		t.Errorf("goes on with %v", next)
	}
	for _, c := range o.Delivered[:2] {
		r := s.NewReader(Start{After: &c})
		defer r.Close()
		got := drain(t, r)
		if n := len(got); n < 2 || got[n-1] != "1 record 11" || !strings.Contains(got[n-2], "missing, how many is not known: damaged") {
			t.Errorf("after %v came %q", c, got)
		}
	}
}

// birthOf returns when the mark in dir was made, 0 where that is not known.
func birthOf(dir string) int64 {
	m, _ := segment.ReadMark(osFS{}, dir)
	return m.Born
}

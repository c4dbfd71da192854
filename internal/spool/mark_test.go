package spool

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
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
			r := s.NewReader(Start{After: &Cursor{disk.ID, 4}})
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
			again.Dir, again.Notify = killed(t, again.Dir), nil
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
		if _, err := os.Stat(filepath.Join(dir, markName)); err != nil {
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
			if filepath.Ext(name) != segmentSuffix {
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
	o.Dir = killed(t, s.opts.Dir)
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
			if filepath.Ext(name) == segmentSuffix {
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

package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// changes returns an Options.Notify and a channel with what it was told.
func changes() (func(Change), chan Change) {
	c := make(chan Change, 100)
	return func(x Change) { c <- x }, c
}

// await returns the next change of that kind.
func await(t *testing.T, c chan Change, k ChangeKind) Change {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case x := <-c:
			if x.Kind == k {
				return x
			}
			t.Logf("change: %+v", x)
		case <-timeout:
			t.Fatalf("no change %q", k)
		}
	}
}

// datas reads n entries and returns what they say.
func datas(t *testing.T, r *Reader, n int) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for len(got) < n {
		e, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d entries: %v", len(got), n, err)
		}
		got = append(got, string(e.Data))
	}
	return got
}

func wantText(t *testing.T, got []string, from int) {
	t.Helper()
	for i, s := range got {
		if want := fmt.Sprintf("record %d", from+i); s != want {
			t.Fatalf("entry %d: %q, want %q", i, s, want)
		}
	}
}

// TestDiskFailureLosesNothing fails the disk in several ways while entries are
// appended, heals it, and wants every entry once, in order, also by a new
// process.
func TestDiskFailureLosesNothing(t *testing.T) {
	t.Parallel()
	fail := func(err error) func(fs *faultFS) {
		return func(fs *faultFS) {
			fs.write = func(string, int64, []byte) error { return err }
			fs.create = func(string) error { return err }
		}
	}
	tests := []struct {
		name  string
		fault func(fs *faultFS)
		why   error
	}{
		{"full", fail(syscall.ENOSPC), syscall.ENOSPC},
		{"input/output error", fail(syscall.EIO), syscall.EIO},
		{"read-only", fail(syscall.EROFS), syscall.EROFS},
		{"sync fails", func(fs *faultFS) { fs.sync = func(string) error { return syscall.EIO } }, syscall.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := &faultFS{}
			notify, told := changes()
			o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify, Retry: time.Millisecond, Sync: time.Millisecond}
			s := mustOpen(t, o)
			r := s.NewReader(Start{})
			before := s.Append(text(0, 10))
			s.Sync(t.Context())

			fs.set(tt.fault)
			s.Append(text(10, 10))
			if c := await(t, told, WentToMemory); !errors.Is(c.Err, tt.why) || c.ID == before.ID {
				t.Errorf("told %+v, want %v and a new id", c, tt.why)
			}
			inMemory := s.Append(text(20, 10))
			if st := s.Stats(); st.OnDisk || st.Err == nil || st.Failures == 0 || st.Entries != 30 {
				t.Errorf("stats in memory: %+v", st)
			}

			fs.heal()
			c := await(t, told, BackOnDisk)
			after := s.Append(text(30, 10))
			if after.ID != c.ID || after.ID == inMemory.ID || inMemory.ID == before.ID {
				t.Errorf("ids %v, %v, %v: want three", before, inMemory, after)
			}
			wantText(t, datas(t, r, 40), 0)
			r.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}

			s = mustOpen(t, o)
			r = s.NewReader(Start{})
			defer r.Close()
			wantText(t, datas(t, r, 40), 0)
			r2 := s.NewReader(Start{After: &inMemory})
			defer r2.Close()
			wantText(t, datas(t, r2, 10), 30)
		})
	}
}

// TestWriteThatHangs never lets a write return until the end of the test, and
// then wants it to have done no harm.
func TestWriteThatHangs(t *testing.T) {
	t.Parallel()
	for _, rotate := range []bool{false, true} {
		t.Run(fmt.Sprintf("rotate=%v", rotate), func(t *testing.T) {
			t.Parallel()
			gate := make(chan struct{})
			fs := &faultFS{}
			notify, told := changes()
			o := Options{
				Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify,
				Retry: time.Millisecond, StallTimeout: 50 * time.Millisecond,
			}
			s := mustOpen(t, o)
			r := s.NewReader(Start{})
			defer r.Close()
			s.Append(text(0, 10))
			n := 10
			if rotate {
				s.opts.Size = 0 // every segment is full at 4096 bytes
				n += len(s.fill(t))
				r.Rewind(Cursor{ID: s.cur.id, Seq: 0})
			}
			hung := make(chan struct{}, 1)
			fs.set(func(fs *faultFS) {
				fs.write = func(name string, off int64, p []byte) error {
					fs.set(func(fs *faultFS) { fs.write = nil }) // only this one
					hung <- struct{}{}
					<-gate
					return nil
				}
			})
			s.Append(text(n, 10)) // returns: the point of the test
			<-hung
			if c := await(t, told, WentToMemory); !errors.Is(c.Err, ErrStalled) {
				t.Errorf("went to memory: %v, want ErrStalled", c.Err)
			}
			await(t, told, BackOnDisk)
			s.Append(text(n+10, 10))
			wantText(t, datas(t, r, n+20), 0)

			close(gate) // the writer wakes up late
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			r.Close()
			s = mustOpen(t, o)
			r2 := s.NewReader(Start{})
			defer r2.Close()
			wantText(t, datas(t, r2, n+20), 0)
			if _, ok, err := r2.TryNext(); ok || err != nil {
				t.Errorf("an entry too many, or %v", err)
			}
		})
	}
}

// fill appends until the next record needs a new segment.
func (s *Spool) fill(t *testing.T) (recs []Record) {
	for {
		rec := text(10+len(recs), 1)
		g := s.cur.segs[len(s.cur.segs)-1]
		if g.size+int64(segment.FrameSize(&rec[0])) > s.opts.segmentSize() {
			return recs
		}
		s.Append(rec)
		recs = append(recs, rec...)
	}
}

// awaitFiles waits until only n files of the spool are open: writers that were
// left behind have cleaned up.
func awaitFiles(t *testing.T, s *Spool, n int) {
	t.Helper()
	for range 1000 {
		links, _ := filepath.Glob("/proc/self/fd/*")
		links = slices.DeleteFunc(links, func(l string) bool {
			target, _ := os.Readlink(l)
			return !strings.HasPrefix(target, s.opts.Dir)
		})
		if len(links) == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("files of the spool stay open")
}

func TestMemoryFormIsBounded(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	s := mustOpen(t, Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Memory: 16 << 10, Retry: time.Hour})
	fs.set(func(fs *faultFS) { fs.write = func(string, int64, []byte) error { return syscall.EIO } })
	r := s.NewReader(Start{})
	defer r.Close()
	for i := range 10000 {
		s.Append(text(i, 1))
	}
	st := s.Stats()
	if st.Memory > 16<<10+16<<10 { // the buffer of what is on disk has the same bound
		t.Errorf("%d bytes in memory", st.Memory)
	}
	if st.Entries+st.GivenUp != 10000 {
		t.Errorf("%d entries and %d given up, want 10000 together", st.Entries, st.GivenUp)
	}
	_, err := r.Next(t.Context())
	var gap *GapError
	if !errors.As(err, &gap) || gap.Count != st.GivenUp || !gap.Known || gap.First != 1 || gap.Err != nil {
		t.Fatalf("got %v, want a gap of %d", err, st.GivenUp)
	}
	wantText(t, datas(t, r, int(st.Entries)), int(st.GivenUp))
}

func TestCloseTellsWhatWasOnlyInMemory(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	notify, told := changes()
	s := mustOpen(t, Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Notify: notify, Retry: time.Hour})
	fs.set(func(fs *faultFS) {
		fs.write = func(string, int64, []byte) error { return syscall.EIO }
	})
	s.Append(text(0, 7))
	s.Close()
	if c := await(t, told, LostInMemory); c.Count != 7 {
		t.Errorf("lost %d, want 7", c.Count)
	}
}

func TestCloseWritesWhatWasOnlyInMemory(t *testing.T) {
	t.Parallel()
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, Retry: time.Hour}
	s := mustOpen(t, o)
	fs.set(func(fs *faultFS) { fs.write = func(string, int64, []byte) error { return syscall.EIO } })
	s.Append(text(0, 7))
	fs.heal()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = mustOpen(t, o)
	r := s.NewReader(Start{})
	defer r.Close()
	wantText(t, datas(t, r, 7), 0)
}

func TestCloseDoesNotWaitForAHangingDisk(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	fs := &faultFS{}
	s := mustOpen(t, Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, StallTimeout: 20 * time.Millisecond})
	s.Append(text(0, 1))
	fs.set(func(fs *faultFS) { fs.sync = func(string) error { <-gate; return nil } })
	if err := s.Close(); !errors.Is(err, errSilent) {
		t.Errorf("Close: %v", err)
	}
	close(gate)
}

// TestCloseKeepsTheLockWhileAWriteHangs, which could still reach a segment that
// the next process goes on with.
func TestCloseKeepsTheLockWhileAWriteHangs(t *testing.T) {
	t.Parallel()
	gate, hung := make(chan struct{}), make(chan struct{}, 10)
	fs := &faultFS{}
	o := Options{Dir: t.TempDir(), BootID: boot(1), FS: fs, StallTimeout: 20 * time.Millisecond, Retry: time.Hour}
	s := mustOpen(t, o)
	fs.set(func(fs *faultFS) {
		fs.write = func(string, int64, []byte) error { hung <- struct{}{}; <-gate; return syscall.EIO }
		fs.create = func(string) error { return syscall.EIO }
	})
	s.Append(text(0, 1))
	<-hung
	if err := s.Close(); !errors.Is(err, errSilent) {
		t.Errorf("Close: %v", err)
	}
	if _, err := Open(o); !errors.Is(err, ErrLocked) {
		t.Errorf("Open while a write hangs: %v", err)
	}
	close(gate)
	awaitFiles(t, s, 1) // the lock
	unlockDir(s.lock)
}

// mountTmpfs returns the directory of a real file system of that size.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "spooltest", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a tmpfs: %v: %s", err, out)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestFullFileSystem uses a real one, of one MiB.
func TestFullFileSystem(t *testing.T) {
	dir := mountTmpfs(t, "1m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	notify, told := changes()
	s := mustOpen(t, Options{Dir: filepath.Join(dir, "spool"), BootID: boot(1), Notify: notify, Retry: time.Millisecond})
	defer s.Close()
	r := s.NewReader(Start{})
	defer r.Close()
	n := 0
	for s.Stats().OnDisk {
		s.Append(text(n, 64))
		n += 64
	}
	if c := await(t, told, WentToMemory); !errors.Is(c.Err, syscall.ENOSPC) {
		t.Errorf("went to memory: %v", c.Err)
	}
	s.Append(text(n, 64))
	n += 64
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, told, BackOnDisk)
	s.Append(text(n, 64))
	n += 64
	wantText(t, datas(t, r, n), 0)
}

// TestReadOnlyFileSystem remounts a real one.
func TestReadOnlyFileSystem(t *testing.T) {
	dir := mountTmpfs(t, "8m")
	o := Options{Dir: filepath.Join(dir, "spool"), BootID: boot(1)}
	s := mustOpen(t, o)
	s.Append(text(0, 10))
	s.Close()
	remount := func(how string) {
		if out, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	remount("ro")
	notify, told := changes()
	o.Notify, o.Retry = notify, time.Millisecond
	s = mustOpen(t, o)
	defer s.Close()
	if c := await(t, told, WentToMemory); !errors.Is(c.Err, syscall.EROFS) {
		t.Errorf("went to memory: %v", c.Err)
	}
	r := s.NewReader(Start{})
	defer r.Close()
	s.Append(text(10, 10))
	wantText(t, datas(t, r, 20), 0)
	remount("rw")
	await(t, told, BackOnDisk)
	s.Append(text(20, 10))
	wantText(t, datas(t, r, 10), 20)
	s.Close()
	if _, err := r.Next(t.Context()); err != io.EOF {
		t.Error(err)
	}
}

// TestSegmentThatWasRemoved takes the file away that is being written. Writes
// go on to succeed, but what they write would end with the process.
func TestSegmentThatWasRemoved(t *testing.T) {
	t.Parallel()
	notify, told := changes()
	o := Options{Dir: t.TempDir(), BootID: boot(1), Notify: notify, Retry: time.Millisecond, Sync: time.Millisecond}
	s := mustOpen(t, o)
	if err := os.Remove(newest(t, o.Dir)); err != nil {
		t.Fatal(err)
	}
	s.Append(text(0, 1))
	if c := await(t, told, WentToMemory); !errors.Is(c.Err, errUnlinked) {
		t.Errorf("went to memory: %v, want %v", c.Err, errUnlinked)
	}
	await(t, told, BackOnDisk)
	s.Append(text(1, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	defer s.Close()
	r := s.NewReader(Start{})
	defer r.Close()
	wantText(t, datas(t, r, 1), 1)
}

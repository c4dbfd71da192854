package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

func TestConformance(t *testing.T) {
	for _, o := range []Config{{}, {Sync: true}} {
		t.Run(fmt.Sprintf("sync %v", o.Sync), func(t *testing.T) {
			sinktest.Run(t, func(t testing.TB) *sinktest.Place { return newPlace(t, o) })
		})
	}
}

// newPlace returns a place that breaks by a directory where the file should be.
func newPlace(t testing.TB, o Config) *sinktest.Place {
	o.Path = filepath.Join(t.TempDir(), "events")
	s := newSink(t, o)
	aside := o.Path + ".aside"
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	return &sinktest.Place{
		Sink:    s,
		Entries: func() ([][]byte, error) { return lines(o.Path) },
		Break: func() {
			if err := os.Rename(o.Path, aside); !errors.Is(err, fs.ErrNotExist) {
				must(err)
			}
			must(os.Mkdir(o.Path, 0o700))
		},
		Repair: func() {
			must(os.Remove(o.Path))
			if err := os.Rename(aside, o.Path); !errors.Is(err, fs.ErrNotExist) {
				must(err)
			}
		},
	}
}

func newSink(t testing.TB, o Config) *Sink {
	t.Helper()
	s, err := New(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func lines(path string) ([][]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return sinktest.Lines(b)
}

// deliver opens, writes entries as one batch, and flushes.
func deliver(s *Sink, entries ...string) error {
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.Write(ctx, &sink.Entry{Bytes: []byte(e)}); err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

func mustDeliver(t *testing.T, s *Sink, entries ...string) {
	t.Helper()
	if err := deliver(s, entries...); err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if string(got) != want {
		t.Errorf("%s: got %.200q, want %.200q", filepath.Base(path), got, want)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   Config
		want string
	}{
		{"no path", Config{}, "absolute"},
		{"relative path", Config{Path: "a/b"}, "absolute"},
		{"root", Config{Path: "/"}, "absolute"},
		{"set-user-id", Config{Path: "/a", Mode: fs.ModeSetuid | 0o640}, "permission bits"},
		{"mode without writing", Config{Path: "/a", Mode: 0o440}, "permission bits"},
		{"group", Config{Path: "/a", Group: "no such group"}, "no such group"},
		{"negative size", Config{Path: "/a", Rotate: &RotateConfig{Size: -1}}, "negative"},
		{"keep without rotation", Config{Path: "/a", Rotate: &RotateConfig{Keep: 3}}, "need size or age"},
	}
	for _, tt := range tests {
		if _, err := New(&tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error that says %q", tt.name, err, tt.want)
		}
	}
}

func TestGroupMayBeANumberWithoutAName(t *testing.T) {
	t.Parallel()
	s, err := New(&Config{Path: "/a", Group: "2147480000"})
	if err != nil || s.gid != 2147480000 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestOpenRepairsTheEnd(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	tests := []struct{ name, in, want string }{
		{"empty", "", "new\n"},
		{"whole", "one\ntwo\n", "one\ntwo\nnew\n"},
		{"torn", "one\ntw", "one\nnew\n"},
		{"long torn", "one\n" + long, "one\nnew\n"},
		{"zeros of a power cut", "one\n" + strings.Repeat("\x00", 5000), "one\nnew\n"},
		{"no newline at all", "not ours", "not ours\nnew\n"},
		{"too long to be an entry", "one\n" + strings.Repeat("x", maxTorn), "one\n" + strings.Repeat("x", maxTorn) + "\nnew\n"},
		{"just short enough", "one\n" + strings.Repeat("x", maxTorn-1), "one\nnew\n"},
		{"empty line", "\n", "\nnew\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events")
			if err := os.WriteFile(path, []byte(tt.in), 0o600); err != nil {
				t.Fatal(err)
			}
			mustDeliver(t, newSink(t, Config{Path: path}), "new\n")
			checkFile(t, path, tt.want)
		})
	}
}

func TestFollowsOutsideRotation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rotate  func(path string) error
		want    string // in the file of the configured name
		wantOld string
	}{
		{"moved", func(p string) error { return os.Rename(p, p+".1") }, "two\n", "one\n"},
		{"moved and created", func(p string) error {
			return errors.Join(os.Rename(p, p+".1"), os.WriteFile(p, nil, 0o600))
		}, "two\n", "one\n"},
		{"removed", os.Remove, "two\n", ""},
		{"copied and truncated", func(p string) error { return os.Truncate(p, 0) }, "two\n", ""},
		{"directory replaced", func(p string) error {
			d := filepath.Dir(p)
			return errors.Join(os.Rename(d, d+".old"), os.Mkdir(d, 0o700))
		}, "two\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "log")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "events")
			s := newSink(t, Config{Path: path})
			mustDeliver(t, s, "one\n")
			if err := tt.rotate(path); err != nil {
				t.Fatal(err)
			}
			mustDeliver(t, s, "two\n")
			checkFile(t, path, tt.want)
			if tt.wantOld != "" {
				checkFile(t, path+".1", tt.wantOld)
			}
		})
	}
}

func TestReopenCreatesTheFileAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path})
	s.Reopen() // not open: nothing happens
	mustDeliver(t, s, "one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.Reopen()
	checkFile(t, path, "")
	mustDeliver(t, s, "two\n")
	checkFile(t, path, "two\n")
}

// A request that comes while a write is under way is not forgotten, and the
// entries of one flush stay together.
func TestReopenDuringAWriteComesLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path})
	mustDeliver(t, s, "one\n")
	if err := errors.Join(os.Link(path, path+".1"), os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.Reopen()
	s.mu.Unlock()
	if !s.reopen.Load() {
		t.Error("the request is forgotten")
	}
	mustDeliver(t, s, "two\n")
	checkFile(t, path, "two\n")
	if s.reopen.Load() {
		t.Error("the request is not done")
	}
}

// A full disk in the middle of a batch: what was flushed stays, what was not
// leaves no trace, and everything goes on when there is room.
func TestFullDiskNeverTearsALine(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs the right to mount a tmpfs:", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "events")
	s := newSink(t, Config{Path: path})
	batch := func(i int) []string {
		var b []string
		for j := range 30 {
			b = append(b, fmt.Sprintf("%d %d %s\n", i, j, strings.Repeat("x", 150)))
		}
		return b
	}
	want := ""
	full := 0
	for i := range 40 {
		err := deliver(s, batch(i)...)
		if err == nil {
			want += strings.Join(batch(i), "")
			continue
		}
		full++
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("got %v, want ENOSPC", err)
		}
		checkFile(t, path, want) // at once, not only after the next Open
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if full == 0 || want == "" {
		t.Fatalf("%d of 40 batches met a full disk, want some", full)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	mustDeliver(t, s, batch(99)...)
	checkFile(t, path, want+strings.Join(batch(99), ""))
}

// More than the buffer holds, and then the sink is closed: nothing that was not
// flushed stays, so nothing is there twice when it is written again.
func TestCloseTakesBackWhatWasNotFlushed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path})
	mustDeliver(t, s, "one\n")
	big := &sink.Entry{Bytes: []byte(strings.Repeat("y", maxBuffer) + "\n")}
	if err := s.Write(context.Background(), big); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() < maxBuffer {
		t.Fatalf("got %v, %v, want the entry in the file already", st, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, "one\n")
}

// If somebody else appended in between, their bytes are not ours to remove.
func TestUndoLeavesWhatOthersWrote(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path})
	mustDeliver(t, s, "one\n")
	long := strings.Repeat("y", maxBuffer) + "\n"
	if err := s.Write(context.Background(), &sink.Entry{Bytes: []byte(long)}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("theirs\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, "one\n"+long+"theirs\n")
}

func BenchmarkFlush(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d entries", n), func(b *testing.B) {
			s := newSink(b, Config{Path: filepath.Join(b.TempDir(), "events")})
			ctx := context.Background()
			if err := s.Open(ctx); err != nil {
				b.Fatal(err)
			}
			e := &sink.Entry{Bytes: []byte(strings.Repeat("x", 250) + "\n")}
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					if err := s.Write(ctx, e); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.Flush(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

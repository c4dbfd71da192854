package file

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// rotated returns the rotated files of path by age, oldest first.
func rotated(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".2*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestRotatesBySize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.json")
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: 10}})
	for _, e := range []string{"1111\n", "2222\n", "3333\n", "a line longer than the limit\n", "4444\n"} {
		mustDeliver(t, s, e)
	}
	checkFile(t, path, "4444\n")
	got := rotated(t, path)
	want := []string{"1111\n2222\n", "3333\n", "a line longer than the limit\n"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %d files", got, len(want))
	}
	for i := range want {
		checkFile(t, got[i], want[i])
		if _, suffix, ok := parseRotated(filepath.Base(got[i]), "events.json"); !ok || suffix != "" {
			t.Errorf("%s is not named like a rotated file", got[i])
		}
	}
}

// A batch that is larger than a file may be goes into several.
func TestRotatesWithinABatch(t *testing.T) {
	t.Parallel()
	const size = 1000
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: size}})
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%90)))
	}
	mustDeliver(t, s, lines[:100]...)
	mustDeliver(t, s, lines[100:]...)
	var all strings.Builder
	for _, name := range append(rotated(t, path), path) {
		b, err := os.ReadFile(name)
		check(t, err)
		if len(b) > size || name != path && len(b) < size/2 {
			t.Errorf("%s has %d bytes, want up to %d", name, len(b), size)
		}
		all.Write(b)
	}
	if all.String() != strings.Join(lines, "") {
		t.Error("not every line is there once and in order")
	}
}

// The size that counts is that of the file, whoever changed it.
func TestTruncatedFileIsNotRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: 10}})
	mustDeliver(t, s, "1111\n", "2222\n")
	check(t, os.Truncate(path, 0))
	mustDeliver(t, s, "3333\n")
	checkFile(t, path, "3333\n")
	if got := rotated(t, path); len(got) != 0 {
		t.Errorf("got %q, want no rotated file", got)
	}
}

func TestRotatesByAge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Age: time.Hour}})
	mustDeliver(t, s, "one\n")
	mustDeliver(t, s, "two\n")
	s.born = s.born.Add(-time.Hour)
	mustDeliver(t, s, "three\n")
	checkFile(t, path, "three\n")
	if got := rotated(t, path); len(got) != 1 {
		t.Errorf("got %q, want one file", got)
	}
	// An empty file has no age, however old.
	check(t, os.Truncate(path, 0))
	s.born = s.born.Add(-time.Hour)
	mustDeliver(t, s, "four\n")
	mustDeliver(t, s, "five\n")
	checkFile(t, path, "four\nfive\n")
}

func TestAgeCountsFromTheCreationOfTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	mustDeliver(t, newSink(t, Config{Path: path}), "one\n")
	var st unix.Statx_t
	check(t, unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &st))
	if st.Mask&unix.STATX_BTIME == 0 {
		t.Skip("needs a file system that knows when files were created")
	}
	s := newSink(t, Config{Path: path})
	check(t, s.Open(context.Background()))
	if want := time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)); !s.born.Equal(want) {
		t.Errorf("got %v, want %v", s.born, want)
	}
}

// Not parallel: it counts goroutines.
func TestKeepsAndCompresses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	path := filepath.Join(dir, "events")
	foreign := []string{"events.1", "events.2026", "events.20261123T133538.497Z.bak", "events.20261399T133538.497Z", "other.20261123T133538.497Z"}
	for _, name := range foreign {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("keep\n"), 0o600))
	}
	s := newSink(t, Config{Path: path, Mode: 0o604, Rotate: &RotateConfig{Size: 5, Keep: 3, Compress: true}})
	for i := range 8 {
		mustDeliver(t, s, fmt.Sprintf("%04d\n", i))
	}
	check(t, s.Close())
	check(t, s.tidy(context.Background())) // what Close interrupted
	got := rotated(t, path)
	got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(foreign, filepath.Base(name)) })
	if len(got) != 3 {
		t.Fatalf("got %q, want three", got)
	}
	for i, name := range got {
		if b := gunzip(t, name); b != fmt.Sprintf("%04d\n", i+4) {
			t.Errorf("%s: got %q", name, b)
		}
		if st, err := os.Stat(name); err != nil || st.Mode() != 0o604 {
			t.Errorf("%s: got %v, %v, want mode 0604", name, st.Mode(), err)
		}
	}
	for _, name := range foreign {
		checkFile(t, filepath.Join(dir, name), "keep\n")
	}
}

func gunzip(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b, err := io.ReadAll(z)
	check(t, err)
	return string(b)
}

// What a crash can leave between the steps of compressing.
func TestTidyFinishesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "events")
	stem := path + ".20261123T133538.497Z"
	check(t, os.WriteFile(stem, []byte("one\n"), 0o600))
	check(t, os.WriteFile(stem+unfinished, []byte("half"), 0o600))
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: 1 << 20, Compress: true}})
	check(t, s.tidy(context.Background()))
	if got := rotated(t, path); len(got) != 1 || gunzip(t, got[0]) != "one\n" {
		t.Errorf("got %q, want one compressed file", got)
	}
	check(t, os.WriteFile(stem, []byte("one\n"), 0o600)) // not removed yet
	check(t, s.tidy(context.Background()))
	if got := rotated(t, path); len(got) != 1 || gunzip(t, got[0]) != "one\n" {
		t.Errorf("got %q, want one compressed file", got)
	}
}

func TestCompressingStopsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "events")
	stem := path + ".20261123T133538.497Z"
	check(t, os.WriteFile(stem, []byte("one\n"), 0o600))
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: 1 << 20, Compress: true}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.tidy(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := rotated(t, path); len(got) != 1 || got[0] != stem {
		t.Errorf("got %q, want the file as it was", got)
	}
}

// A file that cannot be moved aside grows on, and that is reported.
func TestEntriesComeBeforeRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events")
	if os.Geteuid() == 0 {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			t.Skip("needs the right to mount:", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
		check(t, os.WriteFile(path, nil, 0o600))
		check(t, unix.Mount(path, path, "", unix.MS_BIND, "")) // a mount point cannot be renamed
		t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	} else {
		check(t, os.WriteFile(path, nil, 0o600))
		check(t, os.Chmod(dir, 0o500))
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
	}
	var mu sync.Mutex
	var reports []string
	s := newSink(t, Config{Path: path, Rotate: &RotateConfig{Size: 5}})
	s.report = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, err.Error())
	}
	for range 3 {
		mustDeliver(t, s, "1234\n")
	}
	checkFile(t, path, "1234\n1234\n1234\n")
	if len(reports) != 1 || !strings.Contains(reports[0], "rotate "+path) {
		t.Errorf("got reports %q, want one of the rotation", reports)
	}
}

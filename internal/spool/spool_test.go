package spool

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// leaks runs the tests, then looks for goroutines that are left.
func leaks(m *testing.M) int {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		return 1
	}
	return code
}

// boot returns a boot id for tests.
func boot(n byte) [16]byte { return [16]byte{n, 1, 2, 3} }

func mustOpen(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// text returns n records that say which they are.
func text(from, n int) []Record {
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = Record{Type: 1420, Time: int64(from + i), Data: fmt.Appendf(nil, "record %d", from+i)}
	}
	return recs
}

// drain reads everything there is now.
func drain(t testing.TB, r *Reader) (got []string) {
	t.Helper()
	for {
		e, ok, err := r.TryNext()
		switch {
		case err == io.EOF:
			return got
		case err != nil:
			got = append(got, err.Error())
		case !ok:
			return got
		default:
			got = append(got, fmt.Sprintf("%d %s", e.Seq, e.Data))
		}
	}
}

func TestReaderGetsWhatWasAppended(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s := mustOpen(t, Options{Dir: dir, BootID: boot(1)})
		r := s.NewReader(Start{})
		if c := s.Append(text(1, 100)); c.Seq != 100 {
			t.Errorf("Append returned %v, want seq 100", c)
		}
		got := drain(t, r)
		if len(got) != 100 || got[99] != "100 record 100" {
			t.Errorf("got %d entries: %q", len(got), got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Next(context.Background()); err != io.EOF {
			t.Errorf("Next after Close: %v, want EOF", err)
		}
		r.Close()
		if dir == "" {
			continue
		}
		s2 := mustOpen(t, Options{Dir: dir, BootID: boot(1)})
		if s2.End() != (Cursor{ID: s.cur.id, Seq: 100}) {
			t.Errorf("End after a clean restart %v, want %v:100", s2.End(), s.cur.id)
		}
		r = s2.NewReader(Start{})
		s2.Append(text(101, 1))
		got = drain(t, r)
		if len(got) != 101 || got[100] != "101 record 101" {
			t.Errorf("got %d entries: %q", len(got), got)
		}
		r.Close()
	}
}

// memoryDir returns a directory in memory, where there is one, for tests that make
// and remove files by the thousand: a disk takes most of their time.
func memoryDir(t testing.TB) string {
	t.Helper()
	const tmpfs = "/dev/shm" // shm_overview(7)
	var st unix.Statfs_t
	if unix.Statfs(tmpfs, &st) != nil || st.Type != unix.TMPFS_MAGIC || st.Bavail*uint64(st.Bsize) < 64<<20 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(tmpfs, "ipe-auditd-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

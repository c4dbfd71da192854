package segment

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

func TestMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, want := range []Mark{
		{State: MarkRunning, ID: 1, At: Origin},
		{State: MarkClean, ID: 1<<64 - 1, At: Point{1 << 62, 1 << 61}},
	} {
		f, err := want.Write(atomicfile.OS{}, dir, true)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got, ours := ReadMark(atomicfile.OS{}, dir); got != want || !ours || got.Home.Ino == 0 {
			t.Errorf("got %+v, ours: %v, want %+v", got, ours, want)
		}
		if got := ParseMark(want.Encode()); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestAnotherDirectoryBeginsANewID copies a spool in the ways that backups are
// made and restored. Only its own directory, under whatever name, goes on.

func FuzzMark(f *testing.F) {
	f.Add((&Mark{State: MarkRunning, ID: 7, At: Point{3, 2}, Born: 1}).Encode())
	f.Add((&Mark{State: MarkClean, ID: 7, At: Origin}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m := ParseMark(b); m.State != MarkNone && string(m.Encode()) != string(b) {
			t.Errorf("%q was read as %q", b, m.Encode())
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add((&Header{ID: 7, Ordinal: 1, First: Point{3, 2}, Prior: Ancestor{6, Point{9, 9}}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err == nil && b[10]|b[11] == 0 && string(h.Encode()) != string(b[:HeaderSize]) {
			t.Errorf("%x was read as %x", b[:HeaderSize], h.Encode())
		}
	})
}

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// lookFrom reads a directory from outside: entries by number, gaps in words.
func lookFrom(t *testing.T, dir string, bootID [16]byte, since time.Time) []string {
	t.Helper()
	o, err := segment.OpenOffline(dir, bootID, since)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var got []string
	for {
		e, err := o.Next()
		var gap *GapError
		switch {
		case err == io.EOF:
			return got
		case errors.As(err, &gap) && gap.Known:
			got = append(got, fmt.Sprintf("%d to %d missing", gap.First, gap.Last))
		case errors.As(err, &gap):
			got = append(got, fmt.Sprintf("from %d missing", gap.First))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, fmt.Sprint(e.Seq))
		}
	}
}

// TestOfflineReadsWhatIsLeft makes a spool of records 1 to 5 and changes what is
// left of it.
func TestOfflineReadsWhatIsLeft(t *testing.T) {
	t.Parallel()
	all := []string{"1", "2", "3", "4", "5"}
	cut := func(n int) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			edit(t, newestOf(dir), func(b []byte) []byte { return b[:len(b)-n] })
		}
	}
	tests := []struct {
		name   string
		closed bool
		boot   byte
		change func(t *testing.T, dir string)
		want   []string
	}{
		{"closed", true, 9, nil, all},
		{"running or killed", false, 1, nil, all},
		{"not closed, another boot", false, 2, nil, append(all[:5:5], "from 6 missing")},
		{"not closed, boot unknown", false, 0, nil, append(all[:5:5], "from 6 missing")},
		{"a write goes on", false, 1, func(t *testing.T, dir string) { edit(t, newestOf(dir), tear) }, all},
		{"killed, cut later", false, 1, cut(3), append(all[:4:4], "from 5 missing")},
		{"cut by a power loss", false, 2, cut(3), append(all[:4:4], "from 5 missing")},
		{"closed, cut later", true, 1, cut(3), append(all[:4:4], "from 5 missing")},
		{"closed, a whole entry cut", true, 1, cut(segment.FrameHeaderSize + len("record 4")), append(all[:4:4], "from 5 missing")},
		{"no mark", false, 1, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, segment.MarkName)); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"damage inside", true, 1, func(t *testing.T, dir string) {
			edit(t, newestOf(dir), func(b []byte) []byte { b[frameAt(b, 3)+9]++; return b })
		}, []string{"1", "2", "3 to 3 missing", "4", "5"}},
		{"a segment that is being made", true, 1, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, segment.Name(99)+atomicfile.Suffix), []byte(segment.Magic), 0o600); err != nil {
				t.Fatal(err)
			}
		}, all},
		{"a segment cut in its header", true, 1, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, segment.Name(99)), []byte(segment.Magic), 0o600); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"a segment without a sound header", true, 1, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, segment.Name(99)), make([]byte, segment.HeaderSize), 0o600); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"a pipe in place of a segment", true, 1, func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(filepath.Join(dir, segment.Name(99)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"a pipe in place of the mark", true, 1, func(t *testing.T, dir string) {
			mark := filepath.Join(dir, segment.MarkName)
			if err := errors.Join(os.Remove(mark), syscall.Mkfifo(mark, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"a link in place of a segment", true, 1, func(t *testing.T, dir string) {
			if err := os.Symlink("/dev/tty", filepath.Join(dir, segment.Name(99))); err != nil {
				t.Fatal(err)
			}
		}, append(all[:5:5], "from 6 missing")},
		{"foreign files", true, 1, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "ffff.seg"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Dir: t.TempDir(), BootID: boot(1)}
			s := mustOpen(t, o)
			s.Append(text(0, 5))
			if tt.closed {
				s.Close()
			}
			dir := killed(t, o.Dir)
			if tt.change != nil {
				tt.change(t, dir)
			}
			var bootID [16]byte
			if tt.boot > 0 {
				bootID = boot(tt.boot)
			}
			if diff := cmp.Diff(tt.want, lookFrom(t, dir, bootID, time.Time{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOfflineTellsSegmentsThatAreGone removes segments of a spool with many.
func TestOfflineTellsSegmentsThatAreGone(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 400 {
		s.Append(text(i, 1))
	}
	s.Close()
	whole := lookFrom(t, o.Dir, boot(1), time.Time{})
	segments := func(dir string) []string {
		names, _ := filepath.Glob(filepath.Join(dir, "*"+segment.Suffix))
		slices.Sort(names)
		return names
	}
	names := segments(o.Dir)
	if len(names) < 4 || len(whole) != 400 {
		t.Fatalf("%d segments, %d entries: the test tests nothing", len(names), len(whole))
	}
	t.Run("the oldest before", func(t *testing.T) {
		dir := killed(t, o.Dir)
		os.Remove(segments(dir)[0])
		got := lookFrom(t, dir, boot(1), time.Time{})
		if want := whole[len(whole)-len(got):]; len(got) == 400 || !slices.Equal(got, want) {
			t.Errorf("got %d entries from %s on", len(got), got[0])
		}
	})
	t.Run("one in the middle while it is read", func(t *testing.T) {
		dir := killed(t, o.Dir)
		off, err := segment.OpenOffline(dir, boot(1), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		defer off.Close()
		if _, err := off.Next(); err != nil {
			t.Fatal(err)
		}
		os.Remove(segments(dir)[1])
		read, missing := uint64(1), uint64(0)
		for {
			_, err := off.Next()
			var gap *GapError
			if err == io.EOF {
				break
			} else if errors.As(err, &gap) && gap.Known && gap.Err == nil {
				missing += gap.Count
			} else if err != nil {
				t.Fatal(err)
			} else {
				read++
			}
		}
		if missing == 0 || read+missing != 400 {
			t.Errorf("%d read, %d told missing, want 400 together", read, missing)
		}
	})
}

// TestOfflineGoesOnBehindAllThatWasGivenUp lets the writer go once around
// between two looks of the reader.
func TestOfflineGoesOnBehindAllThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]int{"before the first entry": 0, "behind the first entry": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := small(t.TempDir())
			s := mustOpen(t, o)
			for i := range 200 {
				s.Append(text(i, 1))
			}
			newestThen := newestOf(o.Dir)
			off, err := segment.OpenOffline(o.Dir, o.BootID, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			defer off.Close()
			for range reads {
				if _, err := off.Next(); err != nil {
					t.Fatal(err)
				}
			}
			last := uint64(200)
			for _, err := os.Stat(newestThen); err == nil; _, err = os.Stat(newestThen) {
				s.Append(text(int(last), 1))
				last++
			}
			newest := uint64(reads)
			for {
				e, err := off.Next()
				var gap *GapError
				switch {
				case err == io.EOF:
					if newest != last {
						t.Errorf("ends with entry %d of %d", newest, last)
					}
					return
				case errors.As(err, &gap) && gap.Known && gap.Err == nil && gap.First == newest+1:
					newest = gap.Last
				case err != nil:
					t.Fatal(err)
				case newest > 0 && e.Seq != newest+1:
					t.Fatalf("entry %d comes behind %d", e.Seq, newest)
				default:
					newest = e.Seq
				}
			}
		})
	}
}

func TestOfflineBeginsAtATime(t *testing.T) {
	t.Parallel()
	now := time.Now().UnixNano()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	for i := range 200 {
		s.Append([]Record{{Time: now + int64(i), Data: make([]byte, 100)}})
	}
	s.Close()
	for _, from := range []int64{0, 1, 77, 199} {
		got := lookFrom(t, o.Dir, boot(1), time.Unix(0, now+from))
		if len(got) != 200-int(from) || got[0] != fmt.Sprint(from+1) {
			t.Errorf("since entry %d: got %d entries from %v on", from+1, len(got), got[0])
		}
	}
	if got := lookFrom(t, o.Dir, boot(1), time.Unix(0, now+200)); len(got) != 0 {
		t.Errorf("since the end: got %v", got)
	}
}

// TestOfflineBesideAWriter reads again and again while entries are appended and
// given up: what it gets is gapless but for what it is told.
func TestOfflineBesideAWriter(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	s := mustOpen(t, o)
	s.Append(text(0, 1))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Append(text(i, 1))
			}
		}
	}()
	for range 50 {
		off, err := segment.OpenOffline(o.Dir, o.BootID, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var next uint64
		for {
			e, err := off.Next()
			var gap *GapError
			if err == io.EOF {
				break
			} else if errors.As(err, &gap) && gap.Known && gap.Err == nil && gap.First == next {
				next = gap.Last + 1 // given up while it was read
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if next != 0 && e.Seq != next || string(e.Data) != fmt.Sprintf("record %d", e.Seq-1) {
				t.Fatalf("entry %d says %q, want entry %d", e.Seq, e.Data, next)
			}
			next = e.Seq + 1
		}
		off.Close()
	}
	close(stop)
	<-done
}

func TestOfflineTakesNothingAndChangesNothing(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), BootID: boot(1)}
	mustOpen(t, o).Close()
	state := func() (list []string) {
		names, _ := os.ReadDir(o.Dir)
		for _, n := range names {
			b, _ := os.ReadFile(filepath.Join(o.Dir, n.Name()))
			list = append(list, fmt.Sprintf("%s %x", n.Name(), b))
		}
		return list
	}
	before := state()
	off, err := segment.OpenOffline(o.Dir, o.BootID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("changed the directory:\n%s", diff)
	}
	s, err := Open(o) // while off has it
	if err != nil {
		t.Fatalf("the spool cannot be opened beside: %v", err)
	}
	s.Close()
}

// TestOfflineSaysWhyNothingCanBeRead: that is no loss.
func TestOfflineSaysWhyNothingCanBeRead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(path string) error
		want   error
	}{
		"no right": {func(path string) error { return os.Chmod(path, 0) }, os.ErrPermission},
		"another version": {func(path string) error {
			edit(t, path, func(b []byte) []byte { b[8]++; return b })
			return nil
		}, segment.ErrVersion},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.want == os.ErrPermission && os.Geteuid() == 0 {
				t.Skip("root may read everything")
			}
			o := Options{Dir: t.TempDir(), BootID: boot(1)}
			s := mustOpen(t, o)
			s.Append(text(0, 5))
			s.Close()
			dir := killed(t, o.Dir)
			if err := tt.change(newestOf(dir)); err != nil {
				t.Fatal(err)
			}
			off, err := segment.OpenOffline(dir, boot(1), time.Time{})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want %v of a segment in %s", err, tt.want, dir)
			}
			if off != nil {
				off.Close()
			}
		})
	}
}

func TestOfflineNeedsASpool(t *testing.T) {
	t.Parallel()
	if _, err := segment.OpenOffline(t.TempDir(), boot(1), time.Time{}); !errors.Is(err, segment.ErrNoSpool) {
		t.Errorf("empty directory: %v, want ErrNoSpool", err)
	}
	_, err := segment.OpenOffline(filepath.Join(t.TempDir(), "absent"), boot(1), time.Time{})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("no directory: %v", err)
	}
}

package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// childEnv makes the test binary append to the spool in that directory until
// it is killed, save how far it has come as the cursor "child", and print it.
const childEnv = "SPOOL_TEST_APPEND_TO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		appendForEver(dir)
	}
	if dir := os.Getenv(stoppedEnv); dir != "" {
		stopInWrite(dir)
	}
	os.Exit(leaks(m))
}

func appendForEver(dir string) {
	s, err := Open(childOptions(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	file := NewCursorFile(dir, "child")
	out := make([]byte, 0, 64)
	for n := int(s.End().Seq); ; {
		recs := text(n+1, 1+rand.IntN(100))
		n += len(recs)
		for range rand.IntN(4) {
			recs = append(recs, Record{Data: []byte("who did it"), Attachment: true})
		}
		c := s.Append(recs)
		file.Save(c) // fails on a full disk
		out = fmt.Appendf(out[:0], "%v\n", c)
		os.Stdout.Write(out)
	}
}

func childOptions(dir string) Options {
	return Options{Dir: dir, BootID: boot(1), Size: 1 << 20, Sync: time.Millisecond}
}

// TestKillNineLosesNothing kills a process that appends, at random moments,
// and wants everything back that it was told to have appended, whole, in
// order, and under the same id.
func TestKillNineLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	var id ID
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		startAgain(t, cmd)
		lines := bufio.NewScanner(pipe)
		var told Cursor
		for kill := 1 + rand.IntN(40); lines.Scan(); kill-- {
			if told, err = ParseCursor(lines.Text()); err != nil {
				t.Fatalf("the child says: %s", lines.Text())
			}
			if kill == 0 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()

		s := mustOpen(t, childOptions(dir))
		if id == 0 {
			id = told.ID
		}
		if end := s.End(); end.ID != id || told.ID != id || end.Seq < told.Seq {
			t.Fatalf("round %d: the child appended up to %v, found %v, the id was %v", round, told, end, id)
		}
		if c, err := LoadCursor(dir, "child"); err != nil || c.ID != id || c.Seq < told.Seq {
			t.Fatalf("round %d: the child saved %v, found %v, %v", round, told, c, err)
		}
		checkGapless(t, s)
		// Half of the rounds go on after a kill, half after a clean end.
		if round%2 == 0 {
			crash(s)
		} else if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKillNineInMemoryForm kills a process whose disk, a real one, is full, and
// wants what came to the disk once, and a new id.
func TestKillNineInMemoryForm(t *testing.T) {
	t.Parallel()
	full := mountTmpfs(t, "1m")
	ballast := filepath.Join(full, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(full, "spool")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	startAgain(t, cmd)
	lines := bufio.NewScanner(pipe)
	var disk, memory Cursor // as far as the child told
	for lines.Scan() {
		c, err := ParseCursor(lines.Text())
		if err != nil {
			t.Fatalf("the child says: %s", lines.Text())
		}
		if disk.ID == 0 || c.ID == disk.ID {
			disk = c
			continue
		}
		if memory.ID == 0 {
			cmd.Process.Kill()
		}
		memory = c
	}
	cmd.Wait()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}

	notify, told := changes()
	o := childOptions(dir)
	o.Notify = notify
	s := mustOpen(t, o)
	await(t, told, MemoryUncertain)
	if id := s.End().ID; id == disk.ID || id == memory.ID {
		t.Errorf("goes on with %v; the disk had %v, the memory %v", id, disk, memory)
	}
	last := s.Append(text(0, 1))
	r := s.NewReader(Start{After: &Cursor{ID: disk.ID, Seq: 0}})
	defer r.Close()
	for want := uint64(1); ; want++ {
		e, ok, err := r.TryNext()
		var gap *GapError
		if errors.As(err, &gap) && gap.First > disk.Seq {
			continue // the write that failed was not yet taken back
		}
		if err != nil || !ok {
			t.Fatalf("entry %d: %v, %v", want, ok, err)
		}
		if e.Cursor() == last {
			break
		}
		if e.Cursor() != (Cursor{ID: disk.ID, Seq: want}) || string(e.Data) != fmt.Sprintf("record %d", want) {
			t.Fatalf("entry %v says %q, want record %d", e.Cursor(), e.Data, want)
		}
	}
}

// checkGapless reads everything and wants what appendForEver wrote.
func checkGapless(t *testing.T, s *Spool) {
	t.Helper()
	r := s.NewReader(Start{})
	defer r.Close()
	var last uint64
	for {
		e, ok, err := r.TryNext()
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if last != 0 && e.Seq != last+1 {
			t.Fatalf("entry %d follows %d", e.Seq, last)
		}
		last = e.Seq
		if n, err := strconv.ParseUint(string(e.Data[len("record "):]), 10, 64); err != nil || n != e.Seq {
			t.Fatalf("entry %d says %q", e.Seq, e.Data)
		}
	}
	if last != s.End().Seq {
		t.Fatalf("read up to %d of %d", last, s.End().Seq)
	}
}

// crash ends a spool as kill -9 would: nothing is synced nor marked.
func crash(s *Spool) {
	s.appendMu.Lock()
	s.stopped = true
	close(s.closing)
	w := s.writer
	s.writer = nil
	s.appendMu.Unlock()
	s.returns.Wait()
	if s.sync != nil {
		s.sync.end()
	}
	if w != nil {
		w.end()
		<-w.gone
	}
	for _, w := range s.left {
		<-w.gone
	}
	s.tell.end()
	unlockDir(s.lock)
}

// newest returns the path of the newest segment.
func newest(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+segment.Suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no segment in %s: %v", dir, err)
	}
	return files[len(files)-1]
}

// TestPowerLossSkipsNothing cuts the unsynced end off the newest segment, as a
// power cut does, while a reader had already delivered it.
func TestPowerLossSkipsNothing(t *testing.T) {
	t.Parallel()
	for _, cut := range []int64{0, 1, segment.FrameHeaderSize + 9, 300, 1 << 20} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			o := Options{Dir: t.TempDir(), BootID: boot(1)}
			s := mustOpen(t, o)
			cursor := s.Append(text(1, 20))
			crash(s)
			path := newest(t, o.Dir)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, max(0, info.Size()-cut)); err != nil {
				t.Fatal(err)
			}

			o.BootID = boot(2)
			s = mustOpen(t, o)
			if s.End().ID == cursor.ID {
				t.Errorf("goes on with %v, whose end may be lost", cursor.ID)
			}
			s.Append(text(21, 5))
			r := s.NewReader(Start{After: &cursor})
			defer r.Close()
			var got []string
			for {
				e, ok, err := r.TryNext()
				if _, gap := err.(*GapError); gap {
					continue // whether something is missing is told by other tests
				}
				if !ok {
					break
				}
				got = append(got, string(e.Data))
			}
			if len(got) != 5 {
				t.Errorf("got %q, want the 5 new entries", got)
			}
			wantText(t, got, 21)
		})
	}
}

func TestIdentityOverRestarts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		first, second [16]byte
		end           func(*Spool)
		keeps         bool
	}{
		{"killed, same boot", boot(1), boot(1), crash, true},
		{"killed, other boot", boot(1), boot(2), crash, false},
		{"killed, boot unknown", [16]byte{}, [16]byte{}, crash, false},
		{"clean, same boot", boot(1), boot(1), func(s *Spool) { s.Close() }, true},
		{"clean, other boot", boot(1), boot(2), func(s *Spool) { s.Close() }, false},
		{"clean, boot unknown", [16]byte{}, [16]byte{}, func(s *Spool) { s.Close() }, false},
	}
	for _, tt := range tests {
		for _, n := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s, %d entries", tt.name, n), func(t *testing.T) {
				t.Parallel()
				o := Options{Dir: t.TempDir(), BootID: tt.first}
				s := mustOpen(t, o)
				id := s.End().ID
				s.Append(text(0, n))
				tt.end(s)
				o.BootID = tt.second
				s = mustOpen(t, o)
				if keeps := s.End().ID == id; keeps != tt.keeps {
					t.Errorf("keeps the id: %v, want %v", keeps, tt.keeps)
				}
				s.Append(text(n, 2))
				// A new sink that started at the first end gets everything.
				r := s.NewReader(Start{After: &Cursor{ID: id, Seq: 0}})
				defer r.Close()
				wantText(t, datas(t, r, n+2), 0)
				// The mark of a clean end must not outlive it.
				crash(s)
				o.BootID = boot(9)
				if s2 := mustOpen(t, o); s2.End().ID == s.cur.id {
					t.Error("an old mark vouches for what came after it")
				}
			})
		}
	}
}

func TestRestartsDoNotMakeFiles(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), BootID: boot(1)}
	for i := range 20 {
		s := mustOpen(t, o)
		s.Append(text(i, 1))
		if i%2 == 0 {
			crash(s)
		} else {
			s.Close()
		}
	}
	if files, _ := filepath.Glob(filepath.Join(o.Dir, "*")); len(files) != 2 {
		t.Errorf("files: %q, want one segment and the mark", files)
	}
}

// startAgain starts cmd, which is this program once more, or skips the test where
// the kernel cannot execute it: in an emulator without binfmt_misc.
func startAgain(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	switch err := cmd.Start(); {
	case errors.Is(err, syscall.ENOEXEC):
		t.Skipf("needs to start itself again, which an emulator cannot do without binfmt_misc: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

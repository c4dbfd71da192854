package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func quote(b []byte) string { return strconv.Quote(string(b)) }

// until calls f until it fails: whoever writes to a pipe learns later that
// nobody reads.
func until(t *testing.T, f func() error) error {
	t.Helper()
	for range 10_000 {
		if err := f(); err != nil {
			return err
		}
	}
	t.Fatal("does not fail")
	return nil
}

func TestStreamReportsExit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, script, want string }{
		{"failure", "exit 3", "exit status 3"},
		{"success", "exit 0", "exited"},
		{"signal", "kill -9 $$", "signal: killed"},
		{"after reading", "read x; exit 4", "exit status 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, Config{Command: script(t, tt.script)})
			err := until(t, func() error {
				if err := s.Write(context.Background(), line("{}\n")); err != nil {
					<-s.stream.p.done // Write may know before the process has ended
					return s.Flush(context.Background())
				}
				return s.Flush(context.Background())
			})
			if !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFlushWaitsUntilTheProcessHasRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/go", 0o600); err != nil {
		t.Fatal(err)
	}
	// The shell reads byte by byte, so not a byte more than the two lines.
	s := open(t, Config{Command: script(t, "read x; read x <"+dir+"/go; read y; echo $y >"+dir+"/out; read z")})
	write(t, s, "one\n", "two\n")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Flush before it was read: %v, want deadline exceeded", err)
	}
	if err := os.WriteFile(dir+"/go", []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	eventually(t, "the second line", func() bool { return content(t, dir+"/out") == "two\n" })
}

func TestTimeoutEndsAProcessThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Command: []string{"/bin/sleep", "1000"}, Timeout: 20 * time.Millisecond})
	s.stream.grace = time.Millisecond
	write(t, s, "{}\n")
	if err := s.Flush(context.Background()); !errors.Is(err, errStuck) {
		t.Errorf("Flush: got %v, want %v", err, errStuck)
	}
	err := until(t, func() error {
		return s.Write(context.Background(), line(strings.Repeat("x", 4095)+"\n"))
	})
	if !errors.Is(err, errStuck) {
		t.Errorf("Write: got %v, want %v", err, errStuck)
	}
}

// The write that ends in the middle of a line has put a part of it into the
// pipe. Nobody must take that for a line.
func TestTornLineIsNeverRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(s *Sink, cancel context.CancelFunc)
	}{
		{"context", func(_ *Sink, cancel context.CancelFunc) { cancel() }},
		{"close", func(s *Sink, _ context.CancelFunc) { s.Close() }}, // while Write waits
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/hang", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, Config{Command: helper(t, "record", dir)})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			full := make(chan struct{})
			go func() {
				<-full
				tt.end(s, cancel)
			}()
			n := 0
			err := until(t, func() error {
				if n++; n == 7 { // of 10,001 bytes each: the pipe takes 65,536
					close(full)
				}
				return s.Write(ctx, line(strings.Repeat("x", 10_000)+"\n"))
			})
			if !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrClosed) {
				t.Fatalf("got %v", err)
			}
			// From here on it reads, if it is still there.
			if err := os.Remove(dir + "/hang"); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if got := content(t, dir+"/out"); got != "" && !strings.HasSuffix(got, "\n") {
				t.Errorf("a line of %d bytes was read", len(got)-strings.LastIndex(got, "\n")-1)
			}
		})
	}
}

// process returns the id of the running process, 0 if there is none.
func (s *Sink) process() int {
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.stream == nil {
		return 0
	}
	return s.stream.p.pid
}

func TestCloseLetsTheProcessFinish(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: script(t, "x=$(cat); sleep 0.05; echo \"$x\" >"+out)})
	write(t, s, "one\n", "two\n")
	flush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("one\ntwo\n", content(t, out)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]uint64{"exits 0": 1}, counted(s)); diff != "" {
		t.Errorf("exits (-want +got):\n%s", diff)
	}
}

func TestCloseKillsAProcessThatDoesNotFinish(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Command: []string{"/bin/sleep", "1000"}})
	s.stream.grace = 20 * time.Millisecond
	pid := s.process()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(fmt.Sprintf("/proc/%d", pid)) {
		t.Error("the process lives on, or is a zombie")
	}
	if diff := cmp.Diff(map[string]uint64{"exits signal": 1}, counted(s)); diff != "" {
		t.Errorf("exits (-want +got):\n%s", diff)
	}
}

func TestStreamWriteDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := open(t, Config{Command: []string{"/bin/cat"}})
	e := line(strings.Repeat("x", 300) + "\n")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// No more than fits the pipe: waiting may allocate.
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkStream(b *testing.B) {
	s := open(b, Config{Command: []string{"/bin/cat"}})
	e := line(strings.Repeat("x", 300) + "\n")
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Write(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}

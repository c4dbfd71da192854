package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// datagram makes one of field, value, field, value, ... in the form for any
// bytes.
func datagram(pairs ...string) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, pairs[i]...), '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(pairs[i+1])))
		b = append(append(b, pairs[i+1]...), '\n')
	}
	return b
}

func entry(pairs ...string) *sink.Entry { return &sink.Entry{Bytes: datagram(pairs...)} }

// listen stands in for a journald that reads when the test does.
func listen(t testing.TB) (*net.UnixConn, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "journald") // t.TempDir may be too long for an address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

func open(t testing.TB, path string) *Sink {
	t.Helper()
	s := New(path)
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill sends until the queue is full and returns how many it took.
func fill(t testing.TB, s *Sink) int {
	t.Helper()
	c := s.conn.Load()
	for n := 0; ; n++ {
		c.data = datagram("N", fmt.Sprint(n))
		switch err := c.sender.Try(); err {
		case nil:
		case syscall.EAGAIN:
			return n
		default:
			t.Fatal(err)
		}
	}
}

func TestOpenFailsWithoutJournald(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(t.TempDir(), "socket"))
	if err := s.Open(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v, want not exist", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestWriteFailsWhileNotOpen(t *testing.T) {
	t.Parallel()
	s := New("")
	if err := s.Write(context.Background(), entry("A", "b")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %v, want closed", err)
	}
	if err := s.Flush(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Flush: %v, want closed", err)
	}
}

func TestWriteWaitsWhileTheQueueIsFull(t *testing.T) {
	t.Parallel()
	l, path := listen(t)
	s := open(t, path)
	full := fill(t, s)

	// The connection is still good, and the order kept.
	const more = 100
	done := make(chan error)
	go func() {
		for n := full; n < full+more; n++ {
			if err := s.Write(context.Background(), entry("N", fmt.Sprint(n))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	buf := make([]byte, 4096)
	for n := range full + more {
		k, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if want := datagram("N", fmt.Sprint(n)); !bytes.Equal(buf[:k], want) {
			t.Fatalf("datagram %d: got %q, want %q", n, buf[:k], want)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestContextEndsAWriteThatWaits(t *testing.T) {
	t.Parallel()
	_, path := listen(t)
	s := open(t, path)
	fill(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if err := s.Write(ctx, entry("A", "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if err := s.Write(ctx, entry("A", "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: got %v, want canceled", err)
	}
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	t.Parallel()
	_, path := listen(t)
	s := open(t, path)
	fill(t, s)
	done := make(chan error)
	go func() { done <- s.Write(context.Background(), entry("A", "b")) }()
	time.AfterFunc(time.Millisecond, func() { s.Close() })
	if err := <-done; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want closed", err)
	}
}

func TestWriteFailsWhenJournaldIsGone(t *testing.T) {
	t.Parallel()
	l, path := listen(t)
	s := open(t, path)
	l.Close()
	if err := s.Write(context.Background(), entry("A", "b")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want connection refused", err)
	}
}

func TestGoneJournaldEndsAWriteThatWaits(t *testing.T) {
	t.Parallel()
	l, path := listen(t)
	s := open(t, path)
	fill(t, s)
	time.AfterFunc(time.Millisecond, func() { l.Close() })
	if err := s.Write(context.Background(), entry("A", "b")); err == nil {
		t.Error("a write nobody can receive is accepted")
	}
}

func TestLargeEntryGoesAsASealedFile(t *testing.T) {
	l, path := listen(t)
	s := open(t, path)
	e := entry("MESSAGE", strings.Repeat("x", 1<<20))
	if err := s.Write(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, 128)
	n, oobn, _, _, err := l.ReadMsgUnix(make([]byte, 16), oob)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("got %d bytes beside the file", n)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("got %d control messages, %v", len(msgs), err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("got descriptors %v, %v", fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "received")
	defer f.Close()
	got := make([]byte, len(e.Bytes)+1)
	if n, _ := f.ReadAt(got, 0); !bytes.Equal(got[:n], e.Bytes) {
		t.Errorf("the file's %d bytes differ from the entry's %d", n, len(e.Bytes))
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := journaldSeals
	if mode, _ := os.ReadFile("/proc/sys/vm/memfd_noexec"); string(mode) == "2\n" {
		want |= unix.F_SEAL_EXEC // nothing else is allowed
	}
	if seals != want {
		t.Errorf("seals are %#x, want %#x", seals, want)
	}
	f.Close()
	if n := memfds(t); n != 0 {
		t.Errorf("%d files left open", n)
	}
}

// memfds counts the files of this process that hold large entries.
func memfds(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		if target, _ := os.Readlink(l); strings.Contains(target, "memfd:ipe-auditd-journal") {
			n++
		}
	}
	return n
}

func TestWriteDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, path := listen(t)
	s := open(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e := entry("MESSAGE", "x")
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	drain := func(fd uintptr) bool { syscall.Read(int(fd), buf); return true }
	if n := testing.AllocsPerRun(1000, func() {
		if err := s.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
		raw.Read(drain)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkWrite(b *testing.B) {
	l, path := listen(b)
	s := open(b, path)
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := l.Read(buf); err != nil {
				return
			}
		}
	}()
	e := entry("MESSAGE", strings.Repeat("x", 600))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Write(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

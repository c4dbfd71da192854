package journald

import (
	"bytes"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald/journaltest"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r := newReader(t)
		return &sinktest.Place{
			Sink:    New(r.path),
			Entries: r.entries,
			Break:   r.stop,
			Repair:  r.start,
			Hang:    r.reading.Lock,
			Resume:  r.reading.Unlock,
		}
	})
}

func TestConformanceWithJournald(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		j := journaltest.Start(t, journaltest.Standalone())
		return &sinktest.Place{
			Sink: New(j.Socket()),
			Entry: func(i int) *sink.Entry {
				return &sink.Entry{
					Event: &ipe.Event{},
					Bytes: datagram(testEntry("MESSAGE", strings.Repeat("m", i%300), "N", strconv.Itoa(i))...),
				}
			},
			Entries: func() (all [][]byte, err error) {
				for _, e := range j.Entries(t, test) {
					all = append(all, datagram(testEntry("MESSAGE", e.Get("MESSAGE"), "N", e.Get("N"))...))
				}
				return all, nil
			},
			Break:  func() { j.Stop(t) },
			Repair: func() { j.Restart(t) },
			Hang:   func() { j.Freeze(t) },
			Resume: func() { j.Thaw(t) },
		}
	})
}

// reader stands in for a journald that a test can stop and restart. One
// goroutine reads all its life, because the suite counts them.
type reader struct {
	t     testing.TB
	path  string
	conn  *net.UnixConn      // nil while it is stopped
	conns chan *net.UnixConn // what to read
	done  chan struct{}      // sent when nothing more comes from the last of them

	reading sync.Mutex // held while it reads

	mu  sync.Mutex
	got [][]byte
}

func newReader(t testing.TB) *reader {
	l, path := listen(t)
	l.Close()
	r := &reader{t: t, path: path, conns: make(chan *net.UnixConn), done: make(chan struct{})}
	go func() {
		for conn := range r.conns {
			r.read(conn)
			r.done <- struct{}{}
		}
		close(r.done)
	}()
	t.Cleanup(func() {
		r.stop()
		close(r.conns)
		<-r.done
	})
	r.start()
	return r
}

func (r *reader) start() {
	os.Remove(r.path)
	var err error
	if r.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.path}); err != nil {
		r.t.Fatal(err)
	}
	r.conns <- r.conn
}

// stop closes the socket after everything that is queued was read.
func (r *reader) stop() {
	if r.conn == nil {
		return
	}
	r.conn.SetReadDeadline(time.Unix(1, 0))
	<-r.done
	r.conn.Close()
	r.conn = nil
}

// read reads until the deadline, and then what is still queued.
func (r *reader) read(conn *net.UnixConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 1<<18)
	drain := func(fd uintptr) bool {
		r.reading.Lock()
		defer r.reading.Unlock()
		for {
			n, err := syscall.Read(int(fd), buf)
			if err != nil {
				return false // nothing is queued: wait
			}
			r.mu.Lock()
			r.got = append(r.got, bytes.Clone(buf[:n]))
			r.mu.Unlock()
		}
	}
	raw.Read(drain)
	raw.Control(func(fd uintptr) { drain(fd) })
}

func (r *reader) entries() ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), nil
}

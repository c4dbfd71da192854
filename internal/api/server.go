package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// MaxClients is how many streams of events there are at most at once, but for a
// few more of root and of the daemon's own user.
const MaxClients = 64

const (
	maxConns  = 2 * MaxClients // connections, so that status can be asked for beside all streams
	maxHeader = 4 << 10        // bytes of a request; net/http adds 4 KiB of slop
)

// Options say what a server serves, and to whom. All but Policy, Host and
// ErrorLog are needed.
type Options struct {
	Path  string      // of the unix socket
	Mode  fs.FileMode // permission bits of the socket
	Group string      // of the socket, by name or number; empty for that of the process

	Spool *spool.Spool
	Host  func() []byte // returns the host name for events; nil to leave it out

	// Policy returns the policy that an entry's context stands for, nil where
	// it says nothing. Any goroutine calls it.
	Policy func(context uint16) *ipe.Policy

	// Join is for how long an access waits for what belongs to it, and Expect says
	// what that can be, as in [entry.Joiner].
	Join   time.Duration
	Expect entry.Expectation

	// Status is asked for the state of the daemon, from any goroutine but from
	// one at a time. The server fills in Feed, and calls Status.Complete.
	Status func() Status

	// Share is what of the processors the clients have together with other readers
	// of the spool. Nil: as much as they get.
	Share *fairshare.Pool

	// ErrorLog is told what goes wrong between net/http and clients; as in
	// http.Server.
	ErrorLog *log.Logger
}

// timeouts is how long a server waits for others.
type timeouts struct {
	request time.Duration // for a whole request, from the connection on
	write   time.Duration // for a client that takes nothing
	status  time.Duration // for Options.Status
	close   time.Duration // for clients, when the server is closed
}

var defaultTimeouts = timeouts{request: 5 * time.Second, write: 30 * time.Second, status: 5 * time.Second, close: time.Second}

// Server serves one socket. Its methods may be called from any goroutine.
type Server struct {
	// Set at construction.
	options  Options
	timeouts timeouts
	http     http.Server
	gate     *connLimiter
	socket   *socket
	closing  context.Context // ended by Close
	end      context.CancelFunc

	streams clients
	asking  chan struct{} // holds a token while Options.Status is asked

	feed feedCounters
}

// feedCounters are the counters of Feed.
type feedCounters struct {
	opened, refused, sent, lost atomic.Uint64
}

// Listen makes the socket. Serve must be called to answer there, Close to
// remove it. A socket that was left by a process that died is replaced. It is
// an error, ErrInUse, if somebody answers at it.
func Listen(o Options) (*Server, error) { return listen(o, defaultTimeouts) }

func listen(o Options, p timeouts) (*Server, error) {
	l, err := bind(o.Path, o.Mode, o.Group)
	if err != nil {
		return nil, fmt.Errorf("listen on the api socket %s: %w", o.Path, err)
	}
	s := &Server{
		options: o, timeouts: p, socket: l,
		asking: make(chan struct{}, 1),
	}
	s.closing, s.end = context.WithCancel(context.Background())
	s.gate = newConnLimiter(s.closing, l.listener, o.Share.Task(fairshare.Requests))
	s.http = http.Server{
		Handler: s.handler(),
		// For the whole request, because net/http would wait for a body that was
		// announced. It lifts that once the request is there (startBackgroundRead).
		ReadTimeout:    p.request,
		WriteTimeout:   p.request + p.status + p.write,
		MaxHeaderBytes: maxHeader,
		ConnState:      s.gate.changed,
		ConnContext:    withUser,
		ErrorLog:       o.ErrorLog,
	}
	// A connection is one request: nobody gains from holding one open.
	s.http.SetKeepAlivesEnabled(false)
	return s, nil
}

// Serve answers until Close is called, and then returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.gate); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the api: %w", err)
	}
	return nil
}

// Close removes the socket and ends all streams. They are sent what the spool
// has, so it is closed before to send them everything; for that they have a
// second.
func (s *Server) Close() error {
	err := s.socket.remove()
	s.end()
	s.gate.closeWaiting()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeouts.close)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close() // clients that take nothing: their loss
	}
	s.gate.Close() // if Serve was never called
	if err != nil {
		return fmt.Errorf("close the api: %w", err)
	}
	return nil
}

// ask returns the state of the daemon. If that does not come in time, it answers
// so and returns nil: a disk that hangs must not make a health check hang.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) *Status {
	ctx, cancel := context.WithTimeout(r.Context(), s.timeouts.status)
	defer cancel()
	reply := make(chan *Status, 1)
	select {
	case s.asking <- struct{}{}:
		go func() {
			defer func() { <-s.asking }()
			_ = s.work(ctx, func() { reply <- s.status() })
		}()
	case <-ctx.Done():
	}
	select {
	case st := <-reply:
		return st
	case <-ctx.Done():
		answerLater(w, "the daemon does not answer; its disk may hang")
		return nil
	}
}

// work calls f, which is one of the things that answering a request takes, when
// there is a place for it. If ctx ends before, it returns its error.
func (s *Server) work(ctx context.Context, f func()) error {
	task := s.options.Share.Task(fairshare.Requests)
	defer task.Leave()
	if err := task.Spend(ctx, fairshare.Request); err != nil {
		return err
	}
	f()
	return nil
}

// Status returns the state of the daemon, complete. It takes as long as
// Options.Status takes.
func (s *Server) Status() *Status {
	s.asking <- struct{}{}
	defer func() { <-s.asking }()
	return s.status()
}

// status is Status for the holder of the token.
func (s *Server) status() *Status {
	st := s.options.Status()
	st.Feed = Feed{
		Clients: s.streams.count(), MaxClients: MaxClients,
		Opened: s.feed.opened.Load(), Refused: s.feed.refused.Load(),
		Sent: s.feed.sent.Load(), Lost: s.feed.lost.Load(),
	}
	st.Complete(time.Now())
	return &st
}

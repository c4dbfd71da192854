package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Options say where the events are.
type Options struct {
	// Names are files, "-" for Stdin, and spool directories. Without any, the
	// events are those of the daemon.
	Names []string
	Stdin io.Reader

	Socket string // of the daemon's feed
	Dir    string // its spool directory, read when no daemon answers; may be empty

	// Since leaves out what is older: what was received before by the daemon
	// and in spools, what happened before in files. Events without a time stay.
	// Zero: everything.
	Since time.Time

	// After asks the daemon for the events behind this one only. Other sources
	// give all that they have. Nil: everything.
	After *spool.Cursor
}

// History is a stream of events. One goroutine at a time may use it.
type History struct {
	since   int64 // milliseconds since 1970 UTC; 0: everything
	sources []*stream
	follow  follower
	origin  string
	note    string
	live    bool
}

// source yields the events of one place. The event lives until the next call;
// an error ends it, which is io.EOF where everything was read.
type source interface {
	next(*Event) error
	close()
}

// stream is a source with the event that comes next, which was read to find out
// where the source belongs.
type stream struct {
	source
	place place
	event Event
	err   error
	ready bool // event and err are to be returned
	begun bool // an event was returned, or left out
}

// Open opens the sources. The error is that of the first that cannot be opened;
// of the daemon's socket it is that of connect(2), an [api.RefusedError] or a
// [SpoolError], unless no daemon answers and there is a spool to read. Close must be called,
// unless there is an error. ctx ends the reading of the feed.
func Open(ctx context.Context, o Options) (*History, error) {
	h := &History{}
	if len(o.Names) == 0 {
		if err := h.openDaemon(ctx, &o); err != nil {
			return nil, err
		}
		return h, nil
	}
	if !o.Since.IsZero() {
		h.since = o.Since.UnixMilli()
	}
	for _, name := range o.Names {
		s, err := open(name, &o)
		if err != nil {
			h.Close()
			return nil, err
		}
		h.sources = append(h.sources, &stream{source: s})
	}
	if h.origin = o.Names[0]; h.origin == "-" {
		h.origin = "stdin"
	}
	if n := len(o.Names) - 1; n > 0 {
		h.origin += fmt.Sprintf(" and %d more", n)
	}
	h.sort()
	return h, nil
}

// SpoolError says that no daemon answers and its spool cannot be read in its
// place.
type SpoolError struct {
	Socket string // where no daemon answers
	Err    error  // of the spool directory
}

// Error returns one line.
func (e *SpoolError) Error() string {
	return fmt.Sprintf("no daemon answers at %s, and its spool cannot be read: %v", e.Socket, e.Err)
}

// Unwrap returns Err.
func (e *SpoolError) Unwrap() error { return e.Err }

// openDaemon opens the feed of the daemon, or its spool.
func (h *History) openDaemon(ctx context.Context, o *Options) error {
	f, err := openFeed(ctx, o.Socket, o.Since, o.After)
	if err == nil {
		h.sources, h.origin = []*stream{{source: f}}, "the daemon at "+o.Socket
		h.live = true
		return nil
	}
	if o.Dir == "" || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	d, dirErr := openDirectory(o.Dir, o.Since)
	if errors.Is(dirErr, fs.ErrNotExist) {
		return err
	} else if dirErr != nil {
		return &SpoolError{Socket: o.Socket, Err: dirErr}
	}
	h.sources, h.origin = []*stream{{source: d}}, "the spool in "+o.Dir
	h.note = fmt.Sprintf("no daemon answers at %s; reading its spool in %s", o.Socket, o.Dir)
	return nil
}

func open(name string, o *Options) (source, error) {
	if name == "-" {
		return &file{name: "stdin", records: NewRecords(o.Stdin)}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return openDirectory(name, o.Since)
	}
	return &file{name: name, closer: f, records: NewRecords(f)}, nil
}

// sort puts several sources in the order of their first events, if each begins
// with one that has a time.
func (h *History) sort() {
	if len(h.sources) < 2 {
		return
	}
	for _, s := range h.sources {
		if s.peek(); s.err != nil || s.event.Has&ipe.HasStamp == 0 {
			return
		}
	}
	slices.SortStableFunc(h.sources, func(a, b *stream) int { return cmp.Compare(a.event.Time, b.event.Time) })
}

func (s *stream) peek() {
	if !s.ready {
		s.err = s.source.next(&s.event)
		s.ready = true
	}
}

// Origin says for a person where the events come from.
func (h *History) Origin() string { return h.origin }

// Live reports whether the events are those of a daemon that listens now, so that
// where they end nothing has happened since.
func (h *History) Live() bool { return h.live }

// Note says in one line what the user should know of that, if there is anything.
func (h *History) Note() string { return h.note }

// Next returns the next event. The error is io.EOF behind the last one; any
// other says why one source ended too early, and Next may be called again for
// what comes behind it.
func (h *History) Next() (*Event, error) {
	for len(h.sources) > 0 {
		s := h.sources[0]
		s.peek()
		s.ready = false
		if s.err != nil {
			s.close()
			h.sources = h.sources[1:]
			if !errors.Is(s.err, io.EOF) {
				return nil, s.name(s.err)
			}
			continue
		}
		if !s.place.take(&s.event) {
			continue
		}
		h.follow.follow(&s.event, !s.begun)
		s.begun = true
		if !h.tooOld(&s.event) {
			return &s.event, nil
		}
	}
	return nil, io.EOF
}

// name says in which file an error is.
func (s *stream) name(err error) error {
	switch s := s.source.(type) {
	case *file:
		return fmt.Errorf("%s: %w", s.name, err)
	case *stored:
		return fmt.Errorf("%s: %w", s.origin, err)
	}
	return err
}

func (h *History) tooOld(ev *Event) bool {
	return h.since != 0 && ev.Has&ipe.HasStamp != 0 && ev.Time < h.since
}

// Close releases what the history holds.
func (h *History) Close() {
	for _, s := range h.sources {
		s.close()
	}
	h.sources = nil
}

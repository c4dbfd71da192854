package eventsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Options say where the events are.
type Options struct {
	// Names are files, "-" for Stdin, spool directories, and URLs of streams as
	// natsconn.ParsePlace reads them. Without any, the
	// events are those of the daemon.
	Names []string
	Stdin io.Reader

	// Wrap returns what is read in place of a file; nil: the file itself.
	Wrap func(*os.File) io.Reader

	// Closed is called when reading is over, maybe more than once; nil: nothing is.
	Closed func()

	Socket string // of the daemon's feed
	Dir    string // its spool directory, read when no daemon answers; may be empty

	// Since leaves out what happened before. It counts for what is in force
	// later. Events without a time stay. Zero: everything.
	Since time.Time

	// Until leaves out what happened then or later, for what is in force as well.
	// Events without a time stay. Zero: everything.
	Until time.Time

	// Wanted says which hosts are asked for, by their names. What does not say
	// which host it is of is none of them; only what cannot be read may be. Nil:
	// all.
	Wanted func(name []byte) bool

	// After asks the daemon for the events behind this one only. Other sources
	// give all that they have. Nil: everything.
	After *spool.Cursor
}

// Stream is a stream of events. One goroutine at a time may use it.
type Stream struct {
	since   int64           // milliseconds since 1970 UTC; 0: everything
	until   int64           // likewise
	ctx     context.Context // of reading
	closed  func()          // when reading is over; nil: nothing
	sources []*reading
	origin  string
	note    string
	live    bool

	gatherer         // of what the sources have
	list     []*Host // of the hosts, once everything is gathered
	errs     []error // that ended sources too early, to be returned
	replay           // of what was gathered
	follow   follower
}

// source yields the events of one place. The event lives until the next call;
// an error ends it, which is io.EOF where everything was read.
type source interface {
	next(*Event) error
	close()
}

// Open opens the sources. The error is that of the first that cannot be opened; of
// the daemon's socket it is that of connect(2), an [api.RefusedError] or a
// [SpoolError], unless no daemon answers and there is a spool to read. Close must
// be called, unless there is an error. ctx ends the reading
// of all sources: the events until then come out of Next, and the cause as an error.
func Open(ctx context.Context, o Options) (*Stream, error) {
	h := &Stream{ctx: ctx, closed: o.Closed}
	h.wanted = o.Wanted
	if !o.Since.IsZero() {
		h.since = o.Since.UnixMilli()
	}
	if !o.Until.IsZero() {
		h.until = o.Until.UnixMilli()
	}
	if len(o.Names) == 0 {
		if err := h.openDaemon(ctx, &o); err != nil {
			return nil, err
		}
		return h, nil
	}
	for _, name := range o.Names {
		s, err := open(ctx, name, &o)
		if err != nil {
			h.Close()
			return nil, err
		}
		h.sources = append(h.sources, s)
	}
	h.origin = h.sources[0].name // and not what may hold a password
	if n := len(o.Names) - 1; n > 0 {
		h.origin += fmt.Sprintf(" and %d more", n)
	}
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
func (h *Stream) openDaemon(ctx context.Context, o *Options) error {
	// What was in force is concluded from what came before Since, too.
	f, err := openFeed(ctx, o.Socket, time.Time{}, o.After)
	if err == nil {
		h.sources, h.origin = []*reading{{source: f, name: f.origin, ordered: true}}, "the daemon at "+o.Socket
		h.live = true
		return nil
	}
	if o.Dir == "" || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	d, dirErr := openDirectory(o.Dir, time.Time{})
	if errors.Is(dirErr, fs.ErrNotExist) {
		return err
	} else if dirErr != nil {
		return &SpoolError{Socket: o.Socket, Err: dirErr}
	}
	d.decoder.Host = []byte(host.Name()) // as its daemon says it
	h.sources, h.origin = []*reading{{source: d, name: d.origin, ordered: true}}, "the spool in "+o.Dir
	h.note = fmt.Sprintf("no daemon answers at %s; reading its spool in %s", o.Socket, o.Dir)
	return nil
}

func open(ctx context.Context, name string, o *Options) (*reading, error) {
	if natsconn.IsPlace(name) {
		s, err := openNATS(ctx, name)
		if err != nil {
			return nil, err
		}
		return &reading{source: s, name: s.name}, nil
	}
	if name == "-" {
		return &reading{source: &file{name: "stdin", records: NewRecords(o.Stdin)}, name: "stdin"}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		d, err := openDirectory(name, time.Time{})
		if err != nil {
			return nil, err
		}
		return &reading{source: d, name: name, ordered: true}, nil
	}
	var r io.Reader = f
	if o.Wrap != nil {
		r = o.Wrap(f)
	}
	return &reading{source: &file{name: name, closer: f, records: NewRecords(r)}, name: name}, nil
}

// Origin says for a person where the events come from.
func (h *Stream) Origin() string { return h.origin }

// Live reports whether the events are those of a daemon that listens now. Of which
// host it is says [Host]: it may have read an input with the events of others.
func (h *Stream) Live() bool { return h.live }

// Note says in one line what the user should know of that, if there is anything.
func (h *Stream) Note() string { return h.note }

// Hosts returns the hosts whose events come out of Next, in their order. It reads
// all sources to their end, if Next has not done so yet.
func (h *Stream) Hosts() []*Host {
	h.gather()
	return h.list
}

// Next returns the next event: host by host, and of each by time. It reads all
// sources to their end before the first one. The error is io.EOF behind the last
// event; others come before the first one and say of one source each why it ended
// too early, and Next is to be called again.
func (h *Stream) Next() (*Event, error) {
	h.gather()
	if len(h.errs) > 0 {
		err := h.errs[0]
		h.errs = h.errs[1:]
		return nil, err
	}
	for {
		ev, err := h.replay.next(&h.gatherer)
		if errors.Is(err, io.EOF) && h.late != nil {
			err, h.late = h.late, nil
		}
		if err != nil {
			return nil, err
		}
		if h.tooNew(ev) {
			continue
		}
		h.follow.annotate(ev)
		if !h.tooOld(ev) {
			return ev, nil
		}
	}
}

// gather reads all sources to their end.
func (h *Stream) gather() {
	if h.sources == nil {
		return
	}
	for _, in := range h.sources {
		for n := 1; ; n++ {
			err := in.next(&h.event)
			if (err != nil && !errors.Is(err, io.EOF) || n%1024 == 0) && h.ctx.Err() != nil {
				err = context.Cause(h.ctx)
			}
			if err == nil {
				err = h.add(in, &h.event)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				var unread *input.UnreadError
				h.blind = h.blind || errors.As(err, &unread) || h.ctx.Err() != nil
				h.errs = append(h.errs, in.named(err))
				break
			}
		}
		if h.ctx.Err() != nil {
			break // nor are the others read
		}
	}
	h.closeSources()
	var err error
	if h.list, err = h.sort(); err != nil {
		h.errs = append(h.errs, err)
	}
	if current, err := bootid.Current(); h.live && err == nil {
		markLive(h.list, current.String()) // the daemon is on this machine
	}
	h.follow.blind = h.blind
}

func (h *Stream) tooOld(ev *Event) bool {
	return h.since != 0 && ev.Has&ipe.HasStamp != 0 && ev.Time < h.since
}

func (h *Stream) tooNew(ev *Event) bool {
	return h.until != 0 && ev.Has&ipe.HasStamp != 0 && ev.Time >= h.until
}

// closeSources ends the reading.
func (h *Stream) closeSources() {
	for _, in := range h.sources {
		in.close()
	}
	h.sources = nil
	if h.closed != nil {
		h.closed()
	}
}

// Close releases what the history holds.
func (h *Stream) Close() {
	h.closeSources()
	h.sorter.close()
}

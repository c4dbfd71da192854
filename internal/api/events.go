package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/coalesce"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxBatch is how many bytes are collected before they are written although
// there is more. One event may go beyond.
const maxBatch = 32 << 10

// maxWindows bounds the memory of what a client lets count, in bytes.
const maxWindows = 256 << 10

// serveEvents is the feed.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	var q *query
	var err error
	if s.work(r.Context(), func() { q, err = parseQuery(r.URL.RawQuery, time.Now()) }) != nil {
		return // the client is gone
	}
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	user, _ := r.Context().Value(userKey{}).(uint32)
	if !s.streams.enter(user) {
		s.feed.refused.Add(1)
		answerLater(w, fmt.Sprintf("there are %d clients already; try again later", MaxClients))
		return
	}
	defer s.streams.leave(user)
	switch q.form {
	case "json":
		w.Header().Set("Content-Type", "application/x-ndjson")
	case formSpool:
		w.Header().Set("Content-Type", "application/octet-stream")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	if r.Method == http.MethodHead {
		return
	}
	st := stream{
		task:  s.options.Share.Task(fairshare.Feed),
		query: q, spool: s.options.Spool, feed: &s.feed,
		decoder: entry.Decoder{Policy: s.options.Policy, Host: s.options.host()},
		out:     w, control: http.NewResponseController(w), timeout: s.timeouts.write,
		context: format.Context{Raw: q.raw},
		host:    s.options.host,
		join:    s.options.Join, expect: s.options.Expect,
		frames: frames{policy: s.options.Policy},
	}
	if q.coalesce > 0 {
		st.windows = coalesce.New(q.coalesce, maxWindows, st.appendRepeated)
		st.windows.SetHost(st.decoder.Host)
	}
	defer st.task.Leave()
	if err := st.run(r.Context(), s.closing); err != nil {
		// The client must be able to tell this end from that of the spool.
		panic(http.ErrAbortHandler)
	}
}

// stream is one client of the feed. It is used by one goroutine.
type stream struct {
	*query
	spool   *spool.Spool
	feed    *feedCounters
	out     http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration   // of one write
	task    *fairshare.Task // left while the client, or an entry, is waited for

	reader *spool.Reader
	joiner *entry.Joiner // of reader; nil where attachments are passed on as they stand
	join   time.Duration
	expect entry.Expectation
	end    spool.Cursor // newest entry when the stream began

	decoder entry.Decoder
	event   ipe.Event
	context format.Context
	host    func() []byte
	frames  frames              // of format=spool
	windows *coalesce.Coalescer // nil: every event is sent

	buf    []byte
	events uint64       // in buf
	place  spool.Cursor // everything up to it was sent, or passed over
	given  spool.Cursor // the last event that it was given
	told   spool.Cursor // the last place that a line told
}

// run sends everything that was asked for. It returns nil when that is done,
// or when the server or the spool was closed.
func (st *stream) run(ctx, closing context.Context) error {
	stats := st.spool.Stats()
	st.end = spool.Cursor{ID: stats.ID, Seq: stats.Last}
	if err := st.seek(ctx); err != nil {
		return err
	}
	defer st.reader.Close()
	st.feed.opened.Add(1)
	if st.form == formSpool {
		st.buf = st.frames.appendHeader(st.buf, st.decoder.Host)
	}
	// The header tells the client that nothing escapes it any more.
	if err := st.flush(); err != nil {
		return err
	}
	idle, cancel := context.WithCancel(ctx)
	if !st.until.IsZero() {
		idle, cancel = context.WithDeadline(ctx, st.until)
	}
	defer cancel()
	defer context.AfterFunc(closing, cancel)()

	for done := false; !done; {
		e, err := st.next(ctx, idle)
		if err == nil {
			done, err = st.handle(ctx, e)
		} else {
			done, err = st.interrupted(ctx, err)
		}
		if err != nil {
			return err
		}
		if done {
			if err := st.closeWindows(ctx, true); err != nil {
				return err
			}
			st.tellPlace()
			st.tellEnd()
		}
		if done || len(st.buf) >= maxBatch {
			if err := st.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// next returns the next entry, or io.EOF when there is none and none is waited
// for. Before it waits, everything is sent. Meanwhile it sends what is due.
func (st *stream) next(ctx, idle context.Context) (*spool.Entry, error) {
	for {
		if err := st.closeWindows(ctx, false); err != nil {
			return nil, err
		}
		e, ok, err := st.source().TryNext()
		if ok || err != nil {
			return e, err
		}
		if !st.follow {
			return nil, io.EOF
		}
		st.tellPlace()
		if err := st.flush(); err != nil {
			return nil, err
		}
		wait, cancel := st.untilEnd(idle)
		e, err = st.source().Next(wait)
		cancel()
		st.rename()
		if !errors.Is(err, context.DeadlineExceeded) || idle.Err() != nil {
			return e, err
		}
	}
}

// source is where entries are read.
func (st *stream) source() entry.Source {
	if st.joiner != nil {
		return st.joiner
	}
	return st.reader
}

// rename asks for the name of the host again, which may have changed.
func (st *stream) rename() {
	name := st.host()
	if bytes.Equal(name, st.decoder.Host) {
		return
	}
	st.decoder.Host = name
	if st.windows != nil {
		st.windows.SetHost(name)
	}
	if st.form == formSpool {
		st.buf = appendHost(st.buf, name)
	}
}

// host returns the name of the host, nil where it is not known.
func (o *Options) host() []byte {
	if o.Host == nil {
		return nil
	}
	return o.Host()
}

// interrupted deals with an error of next. It reports true when the stream is
// complete, and returns errors that end it before.
func (st *stream) interrupted(ctx context.Context, err error) (done bool, _ error) {
	var gap *spool.GapError
	switch {
	case errors.As(err, &gap):
		st.tellGap(gap)
		return false, nil
	case errors.Is(err, io.EOF):
		return true, nil
	case (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && ctx.Err() == nil:
		// The server closes, or it is later than what is wanted: see once more
		// whether there is something.
		st.follow, st.end = false, spool.Cursor{}
		if st.joiner != nil {
			st.joiner.Hurry()
		}
		return false, nil
	}
	return false, err
}

// beyond reports whether e came after the end of a stream that does not follow.
func (st *stream) beyond(e *spool.Entry) bool {
	return e.ID == st.end.ID && e.Seq > st.end.Seq
}

// tooNew reports whether e was received later than what the client asked for. The
// clock may have been set back since, so that what comes behind e need not be.
func (st *stream) tooNew(e *spool.Entry) bool {
	return !st.until.IsZero() && e.Time >= st.until.UnixNano()
}

// wanted decodes e and reports whether the client asked for such an event.
func (st *stream) wanted(e *spool.Entry) bool {
	return !st.tooNew(e) && st.decoder.Decode(&st.event, &st.context.Identity, e) == ipe.ClassIPE && st.match.Match(&st.event)
}

// handle sends e, if it is wanted. It reports true when nothing comes after it.
func (st *stream) handle(ctx context.Context, e *spool.Entry) (done bool, err error) {
	if !st.follow && st.beyond(e) {
		return true, nil
	}
	if err := st.task.Enter(ctx); err != nil {
		return false, err
	}
	had := len(st.buf)
	// Without a match whatever it is: the client decodes.
	whole := st.form == formSpool && (st.match == nil || e.Attachment) && !st.tooNew(e)
	wanted := whole || st.wanted(e)
	if wanted && st.windows != nil {
		// Before the place moves: what is sent first must not seem to be behind e.
		counted, _, err := st.windows.Add(ctx, e, &st.event, &st.context.Identity)
		if err != nil {
			return false, err
		}
		wanted = !counted
	}
	st.place = e.Cursor()
	if wanted {
		if !whole {
			st.number()
		}
		st.append(e)
	}
	// Attachments of the last event may follow it.
	done = !st.follow && st.place == st.end && st.form != formSpool
	return done, st.spend(ctx, e, len(st.buf)-had)
}

// spend counts the work of an entry that was looked at, and formatted to so many
// bytes.
func (st *stream) spend(ctx context.Context, e *spool.Entry, formatted int) error {
	globs := st.weight * len(st.event.Path) / 128
	return st.task.Spend(ctx, fairshare.Passed(len(e.Data))+globs+fairshare.Written(formatted))
}

// tellGap says that the client missed something. It is said whatever the client
// selects: nobody knows what was lost.
func (st *stream) tellGap(g *spool.GapError) {
	st.place = st.decoder.Missed(&st.event, &st.context.Identity, g)
	if g.Known {
		st.feed.lost.Add(g.Count)
	}
	if st.form == formSpool {
		st.buf = appendGap(st.buf, g)
		st.events++
		return
	}
	st.append(nil)
}

// append adds the event, which is that of e, to what is sent next.
func (st *stream) append(e *spool.Entry) {
	if st.form == formSpool {
		st.buf = st.frames.appendEntry(st.buf, e)
		for _, a := range e.Attachments {
			st.buf = st.frames.appendEntry(st.buf, &spool.Entry{
				ID: e.ID, Seq: e.Seq, Time: e.Time, BootID: e.BootID, Type: a.Type, Data: a.Data, Attachment: true, Event: e.Seq,
			})
		}
	} else {
		st.appendLine(&st.event)
	}
	st.events++
}

// appendLine adds an event as a line, of the identity that the context has.
func (st *stream) appendLine(ev *ipe.Event) {
	if st.cursor {
		st.told = st.resume()
		st.buf = append(st.told.AppendTo(st.buf), ' ')
	}
	st.buf = st.format(st.buf, ev, &st.context)
}

// number says which event the client was given before, if it is given only some.
func (st *stream) number() {
	if st.match == nil {
		return
	}
	st.context.Behind(uint64(st.given.ID), st.given.Seq)
	st.given = spool.Cursor{ID: spool.ID(st.context.Spool), Seq: st.context.Seq}
}

// tellEnd says that the stream is complete, where the form has a word for that.
func (st *stream) tellEnd() {
	if st.form == formSpool {
		st.buf = appendEnd(st.buf, st.place)
	}
}

// tellPlace says how far the stream is where the last line did not. It is called
// when there is nothing more.
func (st *stream) tellPlace() {
	if st.place == (spool.Cursor{}) {
		st.place = st.end // nothing was read, so there was nothing up to there
	}
	if place := st.resume(); st.cursor && st.told != place {
		st.buf = append(place.AppendTo(st.buf), '\n')
		st.told = place
	}
}

// flush gives what was collected to the kernel.
func (st *stream) flush() error {
	st.task.Leave()
	if err := st.control.SetWriteDeadline(time.Now().Add(st.timeout)); err != nil {
		return err
	}
	if _, err := st.out.Write(st.buf); err != nil {
		return err
	}
	if st.windows != nil {
		st.windows.Commit()
	}
	st.feed.sent.Add(st.events)
	st.buf, st.events = st.buf[:0], 0
	if cap(st.buf) > 4*maxBatch {
		st.buf = nil // one event was huge
	}
	return st.control.Flush()
}

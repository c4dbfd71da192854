package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// oneStream takes the URL of a stream, or nothing.
func oneStream(_ *cobra.Command, arguments []string) error {
	switch {
	case len(arguments) > 1:
		return usageError{errors.New("more than one argument: there may be one stream")}
	case len(arguments) == 1 && !natsconn.IsPlace(arguments[0]):
		return usageError{fmt.Errorf("%q is no stream; write nats://HOST:PORT/STREAM, or report and decode for files", arguments[0])}
	}
	return nil
}

// streamTail copies a stream to out.
type streamTail struct {
	place  *natsconn.Place
	from   natsconn.From
	until  time.Time // zero: no end
	last   int       // of what was there, print only so many; -1: all
	follow bool

	match  *match.Matcher
	wanted func(host []byte) bool // nil: every host

	out    *bufio.Writer
	stderr io.Writer
	lines  eventLines
	parser format.Parser
	event  ipe.Event
	held   [][]byte // lines that may be among the last
	other  uint64   // messages that are no event
}

// ofStream prints the events of a stream.
func (o *tailOptions) ofStream(ctx context.Context, cmd *cobra.Command, name string, parameters url.Values) error {
	place, err := natsconn.ParsePlace(name)
	if err != nil {
		return usageError{err}
	}
	t := streamTail{
		place: place, follow: parameters.Get("follow") == "true", last: -1,
		out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), stderr: cmd.ErrOrStderr(),
		lines: newEventLines(cmd, &o.lineOptions, o.json),
	}
	if t.match, err = o.matcher(io.Discard); err != nil { // it has warned already
		return err
	}
	if cmd.Flags().Changed("host") {
		if t.wanted, err = hostGlob(o.host); err != nil {
			return err
		}
	}
	t.from.Since, _ = time.Parse(time.RFC3339Nano, parameters.Get("since"))
	t.until, _ = time.Parse(time.RFC3339Nano, parameters.Get("until"))
	if n, err := strconv.Atoi(parameters.Get("last")); err == nil {
		t.last = n
	}
	return t.run(ctx)
}

// run prints until the stream ends, or with follow until ctx does.
func (t *streamTail) run(ctx context.Context) error {
	if !t.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.until)
		defer cancel()
		if !time.Now().Before(t.until) { // what is there may be older
			ctx = context.WithoutCancel(ctx)
		}
	}
	reader, err := natsconn.NewReader(ctx, t.place, t.from, t.follow)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for pause := minPause; ; {
		var broken, failed error
		if reader != nil {
			broken, failed = t.copy(ctx, reader)
			reader.Close()
			if broken == nil || failed != nil || ctx.Err() != nil {
				break
			}
			pause = minPause
			if !t.follow {
				return broken
			}
			fmt.Fprintf(t.stderr, "ipe-auditd: %v; waiting for it to come back\n", broken)
		}
		select {
		case <-ctx.Done():
			return t.end(nil)
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
		if reader, err = natsconn.NewReader(ctx, t.place, t.from, true); err == nil {
			fmt.Fprintf(t.stderr, "ipe-auditd: %s is back; going on after message %d\n", t.place, t.from.After)
		}
	}
	return t.end(nil)
}

// end prints what is held back, and says what could not be read.
func (t *streamTail) end(err error) error {
	t.release()
	err = errors.Join(err, t.out.Flush())
	if t.other > 0 && err == nil {
		err = fmt.Errorf("%d messages of %s are no events in JSON; a sink of type nats has to write format json", t.other, t.place)
	}
	return err
}

// copy prints events until the reader ends. It returns how that ended, nil if as it
// should, and the error of printing.
func (t *streamTail) copy(ctx context.Context, r *natsconn.Reader) (broken, failed error) {
	for {
		if r.CaughtUp() {
			t.release()
			if err := t.out.Flush(); err != nil {
				return nil, err
			}
		}
		m, err := r.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return err, nil
		case !t.until.IsZero() && !m.Received.Before(t.until):
			return nil, nil
		}
		t.from.After = m.Number
		t.print(m.Data)
	}
}

// print prints one event, if it is wanted.
func (t *streamTail) print(data []byte) {
	c := &t.lines.context
	if t.parser.Parse(&t.event, &c.Identity, data) != nil {
		t.other++
		return
	}
	if t.wanted != nil && !t.wanted(c.Host) || !t.match.Match(&t.event) {
		return
	}
	var line []byte
	if !t.lines.json {
		line = append(text.AppendQuoted(line, c.Host), ' ')
	}
	line = append(line, t.lines.of(&t.event)...)
	if t.last < 0 {
		_, _ = t.out.Write(line) // the error stays and comes back from Flush
		return
	}
	if t.held = append(t.held, line); len(t.held) > 2*t.last+100 {
		t.held = slices.Delete(t.held, 0, len(t.held)-t.last)
	}
}

// release prints what was held back: nothing newer is among what was there.
func (t *streamTail) release() {
	for _, line := range t.held[max(0, len(t.held)-max(t.last, 0)):] {
		_, _ = t.out.Write(line)
	}
	t.held, t.last = nil, -1
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// tailOptions are the flags of tail.
type tailOptions struct {
	clientOptions
	lineOptions
	json     bool
	since    string
	until    string
	lines    int
	follow   bool
	noFollow bool
	full     bool
	host     string

	cursorFile string
	coalesce   string

	filterOptions
}

// defaultLines is how many events of the past a tail that follows begins with.
const defaultLines = 10

func newTail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [-f | --no-follow] [-n N] [--since T] [--until T] [-o json|text] [nats://HOST:PORT/STREAM]",
		Short: "Show what the running daemon records",
		Long: `tail prints the events of the running daemon, one a line, and goes on with those
to come until it is interrupted. When the daemon restarts it goes on where it
was. It needs the right to connect to the daemon's socket, and no other.

It begins with the last 10 events; with --since, --until or --no-follow, with all
that are kept. Of several filters all must hold, of several values of one filter any.

With nats:// or tls://HOST:PORT/STREAM it prints the events of a stream instead, which
may be those of many hosts; text then begins with the name of the host.`,
		Example: `  ipe-auditd tail --verdict denied
  ipe-auditd tail --since 10m --no-follow --path '/usr/**'
  ipe-auditd tail --json --event enforcement,policy_load | jq .
  ipe-auditd tail --host 'web*' tls://nats.example.com/IPE`,
		Args: oneStream,
		RunE: func(cmd *cobra.Command, places []string) error {
			parameters, err := o.parameters(cmd, time.Now())
			if err != nil {
				return err
			}
			if o.cursorFile != "" && len(places) > 0 {
				return usageError{errors.New("--cursor-file keeps a place in the feed of a daemon, and none in a stream: leave it out")}
			}
			if o.coalesce != "" && len(places) > 0 {
				return usageError{errors.New("--coalesce is for the feed of a daemon, which counts, and not for a stream: leave it out")}
			}
			if err := o.resume(cmd, parameters); err != nil {
				return err
			}
			if err := api.Check(parameters); err != nil {
				for parameter, flag := range map[string]string{"last=": "--lines", "coalesce ": "--coalesce"} {
					if rest, ok := strings.CutPrefix(err.Error(), parameter); ok {
						return usageError{fmt.Errorf("%s %s", flag, rest)}
					}
				}
				return usageError{o.named(err)}
			}
			if len(places) == 0 && cmd.Flags().Changed("host") {
				return usageError{errors.New("--host selects among the hosts of a stream: name one, as nats://HOST:PORT/STREAM")}
			}
			o.warnUnknown(cmd.ErrOrStderr())
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if len(places) == 1 {
				return o.ofStream(ctx, cmd, places[0], parameters)
			}
			socket, _, err := o.places()
			if err != nil {
				return err
			}
			t := tail{
				client: api.NewClient(socket), socket: socket, parameters: parameters, follow: parameters.Get("follow") == "true",
				out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), stderr: cmd.ErrOrStderr(),
				json: o.json, lines: newEventLines(cmd, &o.lineOptions, false), cursorFile: o.cursorFile,
			}
			if !o.full {
				t.lines.width = func() int { return terminalWidth(cmd.OutOrStdout()) }
			}
			return t.run(ctx)
		},
	}
	flags := cmd.Flags()
	addJSON(cmd, &o.json, "print a JSON object for each event")
	flags.StringVar(&o.since, "since", "", "begin with what was received since this `TIME`: 10m, \"1 hour ago\", yesterday, \"2026-11-23 19:33\", ...")
	flags.StringVar(&o.until, "until", "", "end with what was received before this `TIME`")
	flags.IntVarP(&o.lines, "lines", "n", 0, "begin with the last `N` events")
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on with the events to come (the default)")
	flags.BoolVar(&o.noFollow, "no-follow", false, "end with the newest event there is")
	flags.StringVar(&o.cursorFile, "cursor-file", "", "go on where the last run with this `FILE` ended, and keep the place in it; the first run begins with what comes from now on")
	flags.StringVar(&o.coalesce, "coalesce", "", "print the first access of a kind, and count those like it for this `SPAN`, as 10s: one line then says how many there were")
	flags.BoolVar(&o.full, "full", false, "do not cut lines to the width of the terminal")
	flags.StringVar(&o.host, "host", "", "of a stream only hosts whose name matches `GLOB`, as web*")
	o.lineOptions.addTo(cmd)
	o.filterOptions.addTo(cmd)
	o.clientOptions.addTo(cmd)
	return cmd
}

// parameters returns what is asked of the feed. Times are read here, in the zone of
// whoever asks.
func (o *tailOptions) parameters(cmd *cobra.Command, now time.Time) (url.Values, error) {
	since, until, err := window(cmd, o.since, o.until, now)
	switch {
	case err != nil:
		return nil, err
	case o.follow && o.noFollow:
		return nil, usageError{errors.New("--follow and --no-follow contradict each other: leave out one")}
	}
	follow := !o.noFollow && (until.IsZero() || until.After(now))
	p := url.Values{"cursor": {"true"}, "follow": {strconv.FormatBool(follow)}}
	for key, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			p.Set(key, t.UTC().Format(time.RFC3339Nano))
		}
	}
	switch {
	case cmd.Flags().Changed("lines"):
		p.Set("last", strconv.Itoa(o.lines))
	case since.IsZero() && follow:
		p.Set("last", strconv.Itoa(defaultLines))
	}
	if cmd.Flags().Changed("coalesce") {
		p.Set("coalesce", o.coalesce)
	}
	for _, f := range o.filters() {
		if *f.values != nil {
			p[f.parameter] = *f.values
		}
	}
	return p, nil
}

// maxCursorFile bounds what is read of a file with a place, in bytes.
const maxCursorFile = 256

// resume lets the parameters begin behind the place in --cursor-file. Without one
// there yet they begin with what comes from now on, unless something else was asked
// for: whoever acts on events is not to act on all of the past.
func (o *tailOptions) resume(cmd *cobra.Command, p url.Values) error {
	if o.cursorFile == "" {
		return nil
	}
	body, err := atomicfile.Read(atomicfile.OS{}, o.cursorFile, maxCursorFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if p.Get("since") == "" && !cmd.Flags().Changed("lines") {
			p.Set("last", "0")
		}
		return nil
	case err != nil:
		return err
	}
	place := string(bytes.TrimSpace(body))
	if _, err := spool.ParseCursor(place); err != nil {
		return fmt.Errorf("%s holds no place in the feed: %w; remove it to begin anew", text.Name(o.cursorFile), err)
	}
	p.Del("since")
	p.Del("last")
	p.Set("after", place)
	return nil
}

// tail copies the feed to out.
type tail struct {
	client     *api.Client
	socket     string
	parameters url.Values
	follow     bool
	out        *bufio.Writer
	stderr     io.Writer

	json   bool // print what the feed says
	lines  eventLines
	parser format.Parser
	event  ipe.Event

	cursorFile string // where the place is kept; empty: nowhere
	kept       string // the place in it

	place string        // up to which everything was printed; empty when that is not known
	pause time.Duration // before the next attempt to reach the daemon
}

// The pauses while a tail waits for a daemon to come back.
const (
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// run prints until the stream ends, or with follow until ctx does.
func (t *tail) run(ctx context.Context) error {
	stream, err := t.client.Events(ctx, t.parameters)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return noAnswer(t.socket, err)
	}
	t.pause = minPause
	for {
		broken, err := t.copy(stream)
		stream.Close()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case broken == nil && t.over(time.Now()):
			return nil
		case !t.follow && broken != nil:
			return fmt.Errorf("the daemon at %s broke off: %w", t.socket, broken)
		case !t.follow:
			return nil
		}
		fmt.Fprintln(t.stderr, "ipe-auditd: the daemon has closed the feed; waiting for it to come back")
		if stream, err = t.reconnect(ctx); stream == nil {
			return err
		}
		if t.place != "" {
			fmt.Fprintf(t.stderr, "ipe-auditd: the daemon is back; going on after %s\n", t.place)
		} else {
			fmt.Fprintln(t.stderr, "ipe-auditd: the daemon is back")
		}
	}
}

// over reports whether nothing can come that was received before --until.
func (t *tail) over(now time.Time) bool {
	until, err := time.Parse(time.RFC3339Nano, t.parameters.Get("until"))
	return err == nil && !now.Before(until)
}

// reconnect opens the stream again behind what was printed. It returns nil
// without an error when ctx ends.
func (t *tail) reconnect(ctx context.Context) (io.ReadCloser, error) {
	if t.place != "" {
		t.parameters.Del("since")
		t.parameters.Del("last")
		t.parameters.Set("after", t.place)
	}
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(t.pause):
		}
		t.pause = min(2*t.pause, maxPause)
		stream, err := t.client.Events(ctx, t.parameters)
		if err == nil {
			return stream, nil
		}
		var refused *api.RefusedError
		if errors.As(err, &refused) && refused.Code != http.StatusServiceUnavailable {
			return nil, noAnswer(t.socket, err)
		}
	}
}

// copy prints whole lines until the stream ends. It returns how that ended, nil
// if as it should, and the error of printing.
func (t *tail) copy(stream io.Reader) (broken, err error) {
	r := bufio.NewReaderSize(stream, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err, t.keep() // half a line comes again as a whole
		}
		t.pause = minPause
		place, event, found := bytes.Cut(line, []byte(" "))
		if found {
			t.print(event)
		}
		t.place = string(bytes.TrimSuffix(place, []byte("\n")))
		if r.Buffered() == 0 {
			if err := t.keep(); err != nil {
				return nil, err
			}
		}
	}
}

// keep gives all that was printed to the output, and then notes the place.
func (t *tail) keep() error {
	if err := t.out.Flush(); err != nil {
		return err
	}
	if t.cursorFile == "" || t.place == "" || t.place == t.kept {
		return nil
	}
	t.kept = t.place
	return atomicfile.Write(atomicfile.OS{}, t.cursorFile, []byte(t.place+"\n"), 0o644, false)
}

// print prints an event of the feed. One that this release cannot read stays JSON.
func (t *tail) print(line []byte) {
	if !t.json && t.parser.Parse(&t.event, &t.lines.context.Identity, line) == nil {
		line = t.lines.of(&t.event)
	}
	_, _ = t.out.Write(line) // the error stays and comes back from Flush
}

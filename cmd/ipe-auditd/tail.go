package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// tailOptions are the flags of tail.
type tailOptions struct {
	json     bool
	since    string
	lines    int
	noFollow bool
	full     bool
	socket   string

	events, verdicts, ops, hooks, paths []string
}

// defaultLines is how many events of the past a tail that follows begins with.
const defaultLines = 10

func newTail() *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [--json] [--since T] [-n N] [--no-follow]",
		Short: "Show what the running daemon records",
		Long: `tail prints the events of the running daemon, one a line, and goes on with those
to come until it is interrupted. When the daemon restarts it goes on where it
was. It needs the right to connect to the daemon's socket, and no other.

It begins with the last 10 events; with --since or --no-follow, with all that
are kept. Of several filters all must hold, of several values of one filter any.`,
		Example: `  ipe-auditd tail --verdict denied
  ipe-auditd tail --since 10m --no-follow --path '/usr/**'
  ipe-auditd tail --json --event enforcement,policy_load | jq .`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			parameters, err := o.parameters(cmd, time.Now())
			if err != nil {
				return err
			}
			if err := api.Check(parameters); err != nil {
				return usageError{err}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			socket := socketOr(o.socket)
			t := tail{
				client: api.NewClient(socket), socket: socket, parameters: parameters, follow: !o.noFollow,
				out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), stderr: cmd.ErrOrStderr(),
			}
			if !o.json && !o.full {
				t.width = func() int { return terminalWidth(cmd.OutOrStdout()) }
			}
			return t.run(ctx)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.json, "json", false, "print a JSON object for each event")
	flags.StringVar(&o.since, "since", "", "begin with what was received since this `TIME`: 10m, \"1 hour ago\", yesterday, \"2026-11-23 19:33\", ...")
	flags.IntVarP(&o.lines, "lines", "n", 0, "begin with the last `N` events")
	flags.BoolVar(&o.noFollow, "no-follow", false, "end with the newest event there is")
	flags.BoolVar(&o.full, "full", false, "do not cut lines to the width of the terminal")
	flags.StringVar(&o.socket, "socket", "", "ask the daemon at this `PATH` instead of the one configured")
	flags.StringArrayVar(&o.events, "event", nil, "only these `KINDS`: access, policy_load, enforcement, lost, ...")
	flags.StringArrayVar(&o.verdicts, "verdict", nil, "only accesses with these `VERDICTS`: denied, would_deny, allowed, unknown")
	flags.StringArrayVar(&o.ops, "op", nil, "only accesses by these `OPERATIONS`: EXECUTE, KMODULE, ...")
	flags.StringArrayVar(&o.hooks, "hook", nil, "only accesses at these `HOOKS`: BPRM_CHECK, MMAP, ...")
	flags.StringArrayVar(&o.paths, "path", nil, "only accesses to paths like these `GLOBS`: '/usr/**'")
	return cmd
}

// parameters returns what is asked of the feed. Times are read here, in the zone of
// whoever asks.
func (o *tailOptions) parameters(cmd *cobra.Command, now time.Time) (url.Values, error) {
	p := url.Values{"cursor": {"true"}, "follow": {strconv.FormatBool(!o.noFollow)}}
	switch {
	case o.json:
		p.Set("format", "json")
	case wantColour(cmd.OutOrStdout()):
		p.Set("format", "colour")
	default:
		p.Set("format", "text")
	}
	since := cmd.Flags().Changed("since")
	if since {
		t, err := units.ParseSince(o.since, now)
		if err != nil {
			return nil, usageError{fmt.Errorf("--since %w", err)}
		}
		p.Set("since", t.UTC().Format(time.RFC3339Nano))
	}
	switch {
	case cmd.Flags().Changed("lines"):
		p.Set("last", strconv.Itoa(o.lines))
	case !since && !o.noFollow:
		p.Set("last", strconv.Itoa(defaultLines))
	}
	for key, values := range map[string][]string{
		"events": o.events, "verdicts": o.verdicts, "ops": o.ops, "hooks": o.hooks, "paths": o.paths,
	} {
		if values != nil {
			p[key] = values
		}
	}
	return p, nil
}

// tail copies the feed to out.
type tail struct {
	client     *api.Client
	socket     string
	parameters url.Values
	follow     bool
	out        *bufio.Writer
	width      func() int // to cut lines to, 0 not to; nil: never
	stderr     io.Writer

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
			return err, t.out.Flush() // half a line comes again as a whole
		}
		t.pause = minPause
		place, event, found := bytes.Cut(line, []byte(" "))
		if found {
			t.print(event)
		}
		if r.Buffered() == 0 {
			if err := t.out.Flush(); err != nil {
				return nil, err
			}
		}
		t.place = string(bytes.TrimSuffix(place, []byte("\n")))
	}
}

func (t *tail) print(line []byte) {
	if t.width != nil {
		line = fit(line, t.width())
	}
	_, _ = t.out.Write(line) // the error stays and comes back from Flush
}

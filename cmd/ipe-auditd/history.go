package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// memoryLimit is where the garbage collector begins to work harder, in bytes: by
// itself it lets the heap grow to twice of what is used. The commands promise to
// take less than 256 MiB.
const memoryLimit = 180 << 20

// pastOptions are the flags of the commands that read what happened before.
type pastOptions struct {
	clientOptions
	zoneOption
	since string
	until string
	host  string

	end time.Time // what --until asks for; zero: now

	after *spool.Cursor // all that is of interest comes behind it
}

func (o *pastOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.since, "since", "", "leave out what is older than this `TIME`: 10m, \"1 hour ago\", yesterday, \"2026-11-23 19:33\", ...")
	cmd.Flags().StringVar(&o.until, "until", "", "leave out what is not older than this `TIME`: the answer is that of then")
	o.addHostTo(cmd)
	o.zoneOption.addTo(cmd)
	o.clientOptions.addTo(cmd)
}

func (o *pastOptions) addHostTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.host, "host", "", "only of hosts whose name matches `GLOB`, as web*; what names no host does not match")
}

// measure returns what measures objects, with times as the flags ask for.
func (z *zoneOption) measure() func(fileprops.Object) fileprops.Result {
	m := fileprops.New()
	m.Zone = z.zone()
	return m.Measure
}

// wanted returns which hosts --host asks for, nil for all.
func (o *pastOptions) wanted(cmd *cobra.Command) (func([]byte) bool, error) {
	if !cmd.Flags().Changed("host") {
		return nil, nil
	}
	return hostGlob(o.host)
}

// hostGlob returns which names of hosts a glob matches.
func hostGlob(glob string) (func([]byte) bool, error) {
	if _, err := path.Match(glob, ""); err != nil {
		return nil, usageError{fmt.Errorf("--host %q is not a valid glob: it may have *, ? and sets in []", glob)}
	}
	return func(name []byte) bool {
		ok, _ := path.Match(glob, string(name))
		return ok && len(name) > 0
	}, nil
}

// begin returns what --since asks for, the zero time when that is nothing. It
// also reads --until.
func (o *pastOptions) begin(cmd *cobra.Command, now time.Time) (time.Time, error) {
	since, until, err := window(cmd, o.since, o.until, now)
	o.end = until
	return since, err
}

// window returns what --since and --until of cmd ask for, the zero time when that
// is nothing.
func window(cmd *cobra.Command, from, to string, now time.Time) (since, until time.Time, err error) {
	if cmd.Flags().Changed("since") {
		if since, err = units.ParseSince(from, now); err != nil {
			return since, until, usageError{fmt.Errorf("--since %w", err)}
		}
	}
	if cmd.Flags().Changed("until") {
		if until, err = units.ParseTime(to, now); err != nil {
			return since, until, usageError{fmt.Errorf("--until %w", err)}
		}
		if !until.After(since) {
			return since, until, usageError{fmt.Errorf("--until %s is not later than --since %s", text.Quote(to), text.Quote(from))}
		}
	}
	return since, until, nil
}

// open opens the events from that time on: those in names, or without any those
// of the daemon, or of its spool when it does not run. The first SIGINT ends the
// reading, and what was found is printed.
func (o *pastOptions) open(cmd *cobra.Command, names []string, since time.Time) (*eventsource.Stream, error) {
	wanted, err := o.wanted(cmd)
	if err != nil {
		return nil, err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	socket, dir, err := o.places()
	if err != nil {
		return nil, err
	}
	r, err := newReading(cmd, names, false)
	if err != nil {
		return nil, err
	}
	h, err := eventsource.Open(r.ctx, eventsource.Options{
		Names: names, Stdin: r.wrapAny(cmd.InOrStdin()), Wrap: r.wrap, Closed: r.Close, Since: since, Until: o.end, Wanted: wanted,
		Socket: socket, Dir: dir, After: o.after,
	})
	if err != nil {
		r.Close()
	}
	var both *eventsource.SpoolError
	switch {
	case err == nil:
	case len(names) > 0, errors.As(err, &both):
		return nil, err
	default:
		return nil, noAnswer(socket, err)
	}
	if note := h.Note(); note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "ipe-auditd:", note)
	}
	if wanted != nil && len(h.Hosts()) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "ipe-auditd: --host %q: no event names a host that matches\n", o.host)
	}
	if len(names) == 0 && !h.Live() {
		names = []string{dir}
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			continue
		}
		if err := statedir.CheckOwner(name, statedir.DaemonUID(name)); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "ipe-auditd: warning: what this spool says may be forged: %v\n", err)
		}
	}
	return h, nil
}

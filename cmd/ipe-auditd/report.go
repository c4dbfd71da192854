package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/packages"
	"github.com/ipe-auditd/ipe-auditd/internal/report"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// pipeHeight is how many lines a report has that no terminal shows.
const pipeHeight = 50

// reportOptions are the flags of report.
type reportOptions struct {
	pastOptions
	filterOptions
	packagesOption
	json, all, full bool
	by              string
	fresh           string
	html            string
	limit           int
}

func newReport() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report [--since T] [--until T] [filters] [--by KEY] [--new T] [-n N | --all] [-o json|text] [--html FILE] [FILE...]",
		Short: "Sum up what was denied, and by which policy",
		Long: `report prints the timeline of policies, modes and losses, and below it the
distinct denials and would-be denials, the worst first: how often, since when,
by whom, and by which rule of which policy. With --by they are summed up by unit,
user, exe, container, path, rule or host; with --new those of objects that were not
denied before that time are marked.

It asks the running daemon, and reads its spool directory when no daemon runs.
With FILE it reads that: a spool directory, or whatever decode reads, or the
JSON lines of a file sink, also compressed; or a stream of a nats sink, as
nats://HOST:PORT/STREAM or tls://HOST:PORT/STREAM. It is one screen for a person,
unless -n or --all asks for more; with --json it is complete. With --html it is
a page to hand on, with charts, that needs nothing but itself.

The events may be of any number of hosts, in any order, and be there more than
once: each is counted once, and every host by itself. What does not fit in memory
goes to a temporary file in TMPDIR, or /var/tmp.`,
		Example: `  ipe-auditd report --since 7d --new 24h
  ipe-auditd report --verdict denied --by unit
  ipe-auditd report --since 7d --html report.html
  ipe-auditd report --json /var/log/ipe-auditd/events.json* | jq '.denials[0]'
  ausearch --raw | ipe-auditd report -`,
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd, names) },
	}
	o.pastOptions.addTo(cmd)
	o.filterOptions.addTo(cmd)
	o.packagesOption.addTo(cmd)
	flags := cmd.Flags()
	flags.Var(newChoice(&o.by, tally.Dimensions()...), "by", "sum denials up by this `KEY`: unit, user, exe, container, path, rule, host")
	flags.StringVar(&o.fresh, "new", "", "mark denials of objects that were not denied before this `TIME`, such as 24h")
	flags.IntVarP(&o.limit, "limit", "n", 0, "show the first `N` denials")
	flags.BoolVar(&o.all, "all", false, "show everything, however long that is")
	flags.BoolVar(&o.full, "full", false, "do not fit lines to the width of the terminal")
	flags.StringVar(&o.html, "html", "", "write a page of HTML to `FILE`, - for standard output")
	addJSON(cmd, &o.json, "print one JSON object with everything")
	return cmd
}

// run prints what the events in names come to.
func (o *reportOptions) run(cmd *cobra.Command, names []string) error {
	now := time.Now()
	since, err := o.begin(cmd, now)
	if err != nil {
		return err
	}
	r := report.Report{By: o.by, Limit: o.limit, All: o.all}
	switch {
	case o.limit < 0 || o.limit == 0 && cmd.Flags().Changed("limit"):
		return usageError{fmt.Errorf("--limit %d: want a number from 1", o.limit)}
	case o.limit > 0 && o.all:
		return usageError{errors.New("--limit and --all contradict each other: leave out one")}
	}
	if cmd.Flags().Changed("new") {
		t, err := units.ParseSince(o.fresh, now)
		if err != nil {
			return usageError{fmt.Errorf("--new %w", err)}
		}
		r.NewSince = t.UnixMilli()
	}
	if err := o.choose(cmd, &r); err != nil {
		return err
	}
	if o.html != "" && o.json {
		return usageError{errors.New("--html writes a page and --json an object: run report once for each")}
	}
	h, err := o.open(cmd, names, time.Time{}) // what was before tells what was in force
	if err != nil {
		return err
	}
	defer h.Close()
	var page *htmlFile
	if o.html != "" {
		if page, err = openHTML(o.html, cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	r.Origin, r.Several = h.Origin(), len(h.Hosts()) > 1
	if !since.IsZero() {
		r.Since = since.UnixMilli()
	}
	failed := readAll(h, r.Add, r.Fail)
	var owners packages.Owners
	defer owners.Close()
	if !r.Several && (len(h.Hosts()) == 0 || !h.Hosts()[0].Elsewhere(host.Name())) {
		r.Package = o.ask(&owners)
	}
	out := cmd.OutOrStdout()
	switch {
	case page != nil:
		err = page.write(&r, newPage(out, h, o.zone(), now, o.full), otherHosts(h.Hosts()))
	case o.json:
		_, err = out.Write(r.AppendJSON(nil))
	default:
		p := newPage(out, h, o.zone(), now, o.full)
		r.WriteTo(p)
		_, err = out.Write(p.Bytes())
	}
	return errors.Join(failed, err)
}

// choose says which events count.
func (o *reportOptions) choose(cmd *cobra.Command, r *report.Report) error {
	matcher, err := o.filterOptions.matcher(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if matcher != nil {
		r.Match = func(ev *eventsource.Event) bool { return matcher.Match(&ev.Event) }
	}
	if o.events != nil || o.match != nil {
		kinds := filterOptions{events: o.events, match: o.match}
		shown, err := kinds.matcher(io.Discard)
		if err != nil {
			return err
		}
		r.Kinds = shown.Reaches
	}
	return nil
}

// newPage returns a page for out, where users have names if all events are of this
// host.
func newPage(out io.Writer, h *eventsource.Stream, zone *time.Location, now time.Time, full bool) *text.Page {
	p := &text.Page{Zone: zone, Now: now.UnixMilli(), Width: terminalWidth(out), Height: terminalHeight(out, pipeHeight)}
	if full {
		p.Width = 0
	}
	if hosts := h.Hosts(); len(hosts) == 1 {
		users := newUserNames()
		p.User = users.on(hosts[0].Name)
	}
	return p
}

// readAll gives every event to add, and every error that ended a source too
// early to fail. It returns these errors.
func readAll(h *eventsource.Stream, add func(*eventsource.Event), fail func(error)) error {
	var failed error
	for {
		ev, err := h.Next()
		switch {
		case errors.Is(err, io.EOF):
			return failed
		case err != nil:
			fail(err)
			failed = errors.Join(failed, err)
		default:
			add(ev)
		}
	}
}

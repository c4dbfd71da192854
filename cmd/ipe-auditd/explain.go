package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/explain"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/packages"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	pastOptions
	lineOptions
	filterOptions
	packagesOption
	last int
	json bool
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [last | SEQ | SPOOL:SEQ] [filters] [-n N] [-o json|text] [FILE...]",
		Short: "Say in words what one event means",
		Long: `explain says of an event what happened, which rule decided and where it stands in
the policy, why the rules before it did not match, and what would allow it.

The event is called by the id at the end of its line in tail, decode and report:
SPOOL:SEQ, or SEQ alone in the newest spool. last is the newest one; with filters
the newest that matches, and with -n as many. Without any of these the records on
stdin are explained, in any form that decode reads.

The event comes from the running daemon, from its spool directory when no daemon
runs, or from FILE. The text of the policy is read from securityfs. The object
is measured now, on this host; what cannot be known is said to be unknown.`,
		Example: `  ipe-auditd explain last
  ipe-auditd explain 5f1c9a0277d8e3b4:9
  ipe-auditd explain --path '/opt/**' --verdict denied -n 3
  journalctl -o export -n 1 _TRANSPORT=audit | ipe-auditd explain`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	addJSON(cmd, &o.json, "print a JSON object for each event")
	cmd.Flags().IntVarP(&o.last, "lines", "n", 1, "explain the last `N` events that match")
	o.filterOptions.addTo(cmd)
	o.addHostTo(cmd)
	o.packagesOption.addTo(cmd)
	o.lineOptions.addTo(cmd)
	o.clientOptions.addTo(cmd)
	return cmd
}

// run explains what args ask for.
func (o *explainOptions) run(cmd *cobra.Command, args []string) error {
	matcher, err := o.matcher(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	finder := explain.Finder{N: o.last}
	if matcher != nil {
		finder.Match = matcher.Match
	}
	chosen := matcher != nil || cmd.Flags().Changed("lines")
	names := args
	switch {
	case o.last < 1:
		return usageError{fmt.Errorf("--lines %d: want a number from 1", o.last)}
	case len(args) == 0 && !chosen:
		names = []string{"-"}
	case len(args) == 0:
		finder.ID.Last = true
	default:
		finder.ID, err = explain.ParseID(args[0])
		switch _, absent := os.Stat(args[0]); {
		case err == nil:
			names = args[1:]
		case chosen && (absent == nil || args[0] == "-" || natsconn.IsPlace(args[0])):
			finder.ID.Last = true
		default:
			return usageError{fmt.Errorf("%s is %w; write SPOOL:SEQ, as shown at the end of a line, or last", text.Quote(args[0]), err)}
		}
	}
	if at, ok := finder.ID.Cursor(); ok {
		o.after = &spool.Cursor{ID: at.ID, Seq: at.Seq - 1}
	}
	h, err := o.open(cmd, names, time.Time{})
	if err != nil {
		return err
	}
	defer h.Close()
	var owners packages.Owners
	defer owners.Close()
	e := explainer{
		Explainer: explain.Explainer{
			Measure: o.lineOptions.measure(), Securityfs: &host.Securityfs{Root: "/sys"}, Package: o.ask(&owners),
		},
		host: host.Name(), json: o.json, out: cmd.OutOrStdout(), lines: newEventLines(cmd, &o.lineOptions, false),
	}
	if len(args) == 0 && !chosen {
		return e.all(h)
	}
	return e.found(h, &finder)
}

// explainer explains events of the past.
type explainer struct {
	explain.Explainer
	host  string // the name of this one
	json  bool
	out   io.Writer
	lines eventLines
	n     int // how many were explained
}

// all explains every event.
func (e *explainer) all(h *eventsource.Stream) error {
	var broken error
	failed := readAll(h, func(ev *eventsource.Event) {
		if broken == nil {
			broken = e.explain(ev)
		}
	}, func(error) {})
	if broken == nil && failed == nil && e.n == 0 {
		return errors.New("there is no record of IPE in stdin")
	}
	return errors.Join(failed, broken)
}

// found explains the events that the finder picks.
func (e *explainer) found(h *eventsource.Stream, finder *explain.Finder) error {
	failed := readAll(h, finder.Add, func(error) {})
	lines, err := finder.Found(h.Origin(), h.Hosts())
	if err != nil {
		return errors.Join(failed, err)
	}
	var parser format.Parser
	for _, line := range lines {
		var ev eventsource.Event
		var id format.Identity
		if err := parser.Parse(&ev.Event, &id, line); err != nil {
			return err
		}
		ev.At = spool.Cursor{ID: spool.ID(id.Spool), Seq: id.Seq}
		ev.Host, ev.BootID = id.Host, id.BootID
		if err := e.explain(&ev); err != nil {
			return err
		}
	}
	if !finder.ID.Last && finder.ID.Serial == 0 {
		return nil // whatever could not be read, the event is there
	}
	return failed
}

// explain prints one explanation.
func (e *explainer) explain(ev *eventsource.Event) error {
	explainer := e.Explainer
	explainer.User = e.lines.users.on(ev.Host)
	if ev.Elsewhere(e.host) {
		explainer = explainer.Elsewhere(string(ev.Host))
	}
	x := explainer.Explain(&ev.Event)
	c := format.Context{Identity: format.Identity{Spool: uint64(ev.At.ID), Seq: ev.At.Seq, Host: ev.Host, BootID: ev.BootID}}
	e.n++
	if e.json {
		event := bytes.TrimSpace(format.AppendJSON(nil, &ev.Event, &c))
		encoder := json.NewEncoder(e.out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(struct {
			Event json.RawMessage `json:"event"`
			explain.Explanation
		}{event, x})
	}
	var page []byte
	if e.n > 1 {
		page = append(page, '\n')
	}
	e.lines.context.Identity = c.Identity
	page = append(page, e.lines.of(&ev.Event)...)
	_, err := e.out.Write(x.AppendText(page))
	return err
}

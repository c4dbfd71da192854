package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/explain"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

func newExplain() *cobra.Command {
	var o pastOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [--host GLOB] [--json] [SPOOL:SEQ [FILE...]]",
		Short: "Say in words what one event means",
		Long: `explain says of one event what happened, which rule decided and where it stands
in the policy, why the rules before it did not match, and what would allow it.
SPOOL:SEQ is the identity of an event, the keys spool and seq. Without it the
records on stdin are explained, in any form that decode reads.

The event comes from the running daemon, from its spool directory when no daemon
runs, or from FILE. The text of the policy is read from securityfs. The object
is measured now, on this host; what cannot be known is said to be unknown.`,
		Example: `  ipe-auditd explain 5f1c9a0277d8e3b4:9
  journalctl -o export -n 1 _TRANSPORT=audit | ipe-auditd explain`,
		RunE: func(cmd *cobra.Command, args []string) error {
			names := []string{"-"}
			var at spool.Cursor
			if len(args) > 0 {
				var err error
				if at, err = spool.ParseCursor(args[0]); err != nil || at.Seq == 0 {
					return usageError{fmt.Errorf("%q is not an event: give its spool and seq, such as 5f1c9a0277d8e3b4:9", args[0])}
				}
				names, o.after = args[1:], &spool.Cursor{ID: at.ID, Seq: at.Seq - 1}
			}
			h, err := o.open(cmd, names, time.Time{})
			if err != nil {
				return err
			}
			defer h.Close()
			e := explainer{
				Explainer: explain.Explainer{Measure: fileprops.New().Measure, Securityfs: &host.Securityfs{Root: "/sys"}},
				host:      host.Name(), json: asJSON, out: cmd.OutOrStdout(),
			}
			if len(args) == 0 {
				return e.all(h)
			}
			return e.one(h, at)
		},
	}
	addJSON(cmd, &asJSON, "print a JSON object for each event")
	o.addHostTo(cmd)
	o.clientOptions.addTo(cmd)
	return cmd
}

// explainer explains events of a history.
type explainer struct {
	explain.Explainer
	host string // the name of this one
	json bool
	out  io.Writer
	n    int // how many were explained
}

// all explains every event.
func (e *explainer) all(h *eventsource.Stream) error {
	var failed error
	for {
		ev, err := h.Next()
		switch {
		case errors.Is(err, io.EOF) && failed == nil && e.n == 0:
			return errors.New("there is no record of IPE in stdin")
		case errors.Is(err, io.EOF):
			return failed
		case err != nil:
			failed = errors.Join(failed, err)
		default:
			if err := e.explain(ev); err != nil {
				return err
			}
		}
	}
}

// one explains the event of that identity, which is to be that of one host.
func (e *explainer) one(h *eventsource.Stream, at spool.Cursor) error {
	var failed error
	var hosts []string
	var found bytes.Buffer
	out := e.out
	e.out = &found
	for {
		ev, err := h.Next()
		switch {
		case errors.Is(err, io.EOF) && len(hosts) == 0:
			return errors.Join(failed, fmt.Errorf("%s has no event %v: it was overwritten, or never there", h.Origin(), at))
		case errors.Is(err, io.EOF) && len(hosts) > 1:
			return errors.Join(failed, fmt.Errorf("%v is an event of %d hosts: %s; --host says which is meant", at, len(hosts), text.List(hosts, 5, len(hosts))))
		case errors.Is(err, io.EOF):
			_, err := out.Write(found.Bytes())
			return err
		case err != nil:
			failed = errors.Join(failed, err)
		case ev.At == at:
			hosts = append(hosts, text.Host(ev.Host))
			if err := e.explain(ev); err != nil {
				return err
			}
		}
	}
}

// explain prints one explanation.
func (e *explainer) explain(ev *eventsource.Event) error {
	explainer := e.Explainer
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
	var lines []byte
	if e.n > 1 {
		lines = append(lines, '\n')
	}
	lines = format.AppendText(lines, &ev.Event, &c)
	_, err := e.out.Write(x.AppendText(lines))
	return err
}

package main

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/report"
)

// pipeHeight is how many lines a report has that no terminal shows.
const pipeHeight = 50

func newReport() *cobra.Command {
	var o pastOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report [--since T] [--host GLOB] [--json] [FILE...]",
		Short: "Sum up what was denied, and by which policy",
		Long: `report prints the timeline of policies, modes and losses, and below it the
distinct denials and would-be denials, the worst first: how often, since when,
by which commands, and by which rule of which policy.

It asks the running daemon, and reads its spool directory when no daemon runs.
With FILE it reads that: a spool directory, or whatever decode reads, or the
JSON lines of a file sink, also compressed; or a stream of a nats sink, as
nats://HOST:PORT/STREAM or tls://HOST:PORT/STREAM. It is one screen for a person; with
--json it is complete.

The events may be of any number of hosts, in any order, and be there more than
once: each is counted once, and every host by itself. What does not fit in memory
goes to a temporary file in TMPDIR, or /var/tmp.`,
		Example: `  ipe-auditd report --since 7d
  ipe-auditd report --json /var/log/ipe-auditd/events.json* | jq '.denials[0]'
  ausearch --raw | ipe-auditd report -`,
		RunE: func(cmd *cobra.Command, names []string) error {
			since, err := o.begin(cmd, time.Now())
			if err != nil {
				return err
			}
			h, err := o.open(cmd, names, time.Time{}) // what was before tells what was in force
			if err != nil {
				return err
			}
			defer h.Close()
			r := report.Report{Origin: h.Origin(), Several: len(h.Hosts()) > 1}
			if !since.IsZero() {
				r.Since = since.UnixMilli()
			}
			failed := readAll(h, r.Add, r.Fail)
			out := cmd.OutOrStdout()
			if asJSON {
				_, err = out.Write(r.AppendJSON(nil))
			} else {
				err = writeFitting(out, r.AppendText(nil, terminalHeight(out, pipeHeight), o.zone()))
			}
			return errors.Join(failed, err)
		},
	}
	o.addTo(cmd)
	addJSON(cmd, &asJSON, "print one JSON object with everything")
	return cmd
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

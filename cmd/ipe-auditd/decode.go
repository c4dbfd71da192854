package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func newDecode() *cobra.Command {
	var asJSON, raw bool
	var o lineOptions
	cmd := &cobra.Command{
		Use:   "decode [-o json|text] [FILE...]",
		Short: "Decode IPE records from captures and logs",
		Long: `decode reads records from the files, or from stdin, and prints one event for
each record of IPE. It keeps no state and needs no rights.

It finds out by itself what it is given: a capture (.nlcap), audit.log,
ausearch --raw, journalctl -o export, json or short, dmesg, syslog, events in
JSON, or lines as in the mails about IPE; compressed by gzip, xz, zstd or bzip2,
or not. Lines that hold no record are passed over. If one holds a record of IPE
that cannot be read, that is told and the exit status is 1.`,
		Example: `  ipe-auditd decode /var/log/audit/audit.log
  dmesg | ipe-auditd decode --format text
  journalctl -o export _TRANSPORT=audit | ipe-auditd decode`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d := decoder{eventLines: newEventLines(cmd, &o, asJSON), out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)}
			d.context.Raw = raw
			if len(args) == 0 {
				args = []string{"-"}
			}
			r, err := newReading(cmd, args, true)
			if err != nil {
				return err
			}
			defer r.Close()
			var errs []error
			for _, name := range args {
				errs = append(errs, d.file(name, cmd.InOrStdin(), r))
				if r.ctx.Err() != nil {
					break
				}
			}
			r.progress.end()
			return errors.Join(append(errs, d.out.Flush())...)
		},
	}
	asJSON = true
	addJSON(cmd, &asJSON, "print a JSON object for each event (the default)")
	cmd.Flags().BoolVar(&raw, "raw", false, "add the record text as received to every event in JSON")
	o.addTo(cmd)
	return cmd
}

// decoder turns records into lines without a spool or an identity.
type decoder struct {
	eventLines
	out   *bufio.Writer
	event ipe.Event
}

// file decodes one file; everything before a damage is printed.
func (d *decoder) file(name string, stdin io.Reader, reading *reading) error {
	r := reading.wrapAny(stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		r = reading.wrap(f)
	}
	prompt := input.Live(r)
	records := eventsource.NewRecords(r)
	for {
		err := records.Next(&d.event, &d.context.Identity)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", displayName(name), err)
		}
		_, _ = d.out.Write(d.of(&d.event)) // the error stays and comes back from Flush
		if prompt {
			if err := d.out.Flush(); err != nil {
				return err
			}
		}
	}
}

// displayName is how messages call the input.
func displayName(name string) string {
	if name == "-" {
		return "stdin"
	}
	return name
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
	"github.com/ipe-auditd/ipe-auditd/internal/doctor"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	var client clientOptions
	cmd := &cobra.Command{
		Use:   "doctor [--json] [--config FILE]",
		Short: "Check this host, and say what is wrong and what to do about it",
		Long: `doctor looks at everything that could keep the daemon from hearing, keeping or
delivering an event: IPE, the kernel's audit, the socket, the state directory,
the sinks, the clock. It prints one line for each finding, with what to do. It
exits with 0 if all is well, with 1 if something is dubious or could not be
found out, and with 2 if something is wrong. It changes nothing and delivers
nothing; run it as root, and while the daemon runs, to learn most.`,
		Example: `  ipe-auditd doctor
  ipe-auditd doctor --json | jq -r '.findings[] | select(.status == "failure") | .check'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := examine(cmd.Context(), &client)
			out := cmd.OutOrStdout()
			var err error
			if asJSON {
				err = json.NewEncoder(out).Encode(report)
			} else {
				err = printReport(out, &report, wantColour(cmd))
			}
			if err == nil && report.Status != doctor.OK {
				err = findings(report)
			}
			return err
		},
	}
	addJSON(cmd, &asJSON, "print JSON")
	client.addTo(cmd)
	return cmd
}

// serviceEnvironment returns a variable as the service will have it.
func serviceEnvironment(name string) string {
	value := os.Getenv(name)
	switch name {
	case "STATE_DIRECTORY":
		return cmp.Or(value, serviceState)
	case "RUNTIME_DIRECTORY":
		return cmp.Or(value, serviceRuntime)
	}
	return value
}

// examine reads the configuration, asks the daemon and looks at the host.
func examine(ctx context.Context, client *clientOptions) doctor.Report {
	if ctx == nil {
		ctx = context.Background()
	}
	o := doctor.Options{Version: daemonVersion()}
	o.Config, o.Warnings, o.Err = config.LoadIn(client.config, serviceEnvironment)
	if o.Err == nil {
		var more []schema.Problem
		more, o.Err = daemon.CheckSinks(o.Config.Sinks)
		o.Warnings = append(o.Warnings, more...)
	}
	if o.Err != nil {
		o.Config = nil
	}
	if o.Socket, _, _ = client.places(); o.Socket == "" { // o.Err says why
		o.Socket = cmp.Or(client.socket, defaultSocket)
	}
	asking, cancel := context.WithTimeout(ctx, statusPatience)
	_, o.Daemon, o.DaemonErr = api.NewClient(o.Socket).Status(asking)
	cancel()
	return doctor.Examine(ctx, o)
}

// findings is the error of a report that is not ok.
type findings doctor.Report

// Error says how much there is to see.
func (f findings) Error() string {
	report := doctor.Report(f)
	return fmt.Sprintf("doctor: %s, %s", text.Count(report.Count(doctor.Failure), "failure"), text.Count(report.Count(doctor.Warning), "warning"))
}

// code returns the exit code.
func (f findings) code() int {
	if f.Status == doctor.Failure {
		return exitDoctor
	}
	return exitFailure
}

// printReport writes one line for each finding: status, check, text and advice.
func printReport(out io.Writer, r *doctor.Report, colour bool) error {
	name := func(f *doctor.Finding) string {
		return text.Printable(strings.TrimSuffix(f.Check+" "+f.Name, " "))
	}
	width := 0
	for i := range r.Findings {
		width = max(width, len([]rune(name(&r.Findings[i]))))
	}
	var b strings.Builder
	for i := range r.Findings {
		f := &r.Findings[i]
		begin, end := "", ""
		if colour {
			begin, end = statusColour(f.Status), noColour
		}
		fmt.Fprintf(&b, "%s%-7s%s  %-*s  %s", begin, f.Status, end, width, name(f), text.Printable(f.Text))
		if f.Advice != "" {
			b.WriteString("; to do: " + text.Printable(f.Advice))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// statusColour returns what begins a colour: green, yellow or red.
func statusColour(s doctor.Status) string {
	switch s {
	case doctor.OK:
		return "\x1b[32m"
	case doctor.Warning:
		return "\x1b[33m"
	}
	return "\x1b[31m"
}

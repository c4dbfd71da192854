package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// statusPatience is how long status waits for an answer. The daemon itself
// answers in time that it cannot.
const statusPatience = 15 * time.Second

func newStatus() *cobra.Command {
	var asJSON bool
	var o clientOptions
	cmd := &cobra.Command{
		Use:   "status [--json]",
		Short: "Show the state of the running daemon",
		Long: `status prints the state of the running daemon: what it received, what was lost, and
where each sink stands. It exits with 0 if all is well, and with 1 if something
is not or no daemon answers, so that it can be a health check.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), statusPatience)
			defer cancel()
			socket, _, err := o.places()
			if err != nil {
				return err
			}
			answer, st, err := api.NewClient(socket).Status(ctx)
			if err != nil {
				return noAnswer(socket, err)
			}
			if asJSON {
				_, err = cmd.OutOrStdout().Write(answer)
			} else {
				err = printStatus(cmd.OutOrStdout(), st, time.Now())
			}
			if err == nil && !st.Healthy {
				err = errors.New("degraded: " + text.Printable(strings.Join(st.Reasons, "; ")))
			}
			return err
		},
	}
	addJSON(cmd, &asJSON, "print JSON")
	o.addTo(cmd)
	return cmd
}

// printStatus writes st for a person.
func printStatus(out io.Writer, st *api.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, text.Printable(fmt.Sprintf(format, args...)))
	}
	health := "healthy"
	if !st.Healthy {
		health = "degraded"
	}
	row("ipe-auditd", "%s, %s, pid %d, since %s (%s)", st.Version, health, st.PID, text.Time(st.Since.UnixMilli(), nil), ago(now, st.Since))
	for _, reason := range st.Reasons {
		row("", "%s", reason)
	}
	if st.Kernel != "" {
		row("kernel", "Linux %s", st.Kernel)
	}
	if s := st.Socket; s != nil {
		row("socket", "%s", describeSocket(s))
	}
	row("in force", "%s", describeInForce(&st.InForce))
	row("accesses", "%s", describeAccesses(st, now))
	row("received", "%d messages; skipped %s", st.Received, describeCounts(st.Skipped))
	row("lost", "%s; forged %d", describeLosses(st.Lost), st.Forged)
	if k := st.KernelLosses; k != nil {
		row("", "%s", describeKernelLosses(k, now))
	}
	if a := st.Audit; a != nil {
		row("audit", "%s", describeAudit(a, now))
	}
	row("spool", "%s", describeSpool(&st.Spool, now))
	row("feed", "%d of %d clients; %d refused, %d events overwritten before a client got them", st.Feed.Clients, st.Feed.MaxClients, st.Feed.Refused, st.Feed.Lost)
	if err := w.Flush(); err != nil {
		return err
	}
	return printSinks(out, st.Sinks, now)
}

func describeSocket(s *api.Socket) string {
	origin := "own"
	if s.Inherited {
		origin = "inherited"
	}
	var types []string
	for _, t := range s.Types {
		types = append(types, strconv.Itoa(int(t)))
	}
	line := fmt.Sprintf("%s, receive buffer %s", origin, units.Size(s.Buffer).Short())
	if s.Buffer < s.Asked {
		line += fmt.Sprintf(" (asked for %s, which the kernel did not grant)", units.Size(s.Asked).Short())
	}
	return line + ", filter for types " + cmp.Or(strings.Join(types, " "), "of any number")
}

func describeInForce(f *api.InForce) string {
	if f.NoIPE {
		return "nothing, this kernel has no IPE"
	}
	text := map[string]string{
		"active": "policy " + f.Name, "built_in": "built-in policy " + f.Name,
		"none": "no policy", "unknown": "the policy is not known",
	}[f.Policy]
	if f.Version != "" {
		text += " " + f.Version
	}
	switch {
	case f.Enforcing == nil:
		return text + ", the mode is not known"
	case *f.Enforcing:
		return text + ", enforcing"
	}
	return text + ", permissive"
}

// describeAccesses says what became of accesses since the start.
func describeAccesses(st *api.Status, now time.Time) string {
	total := func(verdict string) (n uint64) {
		for _, count := range st.Accesses[verdict] {
			n += count
		}
		return n
	}
	text := fmt.Sprintf("%d denied, %d would be denied, %d allowed", total("denied"), total("would_deny"), total("allowed"))
	if n := total("unknown"); n > 0 {
		text += fmt.Sprintf(", %d in a mode that is not known", n)
	}
	if !st.LastDenial.IsZero() {
		text += fmt.Sprintf("; the last denial %s ago", ago(now, st.LastDenial))
	}
	if st.AccessesMissed > 0 {
		text += fmt.Sprintf("; %d events overwritten before they were counted", st.AccessesMissed)
	}
	return text
}

// describeCounts names what is not 0.
func describeCounts(counts map[string]uint64) string {
	var list []string
	for name, n := range counts {
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, name))
		}
	}
	slices.Sort(list)
	return cmp.Or(strings.Join(list, ", "), "none")
}

func describeLosses(losses []api.Loss) string {
	var list []string
	for _, l := range losses {
		switch {
		case l.Accuracy != "exact" && (l.Count > 0 || !l.Last.IsZero()):
			list = append(list, fmt.Sprintf("at least %d at stage %s", l.Count, l.Stage))
		case l.Count > 0:
			list = append(list, fmt.Sprintf("%d at stage %s", l.Count, l.Stage))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}

// describeKernelLosses says how well losses at stage kernel are known.
func describeKernelLosses(k *api.KernelLosses, now time.Time) string {
	source := map[string]string{
		"own":        "by asking the kernel",
		"helper":     "by ipe-auditd-lost",
		"kernel_log": "by the kernel log",
		"none":       "since nobody says it",
		"pending":    "since the kernel has not been asked yet",
	}[k.Source]
	line := fmt.Sprintf("stage kernel: %s, %s", k.Accuracy, cmp.Or(source, k.Source))
	if !k.Asked.IsZero() {
		line += fmt.Sprintf(", asked %s ago", ago(now, k.Asked))
	}
	if k.Error != "" {
		line += "; " + k.Error
	}
	return line
}

// describeAudit says how the kernel's audit subsystem stands. What was taken away is
// among the reasons.
func describeAudit(a *api.Audit, now time.Time) string {
	if a.Kernel == nil {
		return "nobody says how it stands: " + cmp.Or(a.Error, "the first answer has not come yet")
	}
	text := map[uint32]string{0: "not enabled", 1: "enabled", 2: "locked"}[a.Kernel.Enabled]
	if a.Kernel.Auditd != 0 {
		text += fmt.Sprintf(", auditd is pid %d", a.Kernel.Auditd)
	}
	text += fmt.Sprintf(", backlog limit %d, rate limit %d", a.Kernel.BacklogLimit, a.Kernel.RateLimit)
	if !a.Asked.IsZero() {
		text += fmt.Sprintf(", asked %s ago", ago(now, a.Asked))
	}
	if a.Error != "" {
		text += "; " + a.Error
	}
	return text
}

func describeSpool(s *api.Spool, now time.Time) string {
	line := fmt.Sprintf("%s on disk in %s, %s", s.ID, s.Dir, units.Size(s.Disk).Short())
	if s.Form != api.FormDisk {
		line = fmt.Sprintf("%s in memory, %s", s.ID, units.Size(s.Memory).Short())
	}
	line += fmt.Sprintf(" of %s, %d events", units.Size(s.Limit).Short(), s.Entries)
	if !s.Oldest.IsZero() {
		line += fmt.Sprintf(", the oldest %s old", ago(now, s.Oldest))
	}
	if s.GivenUp > 0 {
		line += fmt.Sprintf(", %d given up for newer ones", s.GivenUp)
	}
	if s.Cut > 0 {
		line += fmt.Sprintf(", %d cut", s.Cut)
	}
	if s.LastError != "" {
		line += fmt.Sprintf(", %d failures, the last: %s", s.Failures, s.LastError)
	}
	return line
}

func printSinks(out io.Writer, sinks []api.Sink, now time.Time) error {
	if len(sinks) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nSINK\tTYPE\tSTATE\tLAG\tDELIVERED\tMISSED\tRETRIES\tLAST ERROR")
	for i := range sinks {
		s := &sinks[i]
		lag := "-"
		if s.LagEvents > 0 {
			lag = fmt.Sprintf("%d, %s", s.LagEvents, text.Span(time.Duration(s.LagSeconds*float64(time.Second))))
		}
		failure := "-"
		if s.LastError != "" {
			failure = fmt.Sprintf("%s ago: %s", ago(now, s.LastErrorTime), s.LastError)
		}
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%d\t%d\t%d\t%s\n", text.Printable(s.Name), text.Printable(s.Type), text.Printable(s.State), ago(now, s.Since), lag,
			s.Delivered, s.Overwritten, s.Retries, text.Printable(failure))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printCounters(out, sinks)
}

// printCounters writes what sinks count of their own and is not 0.
func printCounters(out io.Writer, sinks []api.Sink) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	title := "\nSINK\tCOUNTERS\n"
	for i := range sinks {
		var list []string
		for _, c := range sinks[i].Counters {
			if c.Count == 0 {
				continue
			}
			line := strings.ReplaceAll(c.Name, "_", " ")
			if c.Label != "" {
				line += fmt.Sprintf(" (%s %s)", c.Label, c.Value)
			}
			list = append(list, fmt.Sprintf("%s %d", line, c.Count))
		}
		if list != nil {
			fmt.Fprintf(w, "%s%s\t%s\n", title, text.Printable(sinks[i].Name), text.Printable(strings.Join(list, ", ")))
			title = ""
		}
	}
	return w.Flush()
}

// ago returns how long before now t was.
func ago(now, t time.Time) string { return text.Span(now.Sub(t)) }

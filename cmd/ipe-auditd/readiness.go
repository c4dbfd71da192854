package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/explain"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/readiness"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// defaultReadiness is how far readiness looks back when it asks the daemon.
const defaultReadiness = 7 * 24 * time.Hour

func newReadiness() *cobra.Command {
	var o pastOptions
	var asJSON bool
	var candidate string
	cmd := &cobra.Command{
		Use:   "readiness [--since T] [--host GLOB] [--policy FILE] [--json] [FILE...]",
		Short: "Say whether enforcement may be switched on",
		Long: `readiness lists what would be denied if IPE enforced the policy that is in force,
or with --policy a candidate: the text of a policy, before it is signed.

It exits with 0 if nothing that was seen would be denied, with 1 if something
would, and with 2 if that cannot be said: because something was lost or could not
be read, because there was nothing to see or not for long enough, or because of
a mistake in what it was given.

Of several hosts each is answered for by itself, and the worst answer is that for
all: something would be denied, then nobody can say. Objects on other hosts than
this one cannot be measured here.

Of the daemon it asks for 7d, and of FILEs for everything, as report reads them.
A candidate needs success_audit: what a policy allows is not recorded without.
What is wrong with its text says check-policy.`,
		Example: `  ipe-auditd readiness --since 30d && echo 1 > /sys/kernel/security/ipe/enforce
  ipe-auditd readiness --policy candidate.pol --json | jq '.denied[].path'`,
		RunE: func(cmd *cobra.Command, names []string) error {
			answer, err := runReadiness(cmd, names, &o, candidate, asJSON)
			switch {
			case errors.Is(err, errInterrupted):
				return err
			case err != nil:
				return answered{exitCannotSay, err}
			case answer == readiness.NotReady:
				return answered{exitNotReady, errors.New("not ready")}
			case answer == readiness.CannotSay:
				return answered{exitCannotSay, errors.New("cannot say whether it is ready")}
			}
			return nil
		},
	}
	o.addTo(cmd)
	cmd.Flags().StringVar(&candidate, "policy", "", "judge by this policy, the text in `FILE`, instead of the one in force")
	addJSON(cmd, &asJSON, "print one JSON object with everything")
	return cmd
}

// runReadiness prints the answer. An error takes the place of an answer.
func runReadiness(cmd *cobra.Command, names []string, o *pastOptions, candidate string, asJSON bool) (readiness.Verdict, error) {
	now := time.Now()
	since, err := o.begin(cmd, now)
	if err != nil {
		return 0, err
	}
	if !o.end.IsZero() && o.end.Before(now) {
		now = o.end
	}
	if since.IsZero() && len(names) == 0 {
		since = now.Add(-defaultReadiness)
	}
	head := readiness.Heading{Since: since, Candidate: candidate}
	ask := readiness.Options{Since: since, Now: now, Measure: o.measure()}
	if cmd.Flags().Changed("policy") { // an empty name is no file, and not no wish
		var lines []byte
		if lines, ask.Candidate, err = readPolicy(cmd.ErrOrStderr(), candidate); err != nil {
			var wrong *policy.Error
			if errors.As(err, &wrong) {
				err = fmt.Errorf("%w; ipe-auditd check-policy says everything that is wrong with it", err)
			}
			return 0, err
		}
		ask.TooLarge = policy.CheckSize(len(lines))
		head.Name, head.Version = ask.Candidate.Name, ask.Candidate.Version.String()
	}
	// What was before tells since when is watched, and by which policy.
	h, err := o.open(cmd, names, time.Time{})
	if err != nil {
		return 0, err
	}
	defer h.Close()
	head.Origin, ask.Several = h.Origin(), len(h.Hosts()) > 1
	texts := explain.Texts{Securityfs: &host.Securityfs{Root: "/sys"}}
	ask.Host, ask.Stands = host.Name(), texts.Stands
	check := readiness.New(ask)
	failed := readAll(h, check.Add, check.Fail)
	interrupted := errors.Is(failed, errInterrupted)
	if !interrupted {
		printError(cmd.ErrOrStderr(), failed) // and a reason of the answer
	}
	answer := check.Answer()
	out := cmd.OutOrStdout()
	if asJSON {
		_, err = out.Write(answer.AppendJSON(nil, &head))
	} else {
		p := newPage(out, h, o.zone(), now, false)
		answer.WriteTo(p, &head)
		_, err = out.Write(p.Bytes())
	}
	if err != nil {
		return 0, err
	}
	if interrupted {
		return 0, failed
	}
	return answer.Verdict, nil
}

// answered is what readiness has to say but yes: its answer, which was printed,
// or why there is none.
type answered struct {
	code int
	err  error
}

func (a answered) Error() string { return a.err.Error() }

func (a answered) Unwrap() error { return a.err }

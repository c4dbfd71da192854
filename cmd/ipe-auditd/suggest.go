package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/packages"
	"github.com/ipe-auditd/ipe-auditd/internal/suggest"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// suggestOptions are the flags of suggest.
type suggestOptions struct {
	pastOptions
	packagesOption
	name, version, base string
	signature           bool
}

func newSuggest() *cobra.Command {
	var o suggestOptions
	cmd := &cobra.Command{
		Use:   "suggest [--since T] [--host GLOB] [--name N] [--version V] [--base FILE] [--signature] [FILE...]",
		Short: "Write a policy that allows what was denied, and nothing else",
		Long: `suggest reads denials, and prints a policy with the narrowest rule for each
object: the fs-verity digest of the file, or else the root hash of the dm-verity
volume that it is on. It measures them now, on this host, and only if device
and inode are still those of the record; run it as root where it can look. What
no rule can allow is said in comments, with what would help.

With --base the rules are added to that policy, its lines kept and its version
raised. Without it the policy denies all that it does not list. The result is
to be read, signed and loaded by you. Where it would be too large for the kernel
once it is signed, comments are left out.

The exit status is 0 if there is a policy, or nothing to allow, and 1 if no rule
can allow any of it or the policy is too large: then all lines are comments.

The events come from the running daemon, from its spool directory when no daemon
runs, or from FILE, as with report.`,
		Example: `  ipe-auditd suggest --since 1d --base /sys/kernel/security/ipe/policies/lab/policy > new.pol
  ipe-auditd suggest --name builders --signature /var/log/ipe-auditd/events.json`,
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd, names) },
	}
	o.pastOptions.addTo(cmd)
	o.packagesOption.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "`NAME` of the policy (default: that of --base, or suggested)")
	flags.StringVar(&o.version, "version", "", "`VERSION` of the policy (default: the next one after that of --base, or 1.0.0)")
	flags.StringVar(&o.base, "base", "", "add the rules to the policy in this `FILE`")
	flags.BoolVar(&o.signature, "signature", false, "allow what has a verified signature by that, instead of by its digest")
	return cmd
}

// run prints the policy that allows what was denied in names.
func (o *suggestOptions) run(cmd *cobra.Command, names []string) error {
	s := suggest.Options{Name: o.name, BaseName: o.base, Signature: o.signature, Measure: o.measure(), Zone: o.zone()}
	var owners packages.Owners
	defer owners.Close()
	s.Package = o.ask(&owners)
	if cmd.Flags().Changed("name") {
		if err := policy.CheckName(o.name); err != nil {
			return usageError{fmt.Errorf("--name: %w", err)}
		}
	}
	if cmd.Flags().Changed("version") {
		v, err := policy.ParseVersion(o.version)
		if err != nil {
			return usageError{fmt.Errorf("--version: %w", err)}
		}
		s.Version = &v
	}
	since, err := o.begin(cmd, time.Now())
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("base") {
		if s.Base, _, err = readPolicy(cmd.ErrOrStderr(), o.base); err != nil {
			return err
		}
	}
	h, err := o.open(cmd, names, since)
	if err != nil {
		return err
	}
	defer h.Close()
	c := suggest.Collector{Host: host.Name()}
	failed := readAll(h, c.Add, c.Fail)
	s.Denials, s.Gaps = c.Denials(), c.Gaps()
	made, err := suggest.Suggest(s)
	if err != nil {
		return errors.Join(failed, err)
	}
	_, err = cmd.OutOrStdout().Write(made.Text)
	where := ""
	switch {
	case c.Elsewhere() > 0:
		where = " on this host"
	case failed != nil:
		where = " in what could be read"
	}
	sayWhatCame(cmd.ErrOrStderr(), made, s.Base == nil, where)
	return errors.Join(failed, err, noPolicy(made))
}

// noPolicy says why what was printed is no policy although something was denied.
func noPolicy(s *suggest.Suggestion) error {
	switch {
	case s.TooLarge != nil:
		return fmt.Errorf("there is no policy that the kernel would take: %w; the comments say what would help", s.TooLarge)
	case s.Rules == 0 && s.Without > 0:
		return fmt.Errorf("no rule can allow what was denied, %s: the comments say why, and there is no policy", text.Count(s.Without, "object"))
	}
	return nil
}

// sayWhatCame tells a person what the policy in a file does not show at once. where
// says of what it holds that no denial was found, if not of all that was given.
func sayWhatCame(stderr io.Writer, s *suggest.Suggestion, fresh bool, where string) {
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "ipe-auditd: "+format+"\n", args...) }
	for _, u := range s.Unknown {
		say("%v; a rule for it is in the policy because the kernel of the records has it", u)
	}
	if s.Trimmed != "" {
		say("%s", s.Trimmed)
		_, _ = stderr.Write(s.Notes)
	}
	switch {
	case s.Helped+s.Allowed+s.Without == 0:
		say("no denial was found%s, so there is nothing to suggest", where)
	case s.Rules == 0 && s.Without == 0:
		say("the base allows everything that was denied already: there is nothing to add")
	case s.Without > 0 && s.Rules > 0:
		say("no rule can allow %d of %s: the comments say why", s.Without, text.Count(s.Helped+s.Allowed+s.Without, "object"))
	}
	if s.Rules == 0 || !fresh || s.TooLarge != nil {
		return
	}
	fs := host.Securityfs{Root: "/sys"}
	if now := fs.IPE(); now.Status == host.StatusActive {
		say("this policy denies all that it does not list; to add the rules to the active one use --base %q", fs.PolicyFile(string(now.Policy.Name)))
	} else {
		say("this policy denies all that it does not list; to add the rules to a policy that there is use --base")
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func newCheck() *cobra.Command {
	var asJSON bool
	var candidate string
	op := policy.OpExecute.String()
	cmd := &cobra.Command{
		Use:   "check [--policy FILE] [--op OPERATION] FILE...",
		Short: "Say whether files would be allowed now, and by which rule",
		Long: `check measures each file as the kernel would judge it now, and prints whether the
policy in force, or the one in --policy, allows it, with the rule that decides. It
says nothing of an interpreter or of libraries that a program needs: they are
judged on their own.

It exits with 0 if all are allowed, with 1 if one would be denied, and with 2 if
none would but of one that cannot be said: because a property of it cannot be found
out, there is no such file, or there is no policy to judge by.`,
		Example: `  ipe-auditd check /usr/local/bin/tool
  ipe-auditd check --policy new.pol --op KMODULE /lib/modules/*/extra/*.ko`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usageError{errors.New("check needs a file")}
			}
			p, where, err := judgedBy(cmd, candidate)
			if err != nil {
				return answered{exitCannotSay, err}
			}
			d := checked{Policy: p.Name, Version: p.Version.String(), Op: op}
			measurer := fileprops.New()
			for _, f := range files {
				d.Files = append(d.Files, checkFile(measurer, p, policy.Op(op), f))
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(d)
			} else {
				err = d.print(cmd.OutOrStdout(), where)
			}
			if err != nil {
				return err
			}
			return d.answer()
		},
	}
	var names []string
	for _, o := range policy.Ops() {
		names = append(names, o.String())
	}
	cmd.Flags().StringVar(&candidate, "policy", "", "judge by the policy in this `FILE` instead of the one in force")
	cmd.Flags().Var(newChoice(&op, names...), "op", "for this `OPERATION`: "+strings.Join(names, ", "))
	addJSON(cmd, &asJSON, "print one JSON object with everything")
	return cmd
}

// judgedBy returns the policy in the file candidate, or without one that in force,
// and how its lines are called.
func judgedBy(cmd *cobra.Command, candidate string) (*policy.Policy, string, error) {
	if cmd.Flags().Changed("policy") {
		_, p, err := readPolicy(cmd.ErrOrStderr(), candidate)
		return p, candidate, err
	}
	const instead = "; --policy FILE judges by another one"
	fs := host.Securityfs{Root: "/sys"}
	now := fs.IPE()
	switch now.Status {
	case host.StatusActive:
	case host.StatusAbsent:
		return nil, "", errors.New("this kernel has no IPE, so there is no policy in force" + instead)
	case host.StatusNoPolicy:
		return nil, "", errors.New("no policy is in force" + instead)
	default:
		return nil, "", errors.New("which policy is in force cannot be read: run this as root on the host itself" + instead)
	}
	body, err := fs.PolicyText(&now.Policy)
	if err != nil {
		return nil, "", fmt.Errorf("the policy in force cannot be read: %w%s", err, instead)
	}
	p, unknown, err := policy.ParseLenient(body)
	if err != nil {
		return nil, "", fmt.Errorf("the policy in force, %s: %w", fs.PolicyFile(string(now.Policy.Name)), err)
	}
	sayUnknown(cmd.ErrOrStderr(), fs.PolicyFile(string(now.Policy.Name)), unknown)
	if now.Enforcing == ipe.False {
		fmt.Fprintln(cmd.ErrOrStderr(), "ipe-auditd: IPE is permissive now: what is denied is recorded, and takes place")
	}
	return p, fs.PolicyFile(string(now.Policy.Name)), nil
}

// checked is what check --json prints.
type checked struct {
	Policy  string        `json:"policy_name"`
	Version string        `json:"policy_version"`
	Op      string        `json:"ipe_op"`
	Files   []checkedFile `json:"files"`
}

// The verdicts of check.
const (
	fileAllowed = "allowed"
	fileDenied  = "denied"
	fileUnknown = "unknown"
)

// checkedFile is what is said of one file.
type checkedFile struct {
	Path    string `json:"path"`
	Verdict string `json:"verdict"`
	Rule    string `json:"rule,omitempty"` // that decides; of unknown, if no other one does
	Line    int    `json:"line,omitempty"` // where it stands in the policy
	Reason  string `json:"reason,omitempty"`

	// What was measured, as a policy has it; what is not known is left out.
	Properties []string `json:"properties,omitempty"`
}

// checkFile judges one file.
func checkFile(m *fileprops.Measurer, p *policy.Policy, op policy.Op, path string) checkedFile {
	f := checkedFile{Path: path, Verdict: fileUnknown}
	found, err := m.MeasurePath(path)
	if err != nil {
		f.Reason = err.Error()
		return f
	}
	f.Properties = properties(&found.Facts)
	j := p.Judge(op, &found.Facts)
	if j.Rule >= 0 {
		f.Rule, f.Line = p.Rules[j.Rule].String(), p.Rules[j.Rule].Line
	}
	switch j.Action {
	case policy.Allow:
		f.Verdict = fileAllowed
	case policy.Deny:
		f.Verdict = fileDenied
	default:
		f.Reason = found.Undecided(p, op, &j)
	}
	if len(j.Maybe) > 0 && j.Action != policy.ActionNone {
		// All that may match say the same; which one it is is not known.
		f.Reason = fmt.Sprintf("or by line %d, which says the same", p.Rules[j.Maybe[0]].Line)
	}
	return f
}

// properties returns what is known of a file, in the words of a policy.
func properties(f *policy.Facts) []string {
	var list []string
	add := func(p policy.Property) { list = append(list, p.String()) }
	boolean := func(key policy.Key, fact policy.Truth) {
		if fact != policy.Unknown {
			add(policy.Property{Key: key, Value: fact == policy.True})
		}
	}
	digest := func(key policy.Key, fact *policy.DigestFact) {
		if fact.Has == policy.True {
			add(policy.Property{Key: key, Digest: fact.Digest})
		}
	}
	boolean(policy.BootVerified, f.BootVerified)
	digest(policy.DMVerityRootHash, &f.DMVerityRootHash)
	boolean(policy.DMVeritySignature, f.DMVeritySignature)
	digest(policy.FSVerityDigest, &f.FSVerityDigest)
	boolean(policy.FSVeritySignature, f.FSVeritySignature)
	return list
}

// print writes one line for each file. The rules stand in the file where.
func (d *checked) print(out io.Writer, where string) error {
	var b strings.Builder
	for _, f := range d.Files {
		head := map[string]string{fileAllowed: "ALLOWED", fileDenied: "DENIED", fileUnknown: "CANNOT SAY"}[f.Verdict]
		fmt.Fprintf(&b, "%s %s", head, text.Name(f.Path))
		if f.Verdict != fileUnknown && f.Line > 0 {
			fmt.Fprintf(&b, ": %s:%d: %s", text.Printable(where), f.Line, text.Printable(f.Rule))
			if f.Reason != "" {
				fmt.Fprintf(&b, " (%s)", f.Reason)
			}
		} else if f.Reason != "" {
			fmt.Fprintf(&b, ": %s", text.Printable(f.Reason))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// answer returns the error for the worst that was said; nil if all are allowed.
func (d *checked) answer() error {
	count := make(map[string]int)
	for _, f := range d.Files {
		count[f.Verdict]++
	}
	switch {
	case count[fileDenied] > 0:
		return answered{exitFailure, fmt.Errorf("%s would be denied", text.Count(count[fileDenied], "file"))}
	case count[fileUnknown] > 0:
		return answered{exitCannotSay, fmt.Errorf("of %s it cannot be said", text.Count(count[fileUnknown], "file"))}
	}
	return nil
}

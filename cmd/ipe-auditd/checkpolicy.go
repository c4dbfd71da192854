package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func newCheckPolicy() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check-policy [FILE|-]",
		Short: "Say what is wrong with the text of a policy",
		Long: `check-policy reads the text of a policy before it is signed, from FILE or stdin,
and prints every mistake as FILE:LINE:COLUMN: what the kernel would refuse, and as
warnings rules that can never match, and words that only vendor kernels or pending
patches have.

It exits with 0 if the kernel takes the policy, warnings allowed, with 1 if it
would refuse it, also because it is too large once it is signed, or because of a
word that no released kernel takes, and with 2 if the text cannot be read.`,
		Example: `  ipe-auditd check-policy new.pol
  ipe-auditd suggest --since 1d | ipe-auditd check-policy -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "-"
			switch len(args) {
			case 0:
			case 1:
				name = args[0]
			default:
				return usageError{fmt.Errorf("check-policy takes one file, but got %d", len(args))}
			}
			body, err := readPolicyText(name, cmd.InOrStdin())
			if err != nil {
				return answered{exitUsage, err}
			}
			if isSigned(body) {
				return answered{exitUsage, fmt.Errorf("%s is signed already (DER): check the text that was signed", displayName(name))}
			}
			p, findings := policy.Check(body)
			v := newPolicyVerdict(text.Printable(displayName(name)), len(body), p, findings)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			} else {
				err = v.print(cmd.OutOrStdout())
			}
			if err == nil && !v.Good {
				err = answered{exitFailure, fmt.Errorf("the kernel would refuse %s: %s", v.File, text.Count(len(v.Errors), "mistake"))}
			}
			return err
		},
	}
	addJSON(cmd, &asJSON, "print one JSON object with everything")
	return cmd
}

// isSigned reports whether the bytes begin like a message of PKCS #7 in DER: a
// SEQUENCE with a length of two or more bytes, and in it the OBJECT IDENTIFIER
// 1.2.840.113549.1.7.2 (RFC 2315, signedData).
func isSigned(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x30}) && bytes.Contains(b[:min(len(b), 32)], []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"))
}

// policyVerdict is what check-policy --json prints.
type policyVerdict struct {
	File    string          `json:"file"`
	Good    bool            `json:"good"` // the kernel takes it
	Name    string          `json:"policy_name,omitempty"`
	Version string          `json:"policy_version,omitempty"`
	Rules   int             `json:"rules"`
	Bytes   int             `json:"bytes"`
	Most    int             `json:"max_bytes"` // with a usual signature
	Errors  []policyMistake `json:"errors"`
	Warns   []policyMistake `json:"warnings"`
}

// policyMistake is one finding.
type policyMistake struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Errno   int    `json:"errno,omitempty"`
	Error   string `json:"error,omitempty"` // its name
	Message string `json:"message"`

	order int
}

func newPolicyVerdict(file string, size int, p *policy.Policy, findings []policy.Finding) *policyVerdict {
	v := &policyVerdict{
		File: file, Good: true, Bytes: size, Most: policy.MaxSigned - policy.SignatureAllowance,
		Errors: []policyMistake{}, Warns: []policyMistake{},
	}
	if p != nil {
		v.Name, v.Version, v.Rules = p.Name, p.Version.String(), len(p.Rules)
	}
	for i, f := range findings {
		m := policyMistake{Line: f.Line, Column: f.Column, Message: f.Reason + meant(&f), order: i}
		if f.Errno == 0 {
			v.Warns = append(v.Warns, m)
			continue
		}
		m.Errno = int(f.Errno)
		if r, ok := policy.RefusalOf(int64(f.Errno)); ok {
			m.Error = r.Name
		}
		v.Good = false
		v.Errors = append(v.Errors, m)
	}
	return v
}

// meant says which word was probably meant.
func meant(f *policy.Finding) string {
	if f.Errno == 0 || f.Unknown == "" {
		return ""
	}
	var known []string
	for _, op := range policy.Ops() {
		known = append(known, "op="+op.String())
	}
	for k := policy.BootVerified; k <= policy.FSVeritySignature; k++ {
		known = append(known, k.String())
	}
	word := f.Unknown
	if name, _, _ := bytes.Cut([]byte(word), []byte("=")); string(name) != "op" {
		word = string(name)
	}
	if similar := text.Nearest(word, known); similar != "" {
		return fmt.Sprintf("; did you mean %s?", similar)
	}
	return ""
}

// print writes one line for each finding, in the order of the text, and says of a
// policy without mistakes what it is.
func (v *policyVerdict) print(out io.Writer) error {
	var b bytes.Buffer
	for errs, warns := v.Errors, v.Warns; len(errs)+len(warns) > 0; {
		if len(warns) == 0 || len(errs) > 0 && errs[0].order < warns[0].order {
			fmt.Fprintf(&b, "%s:%d:%d: %s (%s)\n", v.File, errs[0].Line, errs[0].Column, errs[0].Message, errs[0].Error)
			errs = errs[1:]
			continue
		}
		fmt.Fprintf(&b, "%s:%d:%d: warning: %s\n", v.File, warns[0].Line, warns[0].Column, warns[0].Message)
		warns = warns[1:]
	}
	if v.Good {
		fmt.Fprintf(&b, "%s: the kernel takes this policy once it is signed: %s %s, %s, %d of %d bytes\n",
			v.File, text.Name(v.Name), v.Version, text.Count(v.Rules, "rule"), v.Bytes, v.Most)
	}
	_, err := out.Write(b.Bytes())
	return err
}

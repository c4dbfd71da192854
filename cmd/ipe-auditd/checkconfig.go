package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

func newCheckConfig() *cobra.Command {
	var asJSON bool
	var file string
	cmd := &cobra.Command{
		Use:   "check-config [FILE|-]",
		Short: "Check a configuration without running it",
		Long: `check-config reads the configuration and its drop-ins as the daemon would, and
prints everything that is wrong or dubious with it, for the service: with its
folders for the state and the feed. It exits with 78 when the daemon would refuse
it. Of stdin (-) that alone is read, without drop-ins.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, warnings, err := loadArgument(cmd, file, args)
			var usage usageError
			if errors.As(err, &usage) {
				return err
			}
			if err == nil {
				var more []schema.Problem
				more, err = daemon.CheckSinks(cfg.Sinks)
				warnings = append(warnings, more...)
			}
			if err == nil && cfg.Spool.Dir != "" {
				if err = statedir.CheckOwner(cfg.Spool.Dir, statedir.DaemonUID(cfg.Spool.Dir)); err != nil {
					err = fmt.Errorf("spool.dir: %w", err)
				}
			}
			if err == nil && cfg.Seal.Key != "" {
				_, err = seal.ReadSigner(cfg.Seal.Key, statedir.DaemonUID(cfg.Spool.Dir))
				if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
					warnings = append(warnings, schema.Problem{Message: "whether the key can be used, only root and the daemon's user can find out: " + err.Error()})
					err = nil
				}
			}
			if asJSON {
				return errors.Join(json.NewEncoder(cmd.OutOrStdout()).Encode(newVerdict(warnings, err)), err)
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n%s", w, w.Excerpt())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is good")
			return err
		},
	}
	addJSON(cmd, &asJSON, "print JSON")
	cmd.Flags().StringVar(&file, "config", "", "the same as the argument `FILE`")
	return cmd
}

// loadArgument reads the configuration that the argument or --config of cmd names,
// as the service will: stdin where that is "-", and without any the default file.
func loadArgument(cmd *cobra.Command, file string, args []string) (*config.Config, []schema.Problem, error) {
	switch {
	case len(args) > 1:
		return nil, nil, usageError{fmt.Errorf("%s takes one file, but got %d", cmd.Name(), len(args))}
	case len(args) == 1 && file != "":
		return nil, nil, usageError{fmt.Errorf("%s takes one file, but got --config and %s", cmd.Name(), text.Quote(args[0]))}
	case len(args) == 1:
		file = args[0]
	}
	if file == "-" {
		return config.ReadIn("stdin", cmd.InOrStdin(), serviceEnvironment)
	}
	return config.LoadIn(file, serviceEnvironment)
}

// verdict is what check-config --json prints.
type verdict struct {
	Good     bool    `json:"good"`
	Errors   []place `json:"errors"`
	Warnings []place `json:"warnings"`
}

// place is one problem with where it is.
type place struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

func newVerdict(warnings []schema.Problem, err error) verdict {
	v := verdict{Good: err == nil, Errors: []place{}, Warnings: places(warnings)}
	var bad *schema.Error
	if errors.As(err, &bad) {
		v.Errors = places(bad.Problems)
	} else if err != nil {
		v.Errors = []place{{Message: err.Error()}}
	}
	return v
}

func places(problems []schema.Problem) []place {
	list := make([]place, len(problems))
	for i, p := range problems {
		list[i] = place{p.File, p.Line, p.Column, p.Message}
	}
	return list
}

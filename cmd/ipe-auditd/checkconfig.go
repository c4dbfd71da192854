package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
)

func newCheckConfig() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config [FILE]",
		Short: "Check a configuration without running it",
		Long: `check-config reads the configuration and its drop-ins as the daemon would, and
prints everything that is wrong or dubious with it. It exits with 78 when the
daemon would refuse it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			switch len(args) {
			case 0:
			case 1:
				path = args[0]
			default:
				return usageError{fmt.Errorf("check-config takes one file, but got %d", len(args))}
			}
			cfg, warnings, err := config.Load(path)
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n%s", w, w.Excerpt())
			}
			if err != nil {
				return err
			}
			if err := daemon.CheckSinks(cfg.Sinks); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is good")
			return err
		},
	}
}

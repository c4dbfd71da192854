package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// newConfig returns the commands about the configuration.
func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration that is in effect",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShow())
	return cmd
}

func newConfigShow() *cobra.Command {
	var asJSON bool
	var file string
	cmd := &cobra.Command{
		Use:   "show [FILE|-]",
		Short: "Print what is in effect, after drop-ins and defaults",
		Long: `show prints the configuration as the service takes it: the file, with its drop-ins
and all defaults. What is printed can be read back as a file, and says the same.
Of stdin (-) that alone is read, without drop-ins. What a running daemon has is
older when it was not reloaded since.`,
		Example: `  ipe-auditd config show
  ipe-auditd config show new.yaml | diff <(ipe-auditd config show) -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := loadArgument(cmd, file, args)
			if err != nil {
				return err
			}
			if cfg.Sinks == nil {
				cfg.Sinks = config.DefaultSinks(true)
			}
			if asJSON {
				_, err = cmd.OutOrStdout().Write(cfg.AppendJSON(nil))
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# What is in effect for the service of ipe-auditd, after drop-ins and defaults.\n%s", cfg.AppendYAML(nil))
			return err
		},
	}
	addJSON(cmd, &asJSON, "print JSON")
	cmd.Flags().StringVar(&file, "config", "", "the same as the argument `FILE`")
	return cmd
}

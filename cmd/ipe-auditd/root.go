package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// options are the flags of the command without a subcommand.
type options struct {
	config  string
	debug   bool
	input   string
	timeout time.Duration
	format  string
	raw     bool
	sinks   []string
}

// run executes one command line and returns the exit code. Results go to
// stdout, everything else to stderr, an error as one line.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "ipe-auditd: %v; see %s --help\n", err, cmd.CommandPath())
	} else {
		printError(stderr, err)
	}
	return exitCode(err)
}

// printError prints one line for each of the errors that are joined in err.
func printError(stderr io.Writer, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			printError(stderr, err)
		}
	} else if err != nil {
		fmt.Fprintf(stderr, "ipe-auditd: %v\n", err)
	}
}

// newRoot returns the whole tree of commands.
func newRoot() *cobra.Command {
	var opts options
	root := &cobra.Command{
		Use:   "ipe-auditd [--config FILE | --debug] [--input FILE|-]",
		Short: "Listen to the kernel for the events of Integrity Policy Enforcement",
		Long: `ipe-auditd listens to the kernel's audit socket for the events of IPE
(Integrity Policy Enforcement), and delivers each one to every configured sink.

Without options it is the daemon: it reads /etc/ipe-auditd/ipe-auditd.yaml if
there is one, and needs CAP_AUDIT_READ or an inherited socket. With --debug it
is a real-time tail that needs no configuration.`,
		Example: `  ipe-auditd --debug                      show events as they happen
  ipe-auditd --input capture.nlcap        feed a recorded capture to the sinks
  ipe-auditd decode < /var/log/audit/audit.log`,
		Args:              noArguments,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(cmd, &opts)
		},
	}
	flags := root.Flags()
	flags.StringVar(&opts.config, "config", "", "read this configuration `FILE`")
	flags.BoolVar(&opts.debug, "debug", false, "run in the foreground without any configuration and print every event")
	flags.StringVar(&opts.input, "input", "", "take records from `FILE` (- for stdin) instead of the kernel, and end when all sinks have them")
	flags.DurationVar(&opts.timeout, "timeout", 0, "with --input: fail when the sinks do not have everything after this `DURATION` (0: wait for ever)")
	flags.VarP(newChoice(&opts.format, format.Text, format.JSON), "format", "o", "print this `FORM` on the console: text or json")
	flags.BoolVar(&opts.raw, "raw", false, "add the record text as received to every event in JSON")
	flags.StringArrayVar(&opts.sinks, "sink", nil, "deliver to `console or file:PATH` instead of the configured sinks (may be repeated)")

	colour := colourAuto
	root.PersistentFlags().Var(newChoice(&colour, colourAuto, colourAlways, colourNever), "color", "use colours `WHEN`: auto (on a terminal without NO_COLOR), always, never")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "colour" {
			name = "color"
		}
		return pflag.NormalizedName(name)
	})
	root.Version = daemonVersion()
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newDecode(), newCheckConfig(), newConfig(), newCheck(), newCheckPolicy(), newTail(), newStatus(), newReport(), newReadiness(), newSuggest(), newExplain(), newVerify(), newSealKey(),
		newDoctor(), newVersion(), newLost())
	addCompletions(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = noArguments
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

// noArguments refuses positional arguments; of a command that has others below
// it they are mistyped ones.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usageError{fmt.Errorf("%s takes no argument, but got %q", cmd.CommandPath(), args[0])}
	}
	err := fmt.Errorf("unknown command %s", text.Quote(args[0]))
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if similar := text.Nearest(args[0], names); similar != "" {
		err = fmt.Errorf("%w: did you mean %q?", err, similar)
	}
	return usageError{err}
}

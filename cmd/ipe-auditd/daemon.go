package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/daemon"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
)

// runDaemon is the command without a subcommand.
func runDaemon(cmd *cobra.Command, opts *options) error {
	if err := opts.check(cmd); err != nil {
		return err
	}
	cfg, warnings, err := opts.configuration()
	if err != nil {
		return err
	}
	log, err := newLog(cmd.ErrOrStderr(), cfg.Log.Level)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // nobody is left to tell
	for _, w := range warnings {
		log.Warn(w.String())
	}

	d := daemon.Options{
		Version: daemonVersion(),
		Config:  cfg,
		Console: daemon.Console{Out: cmd.OutOrStdout(), Colour: wantColour(cmd)},
		Timeout: opts.timeout,
		Log:     log,
	}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		d.Notify = notifySystemd
		if d.Watchdog, err = sd.SdWatchdogEnabled(false); err != nil {
			log.Warn("the watchdog of the service manager is not fed", zap.Error(err))
		}
	}
	switch {
	case opts.input == "":
		daemon.LimitThreads()
		files, err := daemon.InheritedFiles()
		if err != nil {
			return err
		}
		defer files.Close()
		d.Inherited = files
	default:
		r, closeInput, err := openInput(cmd, opts.input)
		if err != nil {
			return err
		}
		defer closeInput()
		d.Input, d.InputName = r, displayName(opts.input)
	}

	endings := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if opts.config == "" && (opts.debug || opts.input != "") {
		// There is nothing to reload, so it means that the terminal has gone.
		if !signal.Ignored(syscall.SIGHUP) { // nohup(1)
			endings = append(endings, syscall.SIGHUP)
		}
	} else {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		d.Hangup = hangup
	}
	ctx, stop := signalContext(cmd.Context(), endings...)
	defer stop()
	d.Reload = func() (*config.Config, error) {
		cfg, warnings, err := opts.configuration()
		for _, w := range warnings {
			log.Warn(w.String())
		}
		return cfg, err
	}
	err = daemon.Run(ctx, d)
	if err != nil && d.Input != nil && errors.Is(context.Cause(ctx), errSIGINT) {
		return answered{exitInterrupted, err} // what was read before is delivered
	}
	return err
}

// errSIGINT is the cause of a context that SIGINT ended.
var errSIGINT = errors.New("SIGINT")

// check refuses combinations of flags that contradict each other.
func (o *options) check(cmd *cobra.Command) error {
	switch {
	case o.debug && o.config != "":
		return usageError{errors.New("--debug needs no configuration: leave out --config")}
	case o.debug && len(o.sinks) > 0:
		return usageError{errors.New("--debug prints on the console: leave out --sink")}
	case o.config != "" && (len(o.sinks) > 0 || o.format != "" || o.raw):
		return usageError{errors.New("--sink, --format and --raw replace a configuration: leave out --config")}
	case (o.format != "" || o.raw) && !o.debug && o.input == "" && len(o.sinks) == 0:
		return usageError{errors.New("--format and --raw go with --debug, --input or --sink")}
	case o.timeout < 0:
		return usageError{errors.New("--timeout must not be negative")}
	case cmd.Flags().Changed("timeout") && o.input == "":
		return usageError{errors.New("--timeout goes with --input")}
	}
	_, err := o.flagSinks()
	return err
}

// configuration returns what the daemon is to do: as the file says, or as the
// flags say.
func (o *options) configuration() (*config.Config, []schema.Problem, error) {
	flagSinks, err := o.flagSinks()
	if err != nil {
		return nil, nil, err
	}
	if o.debug || o.input != "" && o.config == "" {
		cfg := config.Defaults()
		cfg.Sinks = flagSinks
		if cfg.Sinks == nil {
			cfg.Sinks = []config.Sink{o.console()}
		}
		if o.debug {
			cfg.Log.Level = "debug"
		}
		return cfg, nil, nil
	}
	cfg, warnings, err := config.Load(o.config)
	if err != nil {
		return nil, warnings, err
	}
	switch {
	case flagSinks != nil:
		cfg.Sinks = flagSinks
	case cfg.Sinks == nil && os.Getenv("NOTIFY_SOCKET") == "":
		cfg.Sinks = []config.Sink{o.console()}
	case cfg.Sinks == nil:
		cfg.Sinks = config.DefaultSinks(true)
	}
	return cfg, warnings, nil
}

// console returns the sink that stands for no configuration.
func (o *options) console() config.Sink {
	sink := config.DefaultSinks(false)[0]
	if o.format != "" {
		sink.Settings.(*console.Config).Format = o.format
	}
	sink.Raw = o.raw
	return sink
}

// flagSinks returns the sinks that --sink asks for, or nil.
func (o *options) flagSinks() ([]config.Sink, error) {
	var sinks []config.Sink
	for i, arg := range o.sinks {
		kind, path, _ := strings.Cut(arg, ":")
		switch {
		case kind == console.Type && path == "":
			sink := o.console()
			sink.Name = fmt.Sprintf("console-%d", i+1)
			sinks = append(sinks, sink)
		case kind == file.Type && path != "":
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			options := file.NewConfig().(*file.Config)
			options.Path = abs
			if o.format != "" {
				options.Format = o.format
			}
			sinks = append(sinks, config.Sink{
				Name: fmt.Sprintf("file-%d", i+1), Type: file.Type, From: config.FromEnd, Raw: o.raw, Settings: options,
			})
		default:
			return nil, usageError{fmt.Errorf("--sink %q: must be console or file:PATH", arg)}
		}
	}
	return sinks, nil
}

// openInput opens what --input names, and shows how far it is read where that is
// seen and no event is.
func openInput(cmd *cobra.Command, name string) (io.Reader, func(), error) {
	stdin := cmd.InOrStdin()
	if name == "-" {
		return stdin, func() {}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if !isTerminal(cmd.ErrOrStderr()) || isTerminal(cmd.OutOrStdout()) {
		return f, func() { f.Close() }, nil
	}
	p := newProgress(cmd.ErrOrStderr(), totalSize([]string{name}))
	return &counted{descriptor: f, Reader: f, progress: p}, func() { p.end(); f.Close() }, nil
}

// counted is a file whose reading is shown.
type counted struct {
	descriptor
	io.Reader
	progress *progress
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.progress.add(n)
	return n, err
}

// oneSignal is for how long after the first signal others are taken for the same
// one: timeout(1) sends each to its child and then to the process group, in which
// the child is.
const oneSignal = 250 * time.Millisecond

// secondSignal waits, after a first one, for a signal that was meant as a second
// one. It reports false when signals is closed before.
func secondSignal(signals <-chan os.Signal) bool {
	first := time.Now()
	for range signals {
		if time.Since(first) >= oneSignal {
			return true
		}
	}
	return false
}

// signalContext returns a context that ends at the first of the signals. The
// second one ends the process at once.
func signalContext(parent context.Context, endings ...os.Signal) (context.Context, func()) {
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endings...)
	go func() {
		select {
		case s := <-signals:
			if s == syscall.SIGINT {
				cancel(errSIGINT)
			}
			cancel(nil)
		case <-ctx.Done():
			return
		}
		if secondSignal(signals) {
			last := newBacklog(os.Stderr) // which may be what we hang at
			fmt.Fprintln(last, "ipe-auditd: second signal: ended at once; what was not delivered stays in the spool")
			_ = last.Sync()
			os.Exit(exitFailure)
		}
	}()
	return ctx, func() { cancel(nil); signal.Stop(signals); close(signals) }
}

// notifySystemd tells the service manager a state, as in sd_notify(3).
func notifySystemd(state string) {
	_, _ = sd.SdNotify(false, state)
}

package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

func newVerify() *cobra.Command {
	var o clientOptions
	var keys, anchors []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [--key PUB] [--anchors FILE] [--json] [SOURCE...]",
		Short: "Find out whether recorded events were altered or removed",
		Long: `verify compares events with the checkpoints that a daemon with the key seal in
its configuration signed, and says of each spool whether what is there is
unaltered, and up to which checkpoint it is complete.

SOURCE is a file of JSON lines as a sink writes it, also compressed by gzip, - for
stdin, a spool directory, or a stream of a nats sink, as nats://HOST:PORT/STREAM or
tls://HOST:PORT/STREAM; all of them count together. Without one it is the
running daemon, or its spool directory when no daemon runs. With --anchors the
checkpoints in FILE count too, such as those that another host has received: what
they seal must be in SOURCE.

PUB is the public key or a file with it, as seal-key writes; without --key it is
that beside the key in the configuration. The exit code is 0 when everything is
unaltered and complete up to the last checkpoint, 1 when something was altered, 3
when it is unaltered but incomplete, and 2 when that cannot be said.`,
		Example: `  ipe-auditd verify --key web1.pub /var/log/ipe-auditd/events.json*
  ipe-auditd verify --key web1.pub --anchors received.json /var/lib/ipe-auditd`,
		RunE: func(cmd *cobra.Command, names []string) error {
			verifiers, err := o.verifiers(keys)
			if err != nil {
				return usageError{err}
			}
			v := seal.NewVerifier(verifiers)
			for _, name := range anchors {
				if err := verifyFile(cmd, v, name, true); err != nil {
					return answered{exitCannotSay, err}
				}
			}
			if len(names) == 0 {
				err = o.verifyDaemon(cmd, v)
			}
			for _, name := range names {
				if info, statErr := os.Stat(name); natsconn.IsPlace(name) {
					err = verifyStream(cmd, v, name)
				} else if statErr == nil && info.IsDir() {
					err = verifySpool(v, name)
				} else {
					err = verifyFile(cmd, v, name, false)
				}
				if err != nil {
					break
				}
			}
			if err != nil {
				return answered{exitCannotSay, err}
			}
			r := v.Report()
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetEscapeHTML(false)
				err = encoder.Encode(r)
			} else {
				_, err = cmd.OutOrStdout().Write(r.AppendText(nil))
			}
			if code := r.ExitCode(); err == nil && code != exitOK {
				return answered{code, errors.New(verdicts[code])}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "believe what this `PUB`lic key signed; may be given again")
	cmd.Flags().StringArrayVar(&anchors, "anchors", nil, "compare with the checkpoints in `FILE` too; may be given again")
	addJSON(cmd, &asJSON, "print one JSON object")
	o.addTo(cmd)
	return cmd
}

// verdicts is what the exit codes of verify say.
var verdicts = [...]string{
	exitFailure: "something was altered", exitCannotSay: "cannot say whether it is unaltered", 3: "unaltered, but incomplete",
}

// verifiers returns the keys that were named, or that of the configuration.
func (o *clientOptions) verifiers(names []string) ([]note.Verifier, error) {
	if len(names) == 0 {
		cfg, _, err := config.LoadIn(o.config, serviceEnvironment)
		if err != nil || cfg.Seal.Key == "" {
			return nil, errors.New("no public key to verify checkpoints with: give it with --key; no configuration here names one")
		}
		names = []string{cfg.Seal.Key + ".pub"}
	}
	var list []note.Verifier
	for _, name := range names {
		v, err := seal.ParseVerifier(name)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		list = append(list, v)
	}
	return list, nil
}

// verifyStream reads a stream that sinks of type nats write.
func verifyStream(cmd *cobra.Command, v *seal.Verifier, url string) error {
	name, r, err := eventsource.OpenMessages(cmd.Context(), url)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := v.Lines(name, r, false); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// verifyFile reads a file of JSON lines.
func verifyFile(cmd *cobra.Command, v *seal.Verifier, name string, anchors bool) error {
	var r io.Reader = cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	in := bufio.NewReaderSize(r, 64<<10)
	r = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r = z
	}
	if err := v.Lines(name, r, anchors); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// verifySpool reads a spool directory.
func verifySpool(v *seal.Verifier, dir string) error {
	boot, _ := bootid.Current()
	entries, err := segment.OpenOffline(dir, boot, time.Time{})
	if err != nil {
		return err
	}
	defer entries.Close()
	policies, err := activepolicy.LoadTable(dir)
	if err != nil {
		return err
	}
	return v.Entries(dir, &entry.Decoder{Policy: policies.Policy}, entries.Next)
}

// verifyDaemon reads what the running daemon has, or its spool.
func (o *clientOptions) verifyDaemon(cmd *cobra.Command, v *seal.Verifier) error {
	socket, dir, err := o.places()
	if err != nil {
		return err
	}
	entries, err := api.NewClient(socket).Entries(cmd.Context(), url.Values{"follow": {"false"}})
	if err != nil {
		if verifySpool(v, dir) == nil {
			return nil
		}
		return noAnswer(socket, err)
	}
	defer entries.Close()
	return v.Entries("the daemon", &entry.Decoder{Policy: entries.Policy}, entries.Next)
}

func newSealKey() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "seal-key [--name NAME] FILE",
		Short: "Make the key that signs checkpoints",
		Long: `seal-key writes a new private key to FILE, which must not be there, with mode 0600,
and the public one to FILE.pub. It prints the public key: keep it on the host that
is to verify. NAME is what checkpoints are known by, such as the name of the host.`,
		Example: `  ipe-auditd seal-key /etc/ipe-auditd/seal.key`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("give the one FILE that the private key is to be written to")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("name") {
				name = host.Name()
			}
			public, err := seal.Generate(args[0], name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), public)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the `NAME` of the signer; that of this host by default")
	return cmd
}

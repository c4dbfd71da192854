package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("packages", flag.ContinueOnError)
	out := flags.String("out", "dist", "write to this `folder`")
	version := flags.String("version", "", "build this `version`, not the one of the commit")
	arches := flags.String("arch", "amd64,arm64", "for these `architectures`, by their names in Go")
	formats := flags.String("format", "deb,rpm,oci", "packages of these `formats`, and oci, an image of all architectures; none for the archive alone")
	nfpm := flags.String("nfpm", "", "pack with this `program` instead of fetching nfpm "+nfpmVersion)
	notices := flags.Bool("notices", false, "write "+noticesFile+" and build nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(top, "go.mod")); err != nil {
		return fmt.Errorf("%w: run this in the top folder of the project", err)
	}
	if *notices {
		return writeNotices(ctx, top)
	}
	rel, err := findRelease(ctx, top, *version)
	if err != nil {
		return err
	}
	if *out, err = filepath.Abs(*out); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "ipe-auditd-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)

	b := &build{release: rel, out: *out, scratch: scratch, nfpm: *nfpm}
	return b.all(ctx, top, list(*arches), list(*formats))
}

// list splits what commas separate.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

// build is one run of this program.
type build struct {
	release
	out     string // folder for what is built
	scratch string // folder for the way there
	source  string // folder with the sources, as in the archive
	nfpm    string // program; "" fetches it
	modules []module
	written []string // names of what is in out by now
}

// all builds everything.
func (b *build) all(ctx context.Context, top string, arches, formats []string) error {
	if err := b.archive(ctx, top); err != nil {
		return fmt.Errorf("source archive: %w", err)
	}
	var err error
	if b.modules, err = linked(ctx, b.source); err != nil {
		return err
	}
	if err := checkNotices(b.source, b.modules); err != nil {
		return err
	}
	if len(formats) == 0 {
		return b.sums()
	}
	// Completions and the like are the same on every architecture, and printed
	// by a binary that runs here.
	native, err := b.compile(ctx, runtime.GOARCH)
	if err != nil {
		return err
	}
	for _, arch := range slices.Sorted(slices.Values(arches)) {
		binary, err := b.compile(ctx, arch)
		if err != nil {
			return err
		}
		if err := b.materials(binary, arch); err != nil {
			return err
		}
		for _, format := range formats {
			if format == oci {
				continue
			}
			root, err := b.stage(ctx, stage{format: format, arch: arch, binary: binary, native: native})
			if err != nil {
				return fmt.Errorf("%s for %s: %w", format, arch, err)
			}
			if err := b.pack(ctx, root, format, arch); err != nil {
				return fmt.Errorf("%s for %s: %w", format, arch, err)
			}
		}
	}
	if slices.Contains(formats, oci) {
		if err := b.image(arches, func(arch string) (string, error) { return b.compile(ctx, arch) }); err != nil {
			return err
		}
	}
	return b.sums()
}

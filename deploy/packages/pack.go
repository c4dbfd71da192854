package main

import (
	"context"
	"os"
	"path/filepath"
)

// nfpmVersion is the newest that builds without modules that the public proxy
// refuses (2.46.3 and 2.48.0 need some).
const nfpmVersion = "v2.45.0"

// pack makes a package of a staged folder.
func (b *build) pack(ctx context.Context, dir, format, arch string) error {
	packed := filepath.Join(b.out, ".new")
	if err := os.MkdirAll(packed, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(packed)
	command := []string{b.nfpm}
	if b.nfpm == "" {
		command = []string{"go", "run", "github.com/goreleaser/nfpm/v2/cmd/nfpm@" + nfpmVersion}
	}
	command = append(command, "package", "--config", "nfpm.yaml", "--packager", format, "--target", packed)
	env := []string{"VERSION=" + b.version, "MAINTAINER=" + maintainer, "ARCH=" + arch, b.epoch(), "GOFLAGS=", "GOWORK=off", "GOOS=", "GOARCH="}
	if _, err := output(ctx, dir, env, command[0], command[1:]...); err != nil {
		return err
	}
	made, err := os.ReadDir(packed)
	if err != nil {
		return err
	}
	for _, file := range made {
		if err := b.publish(filepath.Join(packed, file.Name()), file.Name()); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// compile makes the static binary for an architecture and returns its path.
func (b *build) compile(ctx context.Context, arch string) (string, error) {
	binary := filepath.Join(b.scratch, "bin", arch, "ipe-auditd")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	// -s -w: no symbols, as everywhere else in a distribution. A panic still
	// names functions and lines. -buildid=: the id hashes the tools' own paths.
	_, err := output(ctx, b.source, goEnv(arch), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+b.version, "-o", binary, "./cmd/ipe-auditd")
	return binary, err
}

// goEnv fixes whatever the environment could change in a build from the source
// archive: the lowest level of each architecture, and no network.
func goEnv(arch string) []string {
	return []string{
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off",
		"GOFLAGS=-mod=vendor", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local",
	}
}

// epoch is what tools other than ours take the time from.
func (b *build) epoch() string {
	return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(b.time.Unix(), 10)
}

// output runs a command in a folder, with additions to the environment, and
// returns what it prints, without the newline at the end.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		shown := strings.Join(append([]string{name}, args[:min(2, len(args))]...), " ")
		// Some tools explain themselves on standard output.
		if text := strings.TrimSpace(stderr.String() + string(out)); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return "", fmt.Errorf("%s: %w", shown, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

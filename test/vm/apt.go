package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// apt is a state of apt's own in the cache directory, beside that of the host.
type apt struct {
	dir     string
	options []string
}

// securitySuite stands for the host's own source of security updates.
const securitySuite = "security"

// newApt brings the indexes of the suites up to date, from the mirrors that the
// host uses.
func newApt(ctx context.Context, cache string, suites ...string) (*apt, error) {
	a := &apt{dir: filepath.Join(cache, "apt")}
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	sources, err := Sources(ctx, suites...)
	if err != nil {
		return nil, err
	}
	list := filepath.Join(a.dir, strings.Join(suites, "+")+".list")
	if err := os.WriteFile(list, []byte(sources), 0o644); err != nil {
		return nil, err
	}
	for _, option := range []string{
		"Dir::Etc::SourceList=" + list, "Dir::Etc::SourceParts=-",
		"Dir::State::Lists=" + filepath.Join(a.dir, "lists"), "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"APT::Get::List-Cleanup=false", "APT::Sandbox::User=root", "Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "Acquire::Retries=2", "Acquire::http::Timeout=30",
	} {
		a.options = append(a.options, "-o", option)
	}
	_, err = a.run(ctx, "", "apt-get", "-qq", "update")
	return a, err
}

// Sources returns lines of a sources.list for suites of Debian, such as "sid".
// The mirror is the host's own.
func Sources(ctx context.Context, suites ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	var mirror, security, securityRelease string
	for line := range strings.Lines(string(out)) {
		uri, release, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case strings.HasSuffix(release, "-security") && security == "":
			security, securityRelease = uri, release
		case strings.HasSuffix(uri, "/debian/") && mirror == "":
			mirror = uri
		}
	}
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	signed := ""
	if _, err := os.Stat(keyring); err == nil {
		signed = "[signed-by=" + keyring + "] "
	}
	var b strings.Builder
	for _, suite := range suites {
		uri := mirror
		if suite == securitySuite {
			uri, suite = security, securityRelease
		}
		if uri == "" {
			return "", fmt.Errorf("no mirror of Debian for %s among the sources of apt", suite)
		}
		fmt.Fprintf(&b, "deb %s%s %s main\n", signed, uri, suite)
	}
	return b.String(), nil
}

// names returns the packages whose names match.
func (a *apt) names(ctx context.Context, pattern string) ([]string, error) {
	out, err := a.run(ctx, "", "apt-cache", "search", "--names-only", pattern)
	var names []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names, err
}

// unpack fetches a package and unpacks it into a folder of its name below dir.
// The folder appears when it is complete.
func (a *apt) unpack(ctx context.Context, name, dir string) error {
	final := filepath.Join(dir, name)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := a.run(ctx, work, "apt-get", "-qq", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s: %d files: %w", name, len(debs), err)
	}
	content := filepath.Join(work, "content")
	if _, err := a.run(ctx, work, "dpkg-deb", "-x", debs[0], content); err != nil {
		return err
	}
	if err := os.Rename(content, final); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// run runs a program of apt's or dpkg's and returns its output.
func (a *apt) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	if strings.HasPrefix(program, "apt-") {
		args = append(slices.Clone(a.options), args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

package packages

import (
	"context"
	"os/exec"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of asking.
const (
	patience = 10 * time.Second // for all paths together
	maxPaths = 1000
)

// Owners finds the packages of files. The zero Owners is ready to use. One goroutine
// at a time may use it.
type Owners struct {
	run   func(ctx context.Context, name string, args ...string) (string, error) // nil: real programs
	ctx   context.Context
	stop  context.CancelFunc
	known map[string]string
}

// Close ends what is still asked.
func (o *Owners) Close() {
	if o.stop != nil {
		o.stop()
	}
}

// Of returns the name and version of the package that has the file, as its manager
// prints them, empty where none has it or that cannot be found out. A path comes from
// a record: it need not be one of this host.
func (o *Owners) Of(file string) string {
	if !strings.HasPrefix(file, "/") || !utf8.ValidString(file) || strings.ContainsAny(file, "*?[]\\\n\x00") {
		return "" // dpkg would take it for a pattern
	}
	owner, known := o.known[file]
	if known {
		return owner
	}
	if o.known == nil {
		o.known = make(map[string]string)
		o.ctx, o.stop = context.WithTimeout(context.Background(), patience)
	}
	if len(o.known) >= maxPaths || o.ctx.Err() != nil {
		return ""
	}
	owner = o.ask(path.Clean(file))
	o.known[file] = owner
	return owner
}

func (o *Owners) ask(file string) string {
	for _, name := range aliases(file) {
		if out, err := o.output("dpkg-query", "-S", "--", name); err == nil {
			return o.dpkg(out, name)
		}
		out, err := o.output("rpm", "-qf", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", "--", name)
		if line, _, _ := strings.Cut(out, "\n"); err == nil && line != "" {
			return line
		}
	}
	return ""
}

// dpkg reads what dpkg-query -S has printed: "coreutils: /bin/true", with several
// packages before the colon for a directory, and lines about diversions.
func (o *Owners) dpkg(out, file string) string {
	for line := range strings.Lines(out) {
		names, of, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || of != file || strings.HasPrefix(line, "diversion by ") || strings.Contains(names, ", ") {
			continue
		}
		version, err := o.output("dpkg-query", "-W", "-f", "${Version}", "--", names)
		if err != nil || version == "" {
			return names
		}
		return names + " " + version
	}
	return ""
}

// aliases returns the names under which a package may have the file, where /bin, /lib
// and /sbin are links into /usr.
func aliases(file string) []string {
	for _, dir := range []string{"/bin/", "/sbin/", "/lib"} {
		if strings.HasPrefix(file, "/usr"+dir) {
			return []string{file, strings.TrimPrefix(file, "/usr")}
		}
		if strings.HasPrefix(file, dir) {
			return []string{file, "/usr" + file}
		}
	}
	return []string{file}
}

func (o *Owners) output(name string, args ...string) (string, error) {
	if o.run != nil {
		return o.run(o.ctx, name, args...)
	}
	cmd := exec.CommandContext(o.ctx, name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}

package config

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Bounds of what may be asked for.
const (
	leastBuffer = 64 * KiB
	mostBuffer  = 1 * GiB // SO_RCVBUF ends at INT_MAX/2: net/core/sock.c, __sock_set_rcvbuf
	leastSpool  = 1 * MiB
	leastRotate = 64 * KiB
	mostSize    = 1 * TiB

	mostPause = time.Hour
	mostAge   = 3650 * 24 * time.Hour

	// A path of a unix socket, with its NUL: unix(7), sun_path.
	mostSocketPath = 108
)

// config reads a whole file into c, except for the sinks: those are returned,
// because they do not replace each other key by key.
func (d *decoder) config(c *Config, root ast.Node) (sinks []Sink) {
	d.mapping("", root, keys{
		"source": d.section(keys{
			"receive_buffer": d.size(&c.Source.ReceiveBuffer, leastBuffer, mostBuffer),
		}),
		"spool": d.section(keys{
			"dir":    d.text(&c.Spool.Dir, orEmpty(absolute)),
			"size":   d.size(&c.Spool.Size, leastSpool, mostSize),
			"memory": d.size(&c.Spool.Memory, leastSpool, mostSize),
			"sync":   d.duration(&c.Spool.Sync, 0, mostPause),
		}),
		"api": d.section(keys{
			"path":  d.text(&c.API.Path, orEmpty(absoluteFile), socketPath),
			"mode":  d.mode(&c.API.Mode, 0o600, 0o666),
			"group": d.text(&c.API.Group, printableText),
		}),
		"metrics": d.section(keys{
			"textfile": d.textfile(&c.Metrics.Textfile),
		}),
		"log": d.section(keys{
			"level": d.text(&c.Log.Level, oneOf("debug", "info", "warn", "error")),
		}),
		"sinks": d.sinks(&sinks),
	})
	return sinks
}

// textfile reads the name of the file for node_exporter, whose textfile
// collector reads *.prom.
func (d *decoder) textfile(dst *string) value {
	read := d.text(dst, orEmpty(absoluteFile))
	return func(name string, n ast.Node) {
		read(name, n)
		if *dst != "" && !strings.HasSuffix(*dst, ".prom") {
			d.warnf(n, "%s: node_exporter reads only files whose names end in .prom", name)
		}
	}
}

// match reads one selection or a list of them.
func (d *decoder) match(dst *[]Selection) value {
	return func(name string, n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			if _, ok := n.(ast.ScalarNode); ok && n.Type() != ast.NullType {
				d.errorf(n, "%s wants a selection, as in {events: [lost]}, or a list of them, not %s", name, what(n))
				return
			}
			*dst = make([]Selection, 1)
			d.selection(&(*dst)[0])(name, n)
			return
		}
		if len(list.Values) == 0 {
			d.errorf(n, "%s is an empty list; leave the key out to take every event", name)
			return
		}
		*dst = make([]Selection, len(list.Values))
		for i, n := range list.Values {
			d.selection(&(*dst)[i])(fmt.Sprintf("%s[%d]", name, i), n)
		}
	}
}

func (d *decoder) selection(dst *Selection) value {
	return func(name string, n ast.Node) {
		d.mapping(name, n, keys{
			"events":   d.texts(&dst.Events, oneOf(eventNames()...)),
			"verdicts": d.texts(&dst.Verdicts, oneOf(verdictNames()...)),
			"ops":      d.familiar(&dst.Ops, ops()),
			"hooks":    d.familiar(&dst.Hooks, hooks()),
			"paths":    d.texts(&dst.Paths, glob),
			"not": func(name string, n ast.Node) {
				dst.Not = new(Selection)
				d.selection(dst.Not)(name, n)
			},
		})
		switch m, _ := n.(*ast.MappingNode); {
		case n.Type() == ast.NullType, m != nil && len(m.Values) == 0:
			d.errorf(n, "%s is an empty selection; leave it out or name something", name)
		}
	}
}

// familiar reads a list of names of the kernel. Names that are not known are
// allowed, because kernels learn new ones, but they may be slips.
func (d *decoder) familiar(dst *[]string, names []string) value {
	read := d.texts(dst)
	return func(name string, n ast.Node) {
		read(name, n)
		list, _ := n.(*ast.SequenceNode)
		if list == nil {
			return
		}
		for _, n := range list.Values {
			if s, ok := n.(*ast.StringNode); ok && !slices.Contains(names, s.Value) {
				d.warnf(n, "%s: no kernel is known to write %s%s", name, quote(s.Value), didYouMean(s.Value, names))
			}
		}
	}
}

// eventNames returns the names of all kinds of events.
func eventNames() []string {
	var names []string
	for k := ipe.Kind(0); k.String() != ""; k++ {
		names = append(names, k.String())
	}
	return names
}

// verdictNames returns the names of all verdicts.
func verdictNames() []string {
	var names []string
	for v := ipe.VerdictNone + 1; v.String() != ""; v++ {
		names = append(names, v.String())
	}
	return names
}

// ops returns the operations that kernels write (security/ipe/audit.c,
// audit_op_names; the IMA_ names before the merge, RFC v7).
func ops() []string {
	return []string{
		"EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "POLICY", "X509_CERT", "UNKNOWN",
		"IMA_POLICY", "IMA_X509_CERT",
	}
}

// hooks returns the hooks that kernels write (security/ipe/audit.c,
// audit_hook_names; BPRM_CREDS_FOR_EXEC since 6.19, EXECVE in RFC v7).
func hooks() []string {
	return []string{
		"BPRM_CHECK", "BPRM_CREDS_FOR_EXEC", "MMAP", "MPROTECT", "KERNEL_READ", "KERNEL_LOAD", "UNKNOWN",
		"EXECVE",
	}
}

// absolute checks that a text is an absolute path.
func absolute(s string) error {
	switch {
	case s == "":
		return errors.New("an empty text is not a path; give an absolute one")
	case !path.IsAbs(s):
		return fmt.Errorf("%s is not an absolute path; begin it with /", quote(s))
	}
	return printableText(s)
}

// absoluteFile checks that a text is the absolute path of something that is not
// a directory.
func absoluteFile(s string) error {
	if strings.HasSuffix(s, "/") {
		return fmt.Errorf("%s is a directory; name a file in it", quote(s))
	}
	return absolute(s)
}

// orEmpty allows an empty text too, which turns something off.
func orEmpty(c check) check {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return c(s)
	}
}

func socketPath(s string) error {
	if len(s) >= mostSocketPath {
		return fmt.Errorf("%s is too long for a socket; the kernel allows %d bytes", quote(s), mostSocketPath-1)
	}
	return nil
}

func printableText(s string) error {
	if strings.ContainsFunc(s, notText) {
		return fmt.Errorf("%s has control characters in it", quote(s))
	}
	return nil
}

func noNUL(s string) error {
	if strings.ContainsRune(s, 0) {
		return fmt.Errorf("%s has a NUL in it", quote(s))
	}
	return nil
}

// glob checks what all globs have in common; what they mean is not decided
// here.
func glob(s string) error {
	if s == "" {
		return errors.New("an empty text is not a glob")
	}
	if _, err := path.Match(strings.ReplaceAll(s, "**", "*"), ""); err != nil {
		return fmt.Errorf("%s is not a glob; close every [ and end in no \\", quote(s))
	}
	return nil
}

package config

import (
	"cmp"
	"errors"
	"fmt"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxFile bounds one file, in bytes.
const maxFile = 256 << 10

// Load reads a configuration file and its drop-ins. With an empty path it reads
// [DefaultFile], which need not exist; a file that is asked for must. Defaults
// for the spool's directory and the api's path come from $STATE_DIRECTORY and
// $RUNTIME_DIRECTORY.
//
// Warnings are returned also beside an error. The error is an [*schema.Error].
func Load(path string) (*Config, []schema.Problem, error) { return LoadIn(path, os.Getenv) }

// LoadIn is Load for a process with another environment: what a service will
// have, for example.
func LoadIn(path string, getenv func(string) string) (*Config, []schema.Problem, error) {
	l := loader{getenv: getenv, euid: os.Geteuid(), defaultFile: DefaultFile}
	return l.load(path)
}

// Parse reads one file that is already in memory; file is only its name for
// messages. It looks neither at drop-ins nor at the environment. The error is
// an [*schema.Error].
func Parse(file string, data []byte) (*Config, []schema.Problem, error) {
	l := loader{config: Defaults(), main: file}
	l.add(file, data)
	return l.result()
}

// ReadIn is Parse of what r has, with the defaults that [LoadIn] takes from the
// environment.
func ReadIn(file string, r io.Reader, getenv func(string) string) (*Config, []schema.Problem, error) {
	l := loader{config: inEnvironment(getenv), main: file}
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		l.refuse(file, fmt.Errorf("cannot be read: %w", err))
	case len(data) > maxFile:
		l.refuse(file, fmt.Errorf("is larger than %v", units.Size(maxFile)))
	default:
		l.add(file, data)
	}
	return l.result()
}

// loader merges files into one configuration.
type loader struct {
	getenv      func(string) string
	euid        int
	defaultFile string

	config    *Config
	heartbeat bool // a file says it
	main      string
	problems  []schema.Problem
	warnings  []schema.Problem
}

func (l *loader) load(path string) (*Config, []schema.Problem, error) {
	l.config = inEnvironment(l.getenv)
	l.main = cmp.Or(path, l.defaultFile)
	data, err := l.read(l.main)
	switch {
	case err == nil:
		l.add(l.main, data)
	case path == "" && errors.Is(err, fs.ErrNotExist):
	default:
		l.refuse(l.main, err)
	}
	l.dropIns(filepath.Join(filepath.Dir(l.main), "conf.d"))
	if errors.Is(err, fs.ErrNotExist) {
		l.main = "" // no warning is about a file that is not there
	}
	return l.result()
}

// dropIns adds the files of a directory, which need not exist.
func (l *loader) dropIns(dir string) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.refuse(dir, err)
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(file); {
		case strings.HasPrefix(e.Name(), "."):
			continue // of an editor
		case ext == ".yml":
			l.warn(file, "is not read; to be a drop-in its name must end in .yaml")
			continue
		case ext != ".yaml":
			continue
		}
		data, err := l.read(file)
		if err != nil {
			l.refuse(file, err)
			continue
		}
		l.add(file, data)
	}
}

// read returns the content of a file that only root or the daemon's own user
// can have written.
func (l *loader) read(file string) ([]byte, error) {
	// Opening a FIFO would wait for a writer.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err)) // names the file otherwise
	}
	defer f.Close()
	fi, err := f.Stat() // of what was opened: a name may change its meaning
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	if uid := int(fi.Sys().(*syscall.Stat_t).Uid); uid != 0 && uid != l.euid {
		return nil, fmt.Errorf("is owned by uid %d, who could change it; chown root %s", uid, text.Quote(file))
	}
	if mode := fi.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("has mode %04o, so that others may change it; chmod go-w %s", mode, text.Quote(file))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %v", units.Size(maxFile))
	}
	if fi, err := os.Stat(filepath.Dir(file)); err == nil && fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		l.warn(file, "is in a directory where everybody may replace it; chmod o-w "+text.Quote(filepath.Dir(file)))
	}
	return data, nil
}

// refuse takes an error about a file as a whole for a problem.
func (l *loader) refuse(file string, err error) {
	l.problems = append(l.problems, schema.Problem{File: file, Message: err.Error()})
}

func (l *loader) warn(file, message string) {
	l.warnings = append(l.warnings, schema.Problem{File: file, Message: message})
}

// add merges one file into the configuration.
func (l *loader) add(file string, data []byte) {
	d := &decoder{Decoder: schema.Decoder{File: file}}
	if root := d.Parse(data); root != nil {
		if sinks := d.config(l.config, root); sinks != nil {
			l.addSinks(d, sinks)
		}
		l.heartbeat = l.heartbeat || d.heartbeat
	}
	slices.SortStableFunc(d.Problems, func(a, b schema.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	l.problems = append(l.problems, d.Problems...)
	l.warnings = append(l.warnings, d.Warnings...)
}

// addSinks merges the sinks of one file, whose names differ, into those of the
// files before.
func (l *loader) addSinks(d *decoder, sinks []Sink) {
	if l.config.Sinks == nil {
		l.config.Sinks = []Sink{}
	}
	earlier := len(l.config.Sinks)
	for _, s := range sinks {
		i := slices.IndexFunc(l.config.Sinks[:earlier], func(o Sink) bool { return o.Name == s.Name })
		switch {
		case i < 0:
			l.config.Sinks = append(l.config.Sinks, s)
		case !s.named:
			p := s.at
			p.Message = fmt.Sprintf("a sink without a name is called by its type, but there is a %q in %s; give it a name of its own to add it, or name: %s to replace that one",
				s.Name, text.Quote(l.config.Sinks[i].at.File), s.Name)
			d.Problems = append(d.Problems, p)
		default:
			l.config.Sinks[i] = s
		}
	}
}

func (l *loader) result() (*Config, []schema.Problem, error) {
	l.check()
	if !l.heartbeat && slices.ContainsFunc(l.config.Sinks, func(s Sink) bool { return slices.Contains(fleetTypes, s.Type) }) {
		l.config.Heartbeat = DefaultHeartbeat
	}
	if len(l.problems) > 0 {
		return nil, l.warnings, &schema.Error{Problems: l.problems}
	}
	return l.config, l.warnings, nil
}

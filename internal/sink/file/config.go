package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// Type is the name of this type of sink.
const Type = "file"

// Bounds of what may be asked for.
const (
	leastSize = 64 * units.KiB
	mostSize  = units.TiB
	mostAge   = 3650 * 24 * time.Hour
	mostKeep  = 10_000
)

// Config is what a sink of type file has in the configuration.
type Config struct {
	Format string        `yaml:"format"`
	Path   string        `yaml:"path"`   // absolute
	Mode   fs.FileMode   `yaml:"mode"`   // permission bits of new files; 0: DefaultMode
	Group  string        `yaml:"group"`  // name or number; empty to leave the daemon's own
	Rotate *RotateConfig `yaml:"rotate"` // nil: never by the daemon itself
	Sync   bool          `yaml:"sync"`   // delivered means synced to the disk, not only written
}

// WritesRecords reports whether the file has the records as the kernel wrote them.
func (c *Config) WritesRecords() bool { return c.Format == "raw" }

// RotateConfig says when to begin a new file and what becomes of the old ones.
// The zero value never rotates.
//
// A rotated file keeps its directory and gets a suffix, the time of the
// rotation in UTC: events.json.20261123T133538.497Z, compressed with .gz behind.
// Only names of this form are ever compressed or removed.
type RotateConfig struct {
	Size     units.Size    `yaml:"size"`     // a file only grows beyond it by a single entry larger than that; 0: any
	Age      time.Duration `yaml:"age"`      // since the file got its first entry, checked when the next one comes; 0: any
	Keep     int           `yaml:"keep"`     // rotated files; 0: all
	Compress bool          `yaml:"compress"` // with gzip, in the background
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings { return &Config{Format: format.JSON, Mode: DefaultMode} }

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{
		"format": d.Text(&c.Format, schema.OneOf(format.JSON, format.Text, format.Raw)),
		"path":   d.Text(&c.Path, schema.AbsoluteFile),
		"mode":   d.Mode(&c.Mode, 0o600, 0o664),
		"group":  d.Text(&c.Group, schema.PrintableText),
		"rotate": c.rotate(d),
		"sync":   d.Bool(&c.Sync),
	}
}

func (c *Config) rotate(d *schema.Decoder) schema.Value {
	return func(name string, n ast.Node) {
		r := &RotateConfig{Size: 64 * units.MiB, Age: 24 * time.Hour, Keep: 14, Compress: true}
		c.Rotate = r
		d.Mapping(name, n, schema.Keys{
			"size":     schema.OrZero(&r.Size, d.Size(&r.Size, leastSize, mostSize)),
			"age":      schema.OrZero(&r.Age, d.Duration(&r.Age, time.Minute, mostAge)),
			"keep":     d.Number(&r.Keep, 1, mostKeep),
			"compress": d.Bool(&r.Compress),
		})
		if r.Size == 0 && r.Age == 0 {
			d.Errorf(n, "%s has neither size nor age, so it would never rotate; set one of them, or remove it", name)
		}
	}
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) {
	s.Require("path", "/var/log/ipe-auditd/events.json")
	s.CheckFormat(c.Format)
}

// Target implements [sink.Exclusive].
func (c *Config) Target() string {
	if c.Path == "" {
		return ""
	}
	return filepath.Clean(c.Path)
}

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	s, err := New(c)
	if err != nil {
		return sink.Built{}, err
	}
	s.report = func(err error) { e.Warn("sink: trouble that does not stop delivery", err) }
	return sink.Built{Sink: s, Format: format.Lines(c.Format)}, nil
}

// Probe looks whether the file, or one beside it, could be written.
func (c *Config) Probe(_ context.Context, h *sink.Host) probe.Finding {
	dir := filepath.Dir(c.Path)
	if err := probe.Group(c.Group); err != nil {
		return probe.Bad("make the group, or correct the key group", "%s cannot be made: %v", c.Path, err)
	}
	switch err := h.User.May(unix.W_OK|unix.X_OK, dir); {
	case errors.Is(err, probe.ErrOtherUser):
		return probe.CannotTell("whether the service may write to "+dir, "root", nil)
	case errors.Is(err, fs.ErrNotExist):
		return probe.Bad("make it, with the user of the service as its owner: install -d -m 0750 -o "+h.User.String()+" "+dir, "the folder %s is not there", dir)
	case err != nil:
		return probe.Bad("give it to the user of the service", "%v may not write to the folder: %v", h.User, err)
	}
	info, err := os.Lstat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It is made.
	case err != nil:
		return probe.CannotTell("how "+c.Path+" stands", "the right to look into the folder", err)
	case !info.Mode().IsRegular():
		return probe.Bad("move it away, or give the sink another path", "%s is there, and is not a regular file", c.Path)
	default:
		if err := h.User.May(unix.R_OK|unix.W_OK, c.Path); err != nil {
			return probe.Bad("give it to the user of the service", "%v may not write to the file: %v", h.User, err)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil && st.Bavail == 0 {
		return probe.Bad("make room; until then its events wait in the spool", "the disk of %s is full", dir)
	}
	return probe.Good("%v may write to %s", h.User, c.Path)
}

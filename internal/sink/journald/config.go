package journald

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// Type is the name of this type of sink.
const Type = "journald"

// Config is what a sink of type journald has in the configuration: nothing.
type Config struct{}

// NewConfig returns the defaults.
func NewConfig() sink.Settings { return &Config{} }

// Keys implements [sink.Settings].
func (c *Config) Keys(*schema.Decoder) schema.Keys { return schema.Keys{} }

// Check implements [sink.Settings].
func (c *Config) Check(*sink.Section) {}

// Build implements [sink.Settings].
func (c *Config) Build(*sink.Environment) (sink.Built, error) {
	return sink.Built{Sink: New(""), Format: format.AppendJournal}, nil
}

// Probe implements [sink.Settings].
func (c *Config) Probe(ctx context.Context, h *sink.Host) probe.Finding {
	path := filepath.Join(h.Root, DefaultPath)
	s := New(path)
	err := s.Open(ctx)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return probe.CannotTell("whether journald can be reached", "the right to connect to "+path, err)
	case err != nil:
		return probe.Bad("systemctl start systemd-journald.socket, or choose another type of sink", "journald cannot be reached: %v", err)
	}
	_ = s.Close()
	return probe.Good("journald can be reached")
}

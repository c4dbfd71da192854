package console

import (
	"context"
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// Type is the name of this type of sink.
const Type = "console"

// Config is what a sink of type console has in the configuration.
type Config struct {
	Format string `yaml:"format"`
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings { return &Config{Format: format.Text} }

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{"format": d.Text(&c.Format, schema.OneOf(format.JSON, format.Text))}
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) { s.CheckFormat(c.Format) }

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	encode := format.Lines(c.Format)
	if c.Format == format.Text && e.Colour {
		encode = format.AppendTextColour
	}
	out := e.Out
	if out == nil {
		out = os.Stdout
	}
	return sink.Built{Sink: New(out), Format: encode}, nil
}

// Probe implements [sink.Settings].
func (c *Config) Probe(context.Context, *sink.Host) probe.Finding {
	return probe.Good("writes to the standard output of the daemon")
}

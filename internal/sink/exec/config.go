package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// Type is the name of this type of sink.
const Type = "exec"

// The modes, as the configuration names them.
const (
	ModeStream = "stream" // one long-lived process, a line for each event
	ModeEach   = "each"   // one process for each event
)

// batch is large because a flush in mode each may wait for the next minute in
// which a run is allowed.
const batch = 4096

// Config is what a sink of type exec has in the configuration.
type Config struct {
	Format  string   `yaml:"format"`
	Command []string `yaml:"command"` // argument vector; the first is an absolute path
	Mode    string   `yaml:"mode"`    // ModeStream or ModeEach

	// Timeout is how long a run may take in mode each; 0 means DefaultTimeout. In
	// mode stream it is how long the process may read nothing while there is
	// something to read; 0 means for ever.
	Timeout time.Duration `yaml:"timeout"`

	// MaxPerMinute is how many runs may start in any minute, failed ones
	// included, in mode each; 0 means DefaultMaxPerMinute.
	MaxPerMinute int `yaml:"max_per_minute"`
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings {
	return &Config{Format: format.JSON, Mode: ModeStream, Timeout: DefaultTimeout, MaxPerMinute: DefaultMaxPerMinute}
}

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{
		"format":         d.Text(&c.Format, schema.OneOf(format.JSON)),
		"command":        d.Texts(&c.Command, schema.NoNUL),
		"mode":           d.Text(&c.Mode, schema.OneOf(ModeStream, ModeEach)),
		"timeout":        d.Duration(&c.Timeout, time.Second, time.Hour),
		"max_per_minute": d.Number(&c.MaxPerMinute, 1, 6000),
	}
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) {
	if !s.Require("command", "[/usr/local/libexec/page, --severity, high]") {
		return
	}
	if err := schema.AbsoluteFile(c.Command[0]); err != nil {
		s.Errorf(s.Given["command"], "%s.command[0]: %v; there is no shell and no $PATH", s.Name, err)
	}
	switch {
	case c.Mode == ModeStream && s.Given["max_per_minute"] != nil:
		s.Errorf(s.Given["max_per_minute"], "%s.max_per_minute is for mode each; set mode: each, or remove it", s.Name)
	case c.Mode == ModeStream:
		c.MaxPerMinute = 0
	case s.Given["match"] == nil:
		*s.Match = denialsAndNews()
	}
}

// denialsAndNews is what a process for each event hears unless told otherwise.
// In permissive mode the start of that process may itself be an event; with
// would_deny it would feed itself. A heartbeat and a checkpoint are no news.
func denialsAndNews() []match.Selection {
	return []match.Selection{
		{Verdicts: []string{"denied"}},
		{Not: &match.Selection{Events: []string{"access", "heartbeat", "checkpoint"}}},
	}
}

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	s, err := New(c)
	if err != nil {
		return sink.Built{}, err
	}
	s.stderr = newLineLog(func(line string) { e.Info("command says: " + line) })
	encode := format.Func(format.AppendJSON)
	if c.Mode == ModeEach {
		encode = AppendEntry
	}
	return sink.Built{Sink: s, Format: encode, Batch: batch}, nil
}

// Probe looks whether the command can be executed. Whether IPE would let it run
// cannot be asked without an event.
func (c *Config) Probe(_ context.Context, h *sink.Host) probe.Finding {
	command := c.Command[0]
	info, err := os.Stat(command)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return probe.CannotTell("whether "+command+" can be executed", "the right to look into its folder", err)
	case err != nil:
		return probe.Bad("install it, or correct the key command", "%v", err)
	case !info.Mode().IsRegular():
		return probe.Bad("correct the key command", "%s is not a regular file", command)
	}
	switch err := h.User.May(unix.X_OK, command); {
	case errors.Is(err, probe.ErrOtherUser):
		return probe.CannotTell("whether the service may execute "+command, "root", nil)
	case err != nil:
		return probe.Bad("make it executable for the user of the service", "%v may not execute the command: %v", h.User, err)
	case info.Mode().Perm()&0o022 != 0:
		return probe.Dubious(fmt.Sprintf("chmod go-w %s", command), "%s has mode %04o: others may change what the daemon executes", command, info.Mode().Perm())
	}
	return probe.Good("%v may execute %s", h.User, command)
}

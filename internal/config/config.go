package config

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// DefaultFile is the configuration that [Load] reads when it is given none.
const DefaultFile = "/etc/ipe-auditd/ipe-auditd.yaml"

// Config is the whole configuration. The yaml tags are the keys of the file.
type Config struct {
	Source  Source  `yaml:"source"`
	Spool   Spool   `yaml:"spool"`
	API     API     `yaml:"api"`
	Metrics Metrics `yaml:"metrics"`
	Log     Log     `yaml:"log"`

	// Heartbeat is how often the daemon says that it runs and what is in force; 0:
	// never. Where no file says it, that is DefaultHeartbeat with a sink that goes
	// to many hosts' engine, and 0 otherwise.
	Heartbeat Interval `yaml:"heartbeat"`

	Seal Seal `yaml:"seal"`

	// Sinks is nil when no file says anything about sinks: the caller then
	// takes [DefaultSinks]. It is empty but not nil for "sinks: []", which asks
	// for none.
	Sinks []Sink `yaml:"sinks"`
}

// Seal says whether checkpoints are signed.
type Seal struct {
	Key      string        `yaml:"key"`      // file with the private key, absolute; empty for no checkpoints
	Every    int           `yaml:"every"`    // events between two checkpoints
	Interval time.Duration `yaml:"interval"` // the longest that an event waits for one
}

// DefaultHeartbeat is the default of Config.Heartbeat where there is one.
const DefaultHeartbeat = Interval(5 * time.Minute)

// Interval is how often something is done; 0 is never.
type Interval time.Duration

// String returns the interval as a configuration has it.
func (i Interval) String() string {
	if i == 0 {
		return "off"
	}
	return units.FormatDuration(time.Duration(i))
}

// fleetTypes are the types of sinks whose receivers hear many hosts, and want to
// know which are silent.
var fleetTypes = []string{"otlp", "nats"}

// Source says how records are received.
type Source struct {
	// ReceiveBuffer is what is asked of the kernel for the socket's queue, in
	// bytes, before the kernel doubles it.
	ReceiveBuffer units.Size `yaml:"receive_buffer"`

	// Companions says whether the records that say who asked for an access are
	// received: CompanionsAuto, as long as not too many of them are foreign, or
	// CompanionsOff.
	Companions string `yaml:"companions"`

	// Join is for how long an access waits for them after it was received; 0 not
	// to wait.
	Join time.Duration `yaml:"join"`

	// Proctitle says whether those that hold command lines are among them.
	Proctitle bool `yaml:"proctitle"`
}

// The values of Source.Companions.
const (
	CompanionsAuto = "auto"
	CompanionsOff  = "off"
)

// Spool says where events rest until every sink has them.
type Spool struct {
	Dir    string        `yaml:"dir"`    // absolute; empty for the form in memory
	Size   units.Size    `yaml:"size"`   // bound of the form on disk, in bytes
	Memory units.Size    `yaml:"memory"` // bound of the form in memory, in bytes
	Sync   time.Duration `yaml:"sync"`   // longest time that an entry stays unsynced; 0 to sync without a pause
}

// API says where the feed is served, and to whom.
type API struct {
	Path  string      `yaml:"path"`  // of the unix socket, absolute; empty for no api
	Mode  fs.FileMode `yaml:"mode"`  // permission bits of the socket
	Group string      `yaml:"group"` // name or number; empty to leave the daemon's own
}

// Metrics says where metrics go beside the api.
type Metrics struct {
	Textfile string `yaml:"textfile"` // absolute; empty for none
}

// Log is about the daemon's own log.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn or error
}

// Where a sink without a cursor begins.
const (
	FromEnd    = "end"    // with the first event of this start
	FromOldest = "oldest" // with the oldest event in the spool
)

// Sink is one place to which events are delivered.
type Sink struct {
	Name  string            `yaml:"name"`  // unique: [a-z0-9][a-z0-9_-]{0,63}
	Type  string            `yaml:"type"`  // one of sinks.Names
	Match []match.Selection `yaml:"match"` // an event is taken if any selection matches; nil takes all
	From  string            `yaml:"from"`  // one of the From constants
	Raw   bool              `yaml:"raw"`   // add the record text as received to every event

	// Keys that events of this sink do not have; see format.Omittable.
	Omit []string `yaml:"omit"`

	// For how long accesses of one kind are counted behind the first one, and
	// not delivered; 0: never.
	Coalesce time.Duration `yaml:"coalesce"`

	Settings sink.Settings `yaml:",inline"` // what sinks of the type have of their own

	at    schema.Problem // where the sink is, without a message
	named bool           // the name is in the file, not made of the type
	omit  ast.Node       // while the sink is read
}

// Equal reports whether both sinks do the same under the same name. Where in
// the files they stand is no difference.
func (s Sink) Equal(other Sink) bool {
	s.at, other.at = schema.Problem{}, schema.Problem{}
	s.named, other.named = false, false
	return reflect.DeepEqual(s, other)
}

// Place returns where in the files the sink is: a problem without a message. It
// is nowhere when the sink comes from no file.
func (s *Sink) Place() schema.Problem { return s.at }

// schema.Problem returns a problem with the sink as a whole, at its place in the file:
// for what is found out only when the sink is built.
func (s *Sink) Problem(message string) schema.Problem {
	p := s.Place()
	p.Message = "sink " + text.Quote(s.Name) + ": " + message
	return p
}

// Defaults returns the configuration of an empty file without any environment:
// spool in memory, no api, Sinks nil.
func Defaults() *Config {
	return &Config{
		Source: Source{ReceiveBuffer: 128 * units.MiB, Companions: CompanionsAuto, Join: 100 * time.Millisecond, Proctitle: true},
		Spool:  Spool{Size: 256 * units.MiB, Memory: 16 * units.MiB, Sync: time.Second},
		API:    API{Mode: 0o660},
		Log:    Log{Level: "info"},
		Seal:   Seal{Every: 1000, Interval: 5 * time.Minute},
	}
}

// DefaultSinks returns what stands for a configuration without sinks: journald
// for a service, that is when NOTIFY_SOCKET is set, and the console otherwise.
func DefaultSinks(service bool) []Sink {
	if service {
		return []Sink{{Name: journald.Type, Type: journald.Type, From: FromEnd, Settings: journald.NewConfig()}}
	}
	return []Sink{{Name: console.Type, Type: console.Type, From: FromEnd, Settings: console.NewConfig()}}
}

// inEnvironment returns the defaults that hold in a service of systemd
// (systemd.exec(5), RuntimeDirectory= and StateDirectory=). The variables may
// list several directories; the first is ours.
func inEnvironment(getenv func(string) string) *Config {
	c := Defaults()
	c.Spool.Dir, _, _ = strings.Cut(getenv("STATE_DIRECTORY"), ":")
	if dir, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		c.API.Path = filepath.Join(dir, "api.sock")
	}
	return c
}

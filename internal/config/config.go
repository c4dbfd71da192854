package config

import (
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
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

	// Sinks is nil when no file says anything about sinks: the caller then
	// takes [DefaultSinks]. It is empty but not nil for "sinks: []", which asks
	// for none.
	Sinks []Sink `yaml:"sinks"`
}

// Source says how records are received.
type Source struct {
	// ReceiveBuffer is what is asked of the kernel for the socket's queue, in
	// bytes, before the kernel doubles it.
	ReceiveBuffer units.Size `yaml:"receive_buffer"`
}

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

// The types of sinks.
const (
	TypeConsole  = "console"
	TypeFile     = "file"
	TypeJournald = "journald"
	TypeSyslog   = "syslog"
	TypeExec     = "exec"
)

// The formats of sinks that have a choice.
const (
	FormatJSON = "json"
	FormatText = "text"
	FormatRaw  = "raw"
)

// Where a sink without a cursor begins.
const (
	FromEnd    = "end"    // with the first event of this start
	FromOldest = "oldest" // with the oldest event in the spool
)

// Sink is one place to which events are delivered. Of File, Syslog and Exec
// that of the type is set.
type Sink struct {
	Name   string      `yaml:"name"`   // unique: [a-z0-9][a-z0-9_-]{0,63}
	Type   string      `yaml:"type"`   // one of the Type constants
	Match  []Selection `yaml:"match"`  // an event is taken if any selection matches; nil takes all
	Format string      `yaml:"format"` // one of the Format constants; empty for journald and syslog
	From   string      `yaml:"from"`   // one of the From constants
	Raw    bool        `yaml:"raw"`    // add the record text as received to every event

	// For how long accesses of one kind are counted behind the first one, and
	// not delivered; 0: never.
	Coalesce time.Duration `yaml:"coalesce"`

	File   *File   `yaml:",inline"`
	Syslog *Syslog `yaml:",inline"`
	Exec   *Exec   `yaml:",inline"`

	at    schema.Problem // where the sink is, without a message
	named bool           // the name is in the file, not made of the type
}

// File is what a sink of type file has of its own.
type File struct {
	Path   string      `yaml:"path"`   // absolute
	Mode   fs.FileMode `yaml:"mode"`   // permission bits of new files
	Group  string      `yaml:"group"`  // name or number; empty to leave the daemon's own
	Rotate *Rotate     `yaml:"rotate"` // nil: never by the daemon itself
	Sync   bool        `yaml:"sync"`   // delivered means synced to the disk, not only written
}

// Rotate says when a file is put aside and what becomes of it.
type Rotate struct {
	Size     units.Size    `yaml:"size"` // in bytes; 0: at no size
	Age      time.Duration `yaml:"age"`  // 0: at no age
	Keep     int           `yaml:"keep"` // files beside the current one, at least 1
	Compress bool          `yaml:"compress"`
}

// The transports of syslog.
const (
	NetworkUnix = "unix"
	NetworkUDP  = "udp"
	NetworkTCP  = "tcp"
	NetworkTLS  = "tls"
)

// Syslog is what a sink of type syslog has of its own.
type Syslog struct {
	Address  string `yaml:"address"` // as in the file
	Network  string `yaml:"-"`       // the scheme of Address: one of the Network constants
	Target   string `yaml:"-"`       // the rest of Address: an absolute path, or host:port
	Facility string `yaml:"facility"`
	RFC      int    `yaml:"rfc"`   // 3164 or 5424
	SDID     string `yaml:"sd_id"` // SD-ID of the structured data of RFC 5424
	CA       string `yaml:"ca"`    // file, absolute; empty for the system's authorities
	Cert     string `yaml:"cert"`  // file, absolute; empty for no client certificate
	Key      string `yaml:"key"`   // file, absolute; set exactly when Cert is

	// MaxMessage is how long a message may be, in octets without what frames it;
	// longer ones are shortened. 0 on unix and udp: what fits.
	MaxMessage units.Size `yaml:"max_message"`
	Framing    string     `yaml:"framing"` // one of the Framing constants; empty on unix and udp
}

// The framings of syslog on tcp and tls.
const (
	FramingOctet = "octet"
	FramingLF    = "lf"
)

// UsualMessage is how long a message every usual receiver takes on a stream as it
// is delivered, in octets: rsyslog, which cuts longer ones in two, has 8096 for
// what its manual calls 8k (maxMessageSize).
const UsualMessage units.Size = 8096

// The modes of sinks of type exec.
const (
	ModeStream = "stream" // one long-lived process, a line for each event
	ModeEach   = "each"   // one process for each event
)

// Exec is what a sink of type exec has of its own.
type Exec struct {
	Command      []string      `yaml:"command"`        // argument vector; the first is an absolute path
	Mode         string        `yaml:"mode"`           // one of the Mode constants
	Timeout      time.Duration `yaml:"timeout"`        // of one run, or of the process taking one event
	MaxPerMinute int           `yaml:"max_per_minute"` // runs; 0 in mode stream
}

// Selection selects the events that satisfy all of its keys. A key that is nil
// is satisfied by every event, any other only by events that have the field and
// one of the values.
type Selection struct {
	Events   []string   `yaml:"events"`
	Verdicts []string   `yaml:"verdicts"`
	Ops      []string   `yaml:"ops"`
	Hooks    []string   `yaml:"hooks"`
	Paths    []string   `yaml:"paths"` // globs; not compiled here
	Not      *Selection `yaml:"not"`   // must not match
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
		Source: Source{ReceiveBuffer: 128 * units.MiB},
		Spool:  Spool{Size: 256 * units.MiB, Memory: 16 * units.MiB, Sync: time.Second},
		API:    API{Mode: 0o660},
		Log:    Log{Level: "info"},
	}
}

// DefaultSinks returns what stands for a configuration without sinks: journald
// for a service, that is when NOTIFY_SOCKET is set, and the console otherwise.
func DefaultSinks(service bool) []Sink {
	if service {
		return []Sink{{Name: TypeJournald, Type: TypeJournald, From: FromEnd}}
	}
	return []Sink{{Name: TypeConsole, Type: TypeConsole, Format: FormatText, From: FromEnd}}
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

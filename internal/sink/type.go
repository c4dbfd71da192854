package sink

import (
	"context"
	"io"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
)

// Type is one type of sink, as type: NAME of the configuration has it. Package
// sinks has the table of them.
type Type struct {
	Name     string
	Settings func() Settings // returns new ones, with their defaults
}

// Settings are what a sink has in the configuration beside the keys of every
// sink, and what follows from that. The struct has the keys in its yaml tags.
// Two Settings that are deeply equal make the same sink.
type Settings interface {
	// Keys returns the keys of this type of sink, each of which reads into the
	// options.
	Keys(d *schema.Decoder) schema.Keys

	// Check looks at what no key can check alone, and sets the defaults that
	// depend on other keys. It is called once all keys were read without a
	// problem.
	Check(s *Section)

	// Build makes the sink. It touches neither files nor the network.
	Build(e *Environment) (Built, error)

	// Probe finds out whether events can be delivered, without delivering one.
	Probe(ctx context.Context, h *Host) probe.Finding
}

// Exclusive are Settings of a sink that must be the only one to deliver to its
// place.
type Exclusive interface {
	// Target names the place, empty where that is not known yet.
	Target() string
}

// Environment is what the daemon has for its sinks.
type Environment struct {
	Name   string                          // of the sink
	Out    io.Writer                       // standard output
	Colour bool                            // whether a person sees that in colour
	Info   func(message string)            // writes to the daemon's log, from any goroutine
	Warn   func(message string, err error) // likewise

	Refused func(Refused) // is told what the sink gave up, from any goroutine; may be nil

	Version string // of ipe-auditd

	// Of this host: an id that is no other program's, and the release of its kernel.
	// Empty where they are not known, and where events may be of other hosts.
	HostID, Kernel string
}

// Built is a sink with the form in which it takes events.
type Built struct {
	Sink   Sink
	Format format.Func
	Batch  int // entries between two flushes; 0 for the runner's default
}

// Host is where the daemon runs, for Probe.
type Host struct {
	Root string        // "/", but in tests
	User probe.Account // as whom the daemon runs
}

// Section is one sink in a configuration.
type Section struct {
	*schema.Decoder
	Name  string              // what messages call it, as in sinks[0]
	Node  ast.Node            // all of it
	Given map[string]ast.Node // the keys that are there

	// Keys of every sink.
	Match    *[]match.Selection
	Raw      bool
	Coalesce time.Duration
}

// Require reports whether a key is there. If it is not, that is a problem.
func (s *Section) Require(key, example string) bool {
	if s.Given[key] == nil {
		s.Errorf(s.Node, "%s has no %s; add one, as in %s: %s", s.Name, key, key, example)
	}
	return s.Given[key] != nil
}

// CheckFormat looks at whether the keys of every sink go together with the format
// of lines.
func (s *Section) CheckFormat(name string) {
	if s.Coalesce > 0 && name == format.Raw {
		s.Errorf(s.Given["coalesce"], "%s.coalesce counts records, and format raw has no place for a number; set format: json, or remove it", s.Name)
	}
	if s.Raw && (name == format.Text || name == format.Raw) {
		s.Errorf(s.Given["raw"], "%s.raw adds nothing to format %s; set format: json, or remove it", s.Name, name)
	}
}

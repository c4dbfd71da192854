package daemon

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Console is where sinks of type console write.
type Console struct {
	Out    io.Writer
	Colour bool // whether a person sees it in colour
}

// build makes a sink and what selects its events. Of e it sets what follows from the
// others.
func build(c *config.Sink, e sink.Environment, log *zap.Logger) (sink.Built, *match.Matcher, error) {
	var matcher *match.Matcher
	if len(c.Match) > 0 {
		var err error
		if matcher, err = match.Compile(c.Match); err != nil {
			return sink.Built{}, nil, err
		}
	}
	log = log.With(zap.String("sink", c.Name))
	e.Name = c.Name
	e.Info = func(message string) { log.Info(message) }
	e.Warn = func(message string, err error) { log.Warn(message, zap.Error(err)) }
	built, err := c.Settings.Build(&e)
	return built, matcher, err
}

// environment returns what sinks may know of the daemon.
func (d *daemon) environment(name string) sink.Environment {
	e := sink.Environment{
		Out: d.Console.Out, Colour: d.Console.Colour, Refused: d.refused(name), Version: d.Version,
	}
	if d.Input == nil { // else events may be of other hosts
		e.HostID, e.Kernel = host.ApplicationID(), host.KernelRelease()
	}
	return e
}

// CheckSinks returns what is dubious and what is wrong with sinks beyond what the
// configuration's own rules say. The error is a *schema.Error. A nil list, for
// which the default stands, is good.
func CheckSinks(sinks []config.Sink) (warnings []schema.Problem, err error) {
	var problems []schema.Problem
	var matchers []*match.Matcher
	for i := range sinks {
		_, matcher, err := build(&sinks[i], sink.Environment{Out: io.Discard}, zap.NewNop())
		if err != nil {
			problems = append(problems, sinks[i].Problem(err.Error()))
		}
		matchers = append(matchers, matcher)
	}
	if problems != nil {
		return nil, &schema.Error{Problems: problems}
	}
	if sinks == nil {
		return nil, nil
	}
	// Whoever picks out denials soon forgets those that say that the rest
	// cannot be trusted.
	for _, kind := range []ipe.Kind{ipe.KindLost, ipe.KindEnforcement} {
		if !slices.ContainsFunc(matchers, func(m *match.Matcher) bool { return m.Reaches(kind) }) {
			w := schema.Problem{Message: fmt.Sprintf("no sink takes %q events; add {events: [%s]} to the match of one", kind, kind)}
			if len(sinks) > 0 {
				w.File = sinks[0].Place().File
			}
			warnings = append(warnings, w)
		}
	}
	return warnings, nil
}

// reopener is a sink that can be told that its file was moved.
type reopener interface{ Reopen() }

package daemon

import (
	"fmt"
	"io"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Console is where sinks of type console write.
type Console struct {
	Out    io.Writer
	Colour bool // whether a person sees it in colour
}

// outlet is a sink that was built, with the form in which it takes events.
type outlet struct {
	sink   sink.Sink
	format format.Func
	batch  int // entries between two flushes; 0 for the runner's default
}

// builders has one line for each type of sink.
var builders = map[string]func(c *config.Sink, console Console, log *zap.Logger) (outlet, error){
	config.TypeConsole:  buildConsole,
	config.TypeFile:     buildFile,
	config.TypeJournald: buildJournald,
	config.TypeSyslog:   buildSyslog,
	config.TypeExec:     buildExec,
}

func buildConsole(c *config.Sink, out Console, _ *zap.Logger) (outlet, error) {
	encode, err := lineFormat(c.Format)
	if err != nil {
		return outlet{}, err
	}
	if c.Format == config.FormatText && out.Colour {
		encode = format.AppendTextColour
	}
	w := out.Out
	if w == nil {
		w = os.Stdout
	}
	return outlet{sink: console.New(w), format: encode}, nil
}

func buildFile(c *config.Sink, _ Console, log *zap.Logger) (outlet, error) {
	encode, err := lineFormat(c.Format)
	if err != nil {
		return outlet{}, err
	}
	o := file.Options{
		Path: c.File.Path, Mode: c.File.Mode, Group: c.File.Group, Sync: c.File.Sync,
		Report: func(err error) {
			log.Warn("sink: trouble that does not stop delivery", zap.String("sink", c.Name), zap.Error(err))
		},
	}
	if r := c.File.Rotate; r != nil {
		o.Rotate = file.Rotation{Size: int64(r.Size), Age: r.Age, Keep: r.Keep, Compress: r.Compress}
	}
	s, err := file.New(o)
	return outlet{sink: s, format: encode}, err
}

func buildJournald(*config.Sink, Console, *zap.Logger) (outlet, error) {
	return outlet{sink: journald.New(""), format: format.AppendJournal}, nil
}

func buildSyslog(c *config.Sink, _ Console, _ *zap.Logger) (outlet, error) {
	facility, ok := syslog.Facility(c.Syslog.Facility)
	if !ok {
		return outlet{}, fmt.Errorf("unknown facility %q", c.Syslog.Facility)
	}
	form := format.Syslog{Facility: facility, SDID: c.Syslog.SDID, PID: os.Getpid()}
	encode, err := form.RFC5424()
	if c.Syslog.RFC == 3164 {
		encode, err = form.RFC3164()
	}
	if err != nil {
		return outlet{}, err
	}
	s, err := syslog.New(syslog.Options{
		Network: c.Syslog.Network, Address: c.Syslog.Target,
		MaxMessage: int(c.Syslog.MaxMessage), Framing: c.Syslog.Framing,
		CA: c.Syslog.CA, Cert: c.Syslog.Cert, Key: c.Syslog.Key,
	})
	return outlet{sink: s, format: encode}, err
}

// execBatch is large because a flush in mode each may wait for the next minute
// in which a run is allowed.
const execBatch = 4096

func buildExec(c *config.Sink, _ Console, log *zap.Logger) (outlet, error) {
	o := exec.Options{
		Command: c.Exec.Command, Mode: exec.Stream, Timeout: c.Exec.Timeout, MaxPerMinute: c.Exec.MaxPerMinute,
		Log: func(line string) { log.Info("command says: "+line, zap.String("sink", c.Name)) },
	}
	encode := format.Func(format.AppendJSON)
	if c.Exec.Mode == config.ModeEach {
		o.Mode, encode = exec.Each, exec.AppendEntry
	}
	s, err := exec.New(o)
	return outlet{sink: s, format: encode, batch: execBatch}, err
}

// lineFormat returns the line format of that name.
func lineFormat(name string) (format.Func, error) {
	switch name {
	case config.FormatJSON:
		return format.AppendJSON, nil
	case config.FormatText:
		return format.AppendText, nil
	case config.FormatRaw:
		return format.AppendRaw, nil
	}
	return nil, fmt.Errorf("unknown format %q", name)
}

// build makes a sink and what selects its events.
func build(c *config.Sink, out Console, log *zap.Logger) (outlet, *match.Matcher, error) {
	builder, ok := builders[c.Type]
	if !ok {
		return outlet{}, nil, fmt.Errorf("this build has no sinks of type %s", c.Type)
	}
	matcher, err := compile(c.Match)
	if err != nil {
		return outlet{}, nil, err
	}
	o, err := builder(c, out, log)
	return o, matcher, err
}

// compile makes a matcher of what the configuration says.
func compile(selections []config.Selection) (*match.Matcher, error) {
	if len(selections) == 0 {
		return nil, nil
	}
	list := make([]match.Selection, len(selections))
	for i := range selections {
		list[i] = *selection(&selections[i])
	}
	return match.Compile(list)
}

func selection(s *config.Selection) *match.Selection {
	if s == nil {
		return nil
	}
	return &match.Selection{
		Events: s.Events, Verdicts: s.Verdicts, Ops: s.Ops, Hooks: s.Hooks, Paths: s.Paths,
		Not: selection(s.Not),
	}
}

// CheckSinks returns what is dubious and what is wrong with sinks beyond what the
// configuration's own rules say. The error is a *schema.Error. A nil list, for
// which the default stands, is good.
func CheckSinks(sinks []config.Sink) (warnings []schema.Problem, err error) {
	var problems []schema.Problem
	var matchers []*match.Matcher
	for i := range sinks {
		_, matcher, err := build(&sinks[i], Console{Out: io.Discard}, zap.NewNop())
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

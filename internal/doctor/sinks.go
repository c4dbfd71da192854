package doctor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

const (
	// reachPatience is how long a receiver gets to answer.
	reachPatience = 5 * time.Second

	// lagIsLong is how far behind a sink may be, though nothing fails.
	lagIsLong = time.Minute
)

// sinkFacts is what trying a sink said.
type sinkFacts struct {
	config config.Sink
	found  Finding
}

// trySinks tries every sink, all at once.
func (f *facts) trySinks(ctx context.Context) []sinkFacts {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	sinks := f.wantedSinks()
	tried := make([]sinkFacts, len(sinks))
	var wg sync.WaitGroup
	for i, s := range sinks {
		wg.Go(func() { tried[i] = sinkFacts{s, f.try(ctx, &s)} })
	}
	wg.Wait()
	return tried
}

// wantedSinks returns the sinks of the configuration. When it names none and a
// daemon runs, that one knows which default it took.
func (f *facts) wantedSinks() []config.Sink {
	switch {
	case f.Config == nil:
		return nil
	case f.Config.Sinks != nil:
		return f.Config.Sinks
	case f.Daemon == nil:
		return config.DefaultSinks(true)
	}
	var sinks []config.Sink
	for _, service := range []bool{true, false} {
		for _, s := range config.DefaultSinks(service) {
			if f.sinkStatus(s.Name) != nil {
				sinks = append(sinks, s)
			}
		}
	}
	return sinks
}

// sinkStatus returns what the daemon says of a sink, or nil.
func (f *facts) sinkStatus(name string) *api.Sink {
	if f.Daemon == nil {
		return nil
	}
	if i := slices.IndexFunc(f.Daemon.Sinks, func(s api.Sink) bool { return s.Name == name }); i >= 0 {
		return &f.Daemon.Sinks[i]
	}
	return nil
}

// checkSinks says how each sink fares: what the daemon says of it goes before
// what trying it said.
func checkSinks(f *facts) []Finding {
	var found []Finding
	named := func(name string, finding Finding) {
		finding.Name = name
		found = append(found, finding)
	}
	for _, s := range f.sinks {
		st := f.sinkStatus(s.config.Name)
		switch {
		case f.Daemon == nil:
			named(s.config.Name, s.found)
		case st == nil:
			named(s.config.Name, warning("systemctl reload ipe-auditd, or name its configuration with --config", "the running daemon does not have this sink")[0])
		default:
			named(s.config.Name, judgeSink(st, s.found))
		}
	}
	if f.Daemon != nil {
		for _, st := range f.Daemon.Sinks {
			if !slices.ContainsFunc(f.sinks, func(s sinkFacts) bool { return s.config.Name == st.Name }) {
				named(st.Name, notConfigured(f, &st))
			}
		}
	}
	switch {
	case len(found) > 0:
		return found
	case f.Config == nil:
		return cannotTell("whether sinks can be reached", "a configuration that is good", nil)
	}
	return failure("configure one", "there is no sink: events are kept in the spool and delivered to nobody")
}

// notConfigured is about a sink that only the daemon knows.
func notConfigured(f *facts, st *api.Sink) Finding {
	finding := judgeSink(st, ok("the daemon delivers to it")[0])
	if finding.Status == OK && f.Config != nil {
		return warning("systemctl reload ipe-auditd, or name its configuration with --config", "the running daemon has this sink, the configuration does not")[0]
	}
	return finding
}

// judgeSink puts together what the daemon says and what trying said.
func judgeSink(st *api.Sink, tried Finding) Finding {
	lag := time.Duration(st.LagSeconds * float64(time.Second)).Round(time.Second)
	switch {
	case st.State == "retrying":
		advice := tried.Advice
		if tried.Status == OK {
			advice = "it can be reached from here, so look at the sandbox of the service: the drop-ins network.conf, exec.conf and group.conf open it; journalctl -u ipe-auditd says more"
		}
		return failure(advice, "fails since %s: %s", st.Since.Format(time.RFC3339), st.LastError)[0]
	case st.State == "stopped":
		return failure("restart the daemon", "has stopped: %s", st.LastError)[0]
	case tried.Status == Failure:
		return tried
	case lag >= lagIsLong:
		return warning("find out why it is slow", "is %d events and %v behind", st.LagEvents, lag)[0]
	case st.Overwritten > 0:
		return warning("find out why it was slow, or enlarge spool.size", "has missed %d events, which the spool had to give up", st.Overwritten)[0]
	case tried.unknown:
		return ok("the daemon delivers to it")[0]
	}
	return tried
}

// try finds out whether a sink can be reached, without delivering anything.
func (f *facts) try(ctx context.Context, s *config.Sink) Finding {
	if f.account.err != nil {
		return cannotTell("as whom the service runs", "the right to look at its process", f.account.err)[0]
	}
	return found(s.Settings.Probe(ctx, &sink.Host{Root: f.root, User: f.account.value}))[0]
}

package daemon

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/accesscount"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// textfileInterval is how often the metrics are written for a collector, which
// reads them once or a few times a minute.
const textfileInterval = 15 * time.Second

// serveAPI opens the feed, if the configuration asks for it. Without it the
// daemon still does what it is for, so a failure does not stop it.
func (d *daemon) serveAPI() {
	cfg := d.Config.API
	if cfg.Path == "" {
		return
	}
	server, err := api.Listen(api.Options{
		Path: cfg.Path, Mode: cfg.Mode, Group: cfg.Group,
		Spool: d.spool, Policy: d.policies.Policy, Host: d.hostname.Bytes, Status: d.status,
		Share: d.share,
		Join:  d.Config.Source.Join, Expect: d.who,
		ErrorLog: zap.NewStdLog(d.log),
	})
	if err != nil {
		d.log.Error("there is no feed: tail, status and metrics do not work until the next start", zap.Error(err))
		return
	}
	d.api = server
	go func() {
		if err := server.Serve(); err != nil {
			d.log.Error("the feed ended", zap.Error(err))
		}
	}()
}

// writeTextfile keeps the file for a metrics collector up to date until ctx
// ends.
func (d *daemon) writeTextfile(ctx context.Context) {
	path := d.Config.Metrics.Textfile
	if path == "" {
		return
	}
	write := func() {
		st := d.status()
		st.Complete(time.Now())
		if err := api.WriteTextfile(path, &st); err != nil {
			d.log.Warn("metrics could not be written", zap.Error(err))
		}
	}
	ticker := time.NewTicker(textfileInterval)
	defer ticker.Stop()
	for write(); ; write() {
		select {
		case <-ctx.Done():
			write()
			return
		case <-ticker.C:
		}
	}
}

// status is the state of the daemon now. It may be called from any goroutine.
func (d *daemon) status() api.Status {
	granted := d.conn.ReadBuffer()
	stats := d.conn.Stats()
	st := api.Status{
		Version: d.Version, PID: os.Getpid(), Host: string(d.hostname.Bytes()), Kernel: host.KernelRelease(), Since: d.since,
		Socket: &api.Socket{
			Inherited: d.Inherited.Audit != nil,
			Buffer:    int64(granted), Asked: int64(d.Config.Source.ReceiveBuffer),
			Types: d.types(d.who.off.Load()),
		},
		InForce:  d.inForce(),
		Received: stats.Received,
		Skipped:  map[string]uint64{"malformed": stats.Malformed, "filtered": stats.Filtered},
		Spool:    api.Measure(d.spool),
		Sinks:    d.sinks.status(time.Now()),
	}
	st.Spool.Dir, st.Spool.Limit = d.Config.Spool.Dir, int64(d.Config.Spool.Size)
	if st.Spool.Form == api.FormMemory {
		st.Spool.Limit = int64(d.Config.Spool.Memory)
	}
	for class := range d.receiver.classes {
		if c := ipe.Class(class); c != ipe.ClassIPE && c.String() != "" {
			st.Skipped[c.String()] = d.receiver.classes[class].Load()
		}
	}
	d.losses.status(&st)
	countAccesses(&st, d.accesses.Counts())
	d.auditStatus(&st)
	st.Companions = d.who.status()
	return st
}

// countAccesses fills in what was counted.
func countAccesses(st *api.Status, c accesscount.Counts) {
	st.Accesses = make(map[string]map[string]uint64)
	for v := ipe.VerdictNone + 1; v.String() != ""; v++ {
		ops := make(map[string]uint64)
		for _, op := range accesscount.Ops() {
			if n := c.Of(v, op); n > 0 {
				ops[op] = n
			}
		}
		st.Accesses[v.String()] = ops
	}
	st.AccessesMissed = c.Missed
	if c.LastDenial != 0 {
		st.LastDenial = time.UnixMilli(c.LastDenial)
	}
}

// status fills in what the reporter knows.
func (b *lossTracker) status(st *api.Status) {
	kernel := b.kernel.Status()
	st.KernelLosses = &api.KernelLosses{Source: string(kernel.Source), Accuracy: kernel.Accuracy.String(), Asked: kernel.Asked}
	if kernel.Err != nil {
		st.KernelLosses.Error = kernel.Err.Error()
	}
	for _, a := range []losses.Stage{losses.Socket, losses.Kernel, losses.Truncated} {
		n, exact := b.reporter.Total(a)
		accuracy := ipe.AccuracyExact
		if !exact {
			accuracy = ipe.AccuracyAtLeast
		}
		if a == losses.Kernel && kernel.Accuracy != ipe.AccuracyExact {
			accuracy = ipe.AccuracyAtLeast // more may have been lost than anybody says
		}
		st.Lost = append(st.Lost, api.Loss{Stage: a.Name(), Count: n, Accuracy: accuracy.String(), Last: b.reporter.Reported(a)})
	}
	st.Forged, _ = b.reporter.Total(losses.Forged)
}

// status returns how the sinks fare.
func (f *sinkSet) status(now time.Time) []api.Sink {
	f.mu.Lock()
	defer f.mu.Unlock()
	sinks := make([]api.Sink, 0, len(f.instances))
	for _, s := range f.instances {
		sinks = append(sinks, s.status(f.d, now))
	}
	return sinks
}

func (s *sinkInstance) status(d *daemon, now time.Time) api.Sink {
	st := s.runner.Status()
	lag, age := api.Lag(d.spool, st.Cursor, now)
	out := api.Sink{
		Name: s.config.Name, Type: s.config.Type, State: st.State.String(), Since: st.Since,
		LagEvents: lag, LagSeconds: age.Seconds(),
		Delivered: st.Delivered, Unmatched: st.Unmatched, Skipped: st.Skipped, Unparsed: st.Unparsed,
		Coalesced: st.Coalesced, EarlyFlushes: st.EarlyFlushes,
		Overwritten: st.Overwritten, Gaps: st.Gaps, Retries: st.Failures, SaveErrors: st.SaveErrors,
		LastDelivery: st.LastDelivery, LastErrorTime: st.LastErrorTime,
	}
	if c, ok := s.built.Sink.(sink.Counting); ok {
		for _, c := range c.Counters() {
			out.Counters = append(out.Counters, api.Counter{Name: c.Name, Label: c.Label, Value: c.Value, Count: c.Count, Help: c.Help})
		}
	}
	if st.LastError != nil {
		out.LastError = st.LastError.Error()
	}
	return out
}

// statusLine says in a line for the service manager how the daemon fares.
func (d *daemon) statusLine() string {
	if d.conn == nil {
		return "Reading an input"
	}
	st := d.status()
	line := fmt.Sprintf("Listening: %d records of IPE received", d.receiver.classes[ipe.ClassIPE].Load())
	var lost uint64
	about := ""
	for _, l := range st.Lost {
		lost += l.Count
		if l.Count > 0 && l.Accuracy != ipe.AccuracyExact.String() {
			about = "at least "
		}
	}
	line += fmt.Sprintf(", %s%d lost", about, lost)
	var failing []string
	for i := range st.Sinks {
		if st.Sinks[i].State == sink.Retrying.String() {
			failing = append(failing, st.Sinks[i].Name)
		}
	}
	if failing != nil {
		slices.Sort(failing)
		line += fmt.Sprintf("; %d of %d sinks failing: %s", len(failing), len(st.Sinks), strings.Join(failing, " "))
	}
	if st.Spool.Dir != "" && st.Spool.Form == api.FormMemory {
		line += "; the spool's disk is failing"
	}
	return line
}

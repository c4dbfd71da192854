package daemon

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// reloadPatience is how long a sink that a reload removes may go on delivering.
const reloadPatience = 5 * time.Second

// reload reopens files and puts a changed configuration into force. What is
// wrong with the new one leaves the old one in force. Sinks that did not change
// go on without noticing. When ctx ends, none that is removed gets more time.
func (d *daemon) reload(ctx context.Context) {
	// The time is for units of Type=notify-reload.
	d.Notify("RELOADING=1\n" + sd.SdNotifyMonotonicUsec() + "\nSTATUS=Reloading")
	defer func() { d.Notify("READY=1\nSTATUS=" + d.statusLine()) }()
	for _, s := range d.sinks.instances {
		if r, ok := s.built.Sink.(reopener); ok {
			r.Reopen()
		}
	}
	if d.Reload == nil {
		return
	}
	next, err := d.Reload()
	var warnings []schema.Problem
	if err == nil {
		warnings, err = CheckSinks(next.Sinks)
	}
	if err != nil {
		d.log.Error("the new configuration is refused; the old one stays in force", zap.Error(err))
		return
	}
	for _, w := range warnings {
		d.log.Warn(w.String())
	}
	changes := config.Diff(d.Config, next)
	if len(changes.Sections) > 0 {
		d.log.Warn("these sections take effect at the next restart only", zap.Strings("sections", changes.Sections))
	}
	ending := make(map[string]time.Duration)
	for _, name := range changes.Removed {
		ending[name] = reloadPatience
	}
	for _, name := range changes.Changed {
		ending[name] = 0 // the next one delivers the rest
	}
	// Where a changed sink stood is not read from the state directory: there may
	// be none, or it may be what fails.
	stood := d.sinks.stop(ctx, ending)
	// A sink that comes new begins here.
	end := d.spool.Append(nil)
	for i := range next.Sinks {
		if _, runs := d.sinks.instances[next.Sinks[i].Name]; runs {
			continue
		}
		begin := spool.Start{}
		if cursor := stood[next.Sinks[i].Name]; cursor != (spool.Cursor{}) {
			begin.After = &cursor
		} else {
			begin = d.sinks.begin(&next.Sinks[i], end)
		}
		if err := d.sinks.start(&next.Sinks[i], begin); err != nil {
			d.log.Error("sink could not be started", zap.Error(err))
		}
	}
	d.Config.Sinks, d.Config.Heartbeat = next.Sinks, next.Heartbeat
	if d.heartbeats != nil {
		d.setHeartbeat(time.Duration(next.Heartbeat))
	}
	d.log.Info("configuration reloaded", zap.Strings("added", changes.Added), zap.Strings("removed", changes.Removed),
		zap.Strings("changed", changes.Changed), zap.Strings("unchanged", changes.Unchanged))
}

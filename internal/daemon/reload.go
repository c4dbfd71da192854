package daemon

import (
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// reloadPatience is how long a sink that a reload ends may go on delivering.
const reloadPatience = 5 * time.Second

// reload reopens files and puts a changed configuration into force. What is
// wrong with the new one leaves the old one in force. Sinks that did not change
// go on without noticing.
func (d *daemon) reload() {
	d.Notify("RELOADING=1\nSTATUS=Reloading")
	defer d.Notify("READY=1\nSTATUS=Listening")
	for _, s := range d.sinks.ships {
		if r, ok := s.outlet.sink.(reopener); ok {
			r.Reopen()
		}
	}
	if d.Reload == nil {
		return
	}
	next, err := d.Reload()
	if err == nil {
		err = CheckSinks(next.Sinks)
	}
	if err != nil {
		d.log.Error("the new configuration is refused; the old one stays in force", zap.Error(err))
		return
	}
	changes := config.Diff(d.Config, next)
	if len(changes.Sections) > 0 {
		d.log.Warn("these sections take effect at the next restart only", zap.Strings("sections", changes.Sections))
	}
	for _, name := range append(changes.Removed, changes.Changed...) {
		d.sinks.stop(name, reloadPatience)
	}
	// A sink that comes new begins here.
	end := d.spool.Append(nil)
	for i := range next.Sinks {
		if _, runs := d.sinks.ships[next.Sinks[i].Name]; runs {
			continue
		}
		if err := d.sinks.start(&next.Sinks[i], end); err != nil {
			d.log.Error("sink could not be started", zap.Error(err))
		}
	}
	d.Config.Sinks = next.Sinks
	d.log.Info("configuration reloaded", zap.Strings("added", changes.Added), zap.Strings("removed", changes.Removed),
		zap.Strings("changed", changes.Changed), zap.Strings("unchanged", changes.Unchanged))
}

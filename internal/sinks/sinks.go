// Package sinks has the table of the types of sinks. It is the one place that
// knows all of them: their keys in the configuration, how they are built and
// how they are probed come from their own folders, below internal/sink.
package sinks

import (
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nats"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
)

// Types returns all types of sinks, in the order in which messages and the manual
// list them.
func Types() []sink.Type {
	return []sink.Type{
		{Name: console.Type, Settings: console.NewConfig},
		{Name: file.Type, Settings: file.NewConfig},
		{Name: journald.Type, Settings: journald.NewConfig},
		{Name: syslog.Type, Settings: syslog.NewConfig},
		{Name: otlp.Type, Settings: otlp.NewConfig},
		{Name: nats.Type, Settings: nats.NewConfig},
		{Name: exec.Type, Settings: exec.NewConfig},
	}
}

// Names returns the names of all types.
func Names() []string {
	var names []string
	for _, t := range Types() {
		names = append(names, t.Name)
	}
	return names
}

// Settings returns new options of a type, with their defaults, and nil for a type
// that does not exist.
func Settings(name string) sink.Settings {
	types := Types()
	if i := slices.IndexFunc(types, func(t sink.Type) bool { return t.Name == name }); i >= 0 {
		return types[i].Settings()
	}
	return nil
}

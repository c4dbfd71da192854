package config

import "slices"

// Changes says what a reload has to do. All names are of sinks.
type Changes struct {
	Sections  []string // source, spool, api, metrics, log: those that differ
	Unchanged []string
	Changed   []string
	Added     []string
	Removed   []string
}

// Diff compares two configurations. The order of sinks, and where in the files
// anything stands, is no difference. Callers that use [DefaultSinks] put them
// in before.
func Diff(before, after *Config) Changes {
	var ch Changes
	for _, s := range []struct {
		name string
		same bool
	}{
		{"source", before.Source == after.Source},
		{"spool", before.Spool == after.Spool},
		{"api", before.API == after.API},
		{"metrics", before.Metrics == after.Metrics},
		{"log", before.Log == after.Log},
	} {
		if !s.same {
			ch.Sections = append(ch.Sections, s.name)
		}
	}
	for _, s := range after.Sinks {
		switch old := before.sink(s.Name); {
		case old == nil:
			ch.Added = append(ch.Added, s.Name)
		case old.Equal(s):
			ch.Unchanged = append(ch.Unchanged, s.Name)
		default:
			ch.Changed = append(ch.Changed, s.Name)
		}
	}
	for _, s := range before.Sinks {
		if after.sink(s.Name) == nil {
			ch.Removed = append(ch.Removed, s.Name)
		}
	}
	return ch
}

// sink returns the sink of that name, or nil.
func (c *Config) sink(name string) *Sink {
	if i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Name == name }); i >= 0 {
		return &c.Sinks[i]
	}
	return nil
}

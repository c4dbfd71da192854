package config

import (
	"fmt"
	"path"
	"slices"
)

// check looks at the merged configuration: for what cannot work together, and
// for what can but is probably not meant.
func (l *loader) check() {
	c := l.config
	// From the environment, where no line of a file is to blame.
	for _, dir := range []struct{ variable, path string }{
		{"STATE_DIRECTORY", c.Spool.Dir},
		{"RUNTIME_DIRECTORY", c.API.Path},
	} {
		if dir.path != "" && !path.IsAbs(dir.path) {
			l.problems = append(l.problems, Problem{Message: fmt.Sprintf("$%s: %s is not an absolute path", dir.variable, quote(dir.path))})
		}
	}
	writers := make(map[string]string)
	for i := range c.Sinks {
		s := &c.Sinks[i]
		if s.File == nil || s.File.Path == "" {
			continue
		}
		file := path.Clean(s.File.Path)
		if other, ok := writers[file]; ok {
			l.problems = append(l.problems, s.Problem(fmt.Sprintf("writes to the same file as sink %q; give each its own", other)))
		}
		writers[file] = s.Name
	}
	if len(l.problems) > 0 {
		return // warnings about half a configuration mislead
	}

	if c.Spool.Dir == "" {
		l.warn(l.main, "the spool is in memory: what is not delivered when the daemon stops is gone; set spool.dir")
	}
	if c.API.Path != "" && c.API.Mode&0o002 != 0 {
		l.warn(l.main, fmt.Sprintf("api.mode %04o lets every user of this machine read all events", c.API.Mode))
	}
	if c.Sinks == nil {
		return // the default takes everything
	}
	for _, event := range []string{"lost", "enforcement"} {
		if !slices.ContainsFunc(c.Sinks, func(s Sink) bool { return takes(s.Match, event) }) {
			l.warn(l.main, fmt.Sprintf("no sink takes %q events; add {events: [%s]} to the match of one", event, event))
		}
	}
}

// takes reports whether events of a kind that has none of the fields that
// selections look at beside the kind are taken.
func takes(match []Selection, event string) bool {
	return match == nil || slices.ContainsFunc(match, func(s Selection) bool { return s.takes(event) })
}

func (s *Selection) takes(event string) bool {
	switch {
	case len(s.Verdicts)+len(s.Ops)+len(s.Hooks)+len(s.Paths) > 0:
		return false
	case s.Events != nil && !slices.Contains(s.Events, event):
		return false
	}
	return s.Not == nil || !s.Not.takes(event)
}

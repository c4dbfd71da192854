package config

import (
	"fmt"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"path"
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
			l.problems = append(l.problems, schema.Problem{Message: fmt.Sprintf("$%s: %s is not an absolute path", dir.variable, text.Quote(dir.path))})
		}
	}
	writers := make(map[string]string)
	for i := range c.Sinks {
		s := &c.Sinks[i]
		o, ok := s.Settings.(sink.Exclusive)
		if !ok || o.Target() == "" {
			continue
		}
		file := o.Target()
		if other, ok := writers[file]; ok {
			l.problems = append(l.problems, s.Problem(fmt.Sprintf("writes to the same place as sink %q; give each its own", other)))
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
}

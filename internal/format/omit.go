package format

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// omittable are the keys that a sink may leave out, and what takes each away. None
// of them is needed to tell an event from others, or what became of an access.
var omittable = []struct {
	key  string
	omit func(*ipe.Event)
}{
	{"comm", func(ev *ipe.Event) { ev.Comm = nil }},
	{"path", func(ev *ipe.Event) { ev.Path = nil }},
	{"pid", func(ev *ipe.Event) { ev.Has &^= ipe.HasPID }},
	{"euid", func(ev *ipe.Event) { ev.Has &^= ipe.HasEUID }},
	{"ppid", func(ev *ipe.Event) { ev.Has &^= ipe.HasPPID }},
	{"exit", func(ev *ipe.Event) { ev.Has &^= ipe.HasExit }},
	{"success", func(ev *ipe.Event) { ev.Success = ipe.Unknown }},
	{"syscall", func(ev *ipe.Event) { ev.Syscall = nil }},
	{"tty", func(ev *ipe.Event) { ev.TTY = nil }},
	{"exe", func(ev *ipe.Event) { ev.Exe = nil }},
	{"proctitle", func(ev *ipe.Event) { ev.Proctitle = nil }},
	{"cgroup", func(ev *ipe.Event) { ev.Cgroup = nil }},
	{"unit", func(ev *ipe.Event) { ev.Unit = nil }},
	{"user_unit", func(ev *ipe.Event) { ev.UserUnit = nil }},
	{"container", func(ev *ipe.Event) { ev.Container = nil }},
	{"pod", func(ev *ipe.Event) { ev.Pod = nil }},
	{"context", func(ev *ipe.Event) { ev.Context = 0 }},
	{"auid", func(ev *ipe.Event) { ev.Has &^= ipe.HasAUID }},
	{"uid", func(ev *ipe.Event) { ev.Has &^= ipe.HasUID }},
	{"ses", func(ev *ipe.Event) { ev.Has &^= ipe.HasSES }},
}

// Omittable returns the keys that may be left out.
func Omittable() []string {
	var keys []string
	for i := range omittable {
		keys = append(keys, omittable[i].key)
	}
	return keys
}

// Omission takes keys away from events. The nil Omission takes none.
type Omission struct {
	omit   []func(*ipe.Event)
	record bool // the record has one of them in its text
}

// NewOmission returns what takes the keys away, nil for none. An error names one
// that may not be left out.
func NewOmission(keys []string) (*Omission, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	o := &Omission{}
	for _, key := range keys {
		i := slices.IndexFunc(Omittable(), func(k string) bool { return k == key })
		if i < 0 {
			return nil, fmt.Errorf("%q cannot be left out, only %s", key, strings.Join(Omittable(), ", "))
		}
		o.omit = append(o.omit, omittable[i].omit)
		o.record = o.record || slices.Contains([]string{"comm", "path", "pid", "auid", "uid", "ses"}, key)
	}
	return o, nil
}

// HasRecord reports whether the text of a record has one of the keys, so that it
// must not be written either.
func (o *Omission) HasRecord() bool { return o != nil && o.record }

// Apply takes the keys away from ev, and the text of the record if that has one of
// them. Of a record that could not be read its text is all there is; it stays only
// if none of its keys is to be left out, and else says that it was.
func (o *Omission) Apply(ev *ipe.Event) {
	if o == nil {
		return
	}
	for _, omit := range o.omit {
		omit(ev)
	}
	if !o.record || ev.Raw == nil {
		return
	}
	ev.Raw = nil
	if ev.Kind == ipe.KindUnparsed {
		ev.Raw = bytes.Clone(omitted)
	}
}

var omitted = []byte("(left out)")

package format

import "github.com/ipe-auditd/ipe-auditd/pkg/ipe"

// caller writes who asked and where that ran, as far as it is known: "by root
// (auid 1000) /usr/bin/bash in nginx.service". The rest (parent, system call,
// terminal, command line) is for JSON and explain.
func (t *line) caller(ev *ipe.Event) {
	by := " by "
	if ev.Has&ipe.HasUID != 0 {
		t.str(by)
		t.userName(ev.UID)
		by = " "
	}
	t.otherIDs(ev, &by)
	t.value(by, ev.Exe)
	in := " in "
	if ev.UserUnit != nil {
		t.value(in, ev.UserUnit)
		in = " of "
	}
	t.value(in, ev.Unit)
	t.value(" in container ", ev.Container)
	t.value(" in pod ", ev.Pod)
	if ev.Context&ipe.ContextParent != 0 && (ev.Unit != nil || ev.UserUnit != nil || ev.Container != nil || ev.Pod != nil) {
		t.str(" (its parent)")
	}
}

// otherIDs writes who logged in, and as whom the process acts, where that is
// somebody else.
func (t *line) otherIDs(ev *ipe.Event, by *string) {
	uid := ev.Has&ipe.HasUID != 0
	auid := ev.Has&ipe.HasAUID != 0 && (!uid || ev.AUID != ev.UID)
	euid := ev.Has&ipe.HasEUID != 0 && (!uid || ev.EUID != ev.UID)
	if !auid && !euid {
		return
	}
	before, after := " (", ")"
	if !uid {
		before, after = *by, ""
	}
	if auid {
		t.str(before)
		t.str("auid ")
		t.num(uint64(ev.AUID))
		before = ", "
	}
	if euid {
		t.str(before)
		t.str("euid ")
		t.num(uint64(ev.EUID))
	}
	t.str(after)
	*by = " "
}

// userName writes the name of a user, or the number.
func (t *line) userName(uid uint32) {
	if t.user != nil {
		if name := t.user(uid); name != "" {
			t.value("", []byte(name))
			return
		}
	}
	t.str("uid ")
	t.num(uint64(uid))
}

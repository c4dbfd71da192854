package explain

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// who says who asked, from the user down to the system call, as far as it is known.
func (e *Explainer) who(ev *ipe.Event) []string {
	var lines []string
	add := func(parts ...string) {
		var known []string
		for _, part := range parts {
			if part != "" {
				known = append(known, part)
			}
		}
		if len(known) > 0 {
			lines = append(lines, strings.Join(known, ", "))
		}
	}
	add(e.id("user", ev.UID, ev.Has&ipe.HasUID != 0),
		e.id("acting as", ev.EUID, ev.Has&ipe.HasEUID != 0 && (ev.Has&ipe.HasUID == 0 || ev.EUID != ev.UID)),
		e.id("logged in as", ev.AUID, ev.Has&ipe.HasAUID != 0), number("session", uint64(ev.SES), ev.Has&ipe.HasSES != 0), named("terminal", ev.TTY))
	add(named("program", ev.Exe), number("pid", ev.PID, ev.Has&ipe.HasPID != 0 && ev.CallerKnown()), number("child of pid", ev.PPID, ev.Has&ipe.HasPPID != 0))
	add(commandLine(ev))
	add(named("unit", ev.Unit), named("unit of the user", ev.UserUnit), named("container", ev.Container), named("pod", ev.Pod))
	add(named("cgroup", ev.Cgroup), of(ev.Context&ipe.ContextParent != 0, "that of its parent: the process itself was gone"))
	add(systemCall(ev))
	add(of(ev.Context&ipe.ContextOff != 0, "the kernel's records of the system call were shut out then, because too many were of others"))
	return lines
}

func of(when bool, what string) string {
	if when {
		return what
	}
	return ""
}

func named(what string, name []byte) string {
	return of(name != nil, what+" "+text.Name(name))
}

func number(what string, n uint64, known bool) string {
	return of(known, what+" "+strconv.FormatUint(n, 10))
}

// id names a user by name and number.
func (e *Explainer) id(what string, uid uint32, known bool) string {
	if !known {
		return ""
	}
	if e.User != nil {
		if name := e.User(uid); name != "" {
			return fmt.Sprintf("%s %s (%d)", what, text.Name(name), uid)
		}
	}
	return fmt.Sprintf("%s %d", what, uid)
}

func commandLine(ev *ipe.Event) string {
	return of(ev.Proctitle != nil, "command line: "+string(text.AppendEscaped(nil, ev.Proctitle)))
}

// systemCall says what was called, and what came of that.
func systemCall(ev *ipe.Event) string {
	if ev.Syscall == nil {
		return ""
	}
	line := "system call " + text.Name(ev.Syscall)
	switch {
	case ev.Success == ipe.True:
		return line + ", which succeeded"
	case ev.Has&ipe.HasExit == 0:
		return line
	}
	if name := unix.ErrnoName(syscall.Errno(-ev.Exit)); ev.Exit < 0 && name != "" {
		return line + ", which failed: " + name
	}
	return line + ", which returned " + strconv.FormatInt(ev.Exit, 10)
}

package ipe

import (
	"bytes"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// The types of the companions: the records that the kernel sends with the stamp
// and serial of an access, behind it, where the task has an audit context
// (audit_log_exit, kernel/auditsc.c). TypeEOE, which is empty, is the last.
const (
	TypeSyscall   = 1300 // AUDIT_SYSCALL
	TypePath      = 1302 // AUDIT_PATH
	TypeCWD       = 1307 // AUDIT_CWD
	TypeExecve    = 1309 // AUDIT_EXECVE
	TypeEOE       = 1320 // AUDIT_EOE
	TypeProctitle = 1327 // AUDIT_PROCTITLE
)

// Companions returns the types of companions that a filter for the kernel's socket
// must let pass for all that an event can say of its caller; without the command
// line, none that may hold it. TypeCWD and TypePath say nothing about the caller.
func Companions(commandLine bool) []uint16 {
	if !commandLine {
		return []uint16{TypeSyscall, TypeEOE}
	}
	return []uint16{TypeSyscall, TypeExecve, TypeEOE, TypeProctitle}
}

// IsCompanion reports whether a record of this type may belong to an access.
func IsCompanion(typ uint16) bool {
	switch typ {
	case TypeSyscall, TypePath, TypeCWD, TypeExecve, TypeEOE, TypeProctitle:
		return true
	}
	return false
}

// Key is what the records of one audit event have in common. Serials alone come
// again after a boot.
type Key struct {
	Time   int64 // milliseconds since 1970 UTC
	Serial uint64
}

// KeyOf returns the stamp and serial of a record; ok is false without a stamp.
func KeyOf(text []byte) (k Key, ok bool) {
	stamp, _, ok := auditrec.CutStamp(text)
	return Key{stamp.Time, stamp.Serial}, ok
}

// Join adds to ev, an access or a change of audit that this Decoder has decoded last, what a companion
// says of its caller, and reports whether it says anything. The record must have
// the same stamp and serial; what it says of another process, or cannot be read, is
// left out. What is known already stays. The event views text, too.
//
// One companion may be joined to several events, and several to one, in any order.
func (d *Decoder) Join(ev *Event, typ uint16, text []byte) bool {
	_, body, _ := auditrec.CutStamp(text)
	body = trim(body)
	said := false
	switch typ {
	case TypeSyscall:
		said = d.joinSyscall(ev, body)
	case TypeProctitle:
		said = d.joinProctitle(ev, body)
	case TypeExecve:
		said = d.joinExecve(ev, body)
	}
	if said {
		ev.Context |= ContextAudit
	}
	return said
}

// joinSyscall reads
//
//	arch=c000003e syscall=59 success=no exit=-13 a0=... items=0 ppid=1 pid=9 auid=0 uid=0 gid=0 euid=0
//	suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 comm=U exe=U subj=... key=(null)
//
// of audit_log_exit and audit_log_task_info (kernel/auditsc.c, kernel/audit.c).
// success and exit are absent where the call did not return. Of a key that is
// there twice the first counts.
func (d *Decoder) joinSyscall(ev *Event, body []byte) bool {
	var f syscallFields
	if !f.read(body) || ev.Has&HasPID != 0 && f.pid != nil && !isNumber(f.pid, ev.PID) {
		return false
	}
	if ev.Syscall == nil && f.syscall != nil {
		ev.Syscall = d.syscallName(f.arch, f.syscall)
	}
	if ev.Success == Unknown {
		switch string(f.success) {
		case "yes":
			ev.Success = True
		case "no":
			ev.Success = False
		}
	}
	if ev.Has&HasExit == 0 {
		setInt(ev, HasExit, &ev.Exit, f.exit)
	}
	if ev.Kind == KindAuditConfig && ev.Has&HasPID == 0 {
		setUint(ev, HasPID, &ev.PID, f.pid) // most of their records have none
	}
	if ev.Has&HasPPID == 0 {
		setUint(ev, HasPPID, &ev.PPID, f.ppid)
	}
	joinID(ev, HasAUID, &ev.AUID, f.auid)
	joinID(ev, HasUID, &ev.UID, f.uid)
	joinID(ev, HasEUID, &ev.EUID, f.euid)
	joinID(ev, HasSES, &ev.SES, f.ses)
	if ev.TTY == nil {
		ev.TTY = known(f.tty) // which is printed as it is
	}
	if ev.Exe == nil && !ev.isExecuted() {
		ev.Exe = d.ofCaller(ev, f.exe)
	}
	return true
}

// isExecuted reports whether the process runs the object of the access by now, or
// what that is part of: an exec has succeeded. One that only asks whether it would
// (AT_EXECVE_CHECK) has a hook of its own.
func (ev *Event) isExecuted() bool {
	if ev.Success == False || string(ev.Hook) == "BPRM_CREDS_FOR_EXEC" {
		return false
	}
	switch string(ev.Syscall) {
	case "execve", "execveat":
		return true
	}
	return string(ev.Hook) == "BPRM_CHECK" // of an architecture without names
}

// syscallFields are the values of a TypeSyscall; nil is absent.
type syscallFields struct {
	arch, syscall, success, exit, ppid, pid, auid, uid, euid, tty, ses, exe auditrec.Value
}

// read reports whether body can be such a record.
func (f *syscallFields) read(body []byte) bool {
	for {
		key, rest, ok := auditrec.CutKey(body)
		if !ok {
			if len(key) == 0 {
				return f.arch != nil || f.syscall != nil || f.pid != nil
			}
			body = rest // a word that is no field
			continue
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			return false
		}
		body = rest
		if to := f.field(key); to != nil && *to == nil {
			*to = v
		}
	}
}

func (f *syscallFields) field(key []byte) *auditrec.Value {
	switch string(key) {
	case "arch":
		return &f.arch
	case "syscall":
		return &f.syscall
	case "success":
		return &f.success
	case "exit":
		return &f.exit
	case "ppid":
		return &f.ppid
	case "pid":
		return &f.pid
	case "auid":
		return &f.auid
	case "uid":
		return &f.uid
	case "euid":
		return &f.euid
	case "tty":
		return &f.tty
	case "ses":
		return &f.ses
	case "exe":
		return &f.exe
	}
	return nil
}

func isNumber(v auditrec.Value, want uint64) bool {
	n, ok := auditrec.Uint(v)
	return ok && n == want
}

func joinID(ev *Event, has Has, n *uint32, v auditrec.Value) {
	if ev.Has&has == 0 {
		setID(ev, has, n, v)
	}
}

// known returns nil for "(none)" and "(null)", which the kernel prints where there
// is nothing.
func known(v auditrec.Value) []byte {
	switch string(v) {
	case "(none)", "(null)":
		return nil
	}
	return plain(v)
}

// ofCaller returns an untrusted string of a companion.
func (d *Decoder) ofCaller(ev *Event, v auditrec.Value) []byte {
	if known(v) == nil {
		return nil
	}
	return d.untrusted(ev, v)
}

// joinProctitle reads proctitle=U (audit_log_proctitle, kernel/auditsc.c).
func (d *Decoder) joinProctitle(ev *Event, body []byte) bool {
	key, rest, ok := auditrec.CutKey(body)
	if !ok || string(key) != "proctitle" || ev.Proctitle != nil && !d.argv {
		return false
	}
	v, _, ok := auditrec.CutValue(rest)
	if !ok {
		return false
	}
	title := bytes.TrimRight(d.ofCaller(ev, v), "\x00")
	if len(title) == 0 {
		return false
	}
	ev.Proctitle, d.argv = title, false
	if bytes.IndexByte(title, 0) >= 0 {
		start := len(d.scratch)
		for _, c := range title {
			if c == 0 {
				c = ' '
			}
			d.scratch = append(d.scratch, c)
		}
		ev.Proctitle = d.scratch[start:len(d.scratch):len(d.scratch)]
	}
	return true
}

// joinExecve reads argc=N a0=U a1=U ... (audit_log_execve_info, kernel/auditsc.c),
// which stands in for a command line that was lost. Long arguments come in pieces,
// a1_len=N a1[0]=U, and end it here.
func (d *Decoder) joinExecve(ev *Event, body []byte) bool {
	if ev.Proctitle != nil {
		return false
	}
	start := len(d.scratch)
	for n := uint64(0); ; {
		key, rest, ok := auditrec.CutKey(body)
		if !ok {
			break
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			break
		}
		body = rest
		if string(key) == "argc" && n == 0 {
			continue
		}
		if key[0] != 'a' || !isNumber(auditrec.Value(key[1:]), n) {
			break
		}
		if n++; n > 1 {
			d.scratch = append(d.scratch, ' ')
		}
		if v.Quoted() {
			d.scratch = append(d.scratch, v.Text()...)
		} else if s, ok := auditrec.AppendHex(d.scratch, v); ok {
			d.scratch = s
		}
	}
	if len(d.scratch) == start {
		return false
	}
	ev.Proctitle, d.argv = d.scratch[start:len(d.scratch):len(d.scratch)], true
	return true
}

// syscallName returns the name of a system call, or its number where it has none.
func (d *Decoder) syscallName(arch, number auditrec.Value) []byte {
	a, err := strconv.ParseUint(string(arch), 16, 32)
	n, ok := auditrec.Uint(number)
	if err != nil || !ok {
		return plain(number)
	}
	name := syscallName(uint32(a), n)
	if name == "" {
		return plain(number)
	}
	start := len(d.scratch)
	d.scratch = append(d.scratch, name...)
	return d.scratch[start:len(d.scratch):len(d.scratch)]
}

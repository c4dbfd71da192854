package vm_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// whoAsked are about who caused an access, which the kernel says in further records
// where audit is enabled. They need an active policy that is strict.
var whoAsked = []scenario{
	{"who was denied", func(t *testing.T, s *session) {
		s.enforce(t, true)
		asked(t, s, wire.Call{UID: 1234, GID: 1234})
		asked(t, s, wire.Call{})
	}},
	{"who would have been denied", func(t *testing.T, s *session) {
		s.enforce(t, false)
		asked(t, s, wire.Call{UID: 1234, GID: 1234})
	}},
}

// asked has a user execute files until an event says who it was, and compares it. On a
// busy host without KVM the kernel's further records may come later than the daemon
// waits for them (source.join), which is no fault.
func asked(t *testing.T, s *session, how wire.Call) {
	t.Helper()
	for range 10 {
		file, _ := s.newFile(t)
		d := s.actCall(t, nil, &how, "exec", file)
		events := []event{s.next(t)}
		if !s.enforcing { // the ELF loader's mmap, of the same system call
			events = append(events, s.next(t))
		}
		said := 0
		for _, ev := range events {
			if context, _ := ev["context"].([]any); slices.Contains(context, any("audit")) {
				said++
				s.saysWho(t, ev, d.PID, file, how)
			}
		}
		if said == len(events) {
			return
		}
	}
	t.Error("no event says who it was")
}

// saysWho compares what an event says of who executed a file. After an exec that
// succeeded the exe of the record is the object, so there is none.
func (s *session) saysWho(t *testing.T, ev event, pid int, file string, how wire.Call) {
	t.Helper()
	want := map[string]any{
		"path": file, "verdict": s.verdict(), "uid": how.UID, "euid": how.UID, "syscall": "execve", "pid": pid,
		"success": !s.enforcing, "exit": 0, "exe": nil, "auid": nil, "ses": nil, "tty": nil,
		"proctitle": file, // what the process became
	}
	if s.enforcing {
		want["exit"], want["exe"], want["proctitle"] = -13, "/init", "/bin/act exec "+file
	}
	for key, value := range want {
		if got := ev[key]; fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v, in %v", key, got, value, ev)
		}
	}
}

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

// asked has a user execute a file, and compares what the event says of the user and
// the program. After an exec that succeeded, /proc/PID/exe and the exe of the record
// are the object, so there is none.
func asked(t *testing.T, s *session, how wire.Call) {
	t.Helper()
	file, _ := s.newFile(t)
	d := s.actCall(t, nil, &how, "exec", file)
	ev := s.next(t)
	want := map[string]any{
		"path": file, "verdict": s.verdict(), "uid": how.UID, "euid": how.UID, "syscall": "execve", "pid": d.PID,
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
	context, _ := ev["context"].([]any)
	if !slices.Contains(context, any("audit")) {
		t.Errorf("context is %v, want audit in it", ev["context"])
	}
	if !s.enforcing { // the ELF loader's mmap, of the same system call
		if ev := s.next(t); ev["syscall"] != "execve" || fmt.Sprint(ev["uid"]) != fmt.Sprint(how.UID) {
			t.Errorf("the mmap is said to be of %v by %v", ev["syscall"], ev["uid"])
		}
	}
}

package vm_test

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// Record types, include/uapi/linux/audit.h.
const (
	typeSyscall        = 1300
	typeAccess         = 1420
	typeLandlockAccess = 1423
)

// neighbours are other records beside IPE's. They need an active policy that is
// strict, and audit to be on.
var neighbours = []scenario{
	{"denials of Landlock", func(t *testing.T, s *session) { landlocked(t, s, true) }},
}

// switches turn audit on and off in a kernel that was started without a word
// about it. IPE's records come in any case; what is beside them differs. They
// need an active policy that is strict.
var switches = []scenario{
	{"audit is off", func(t *testing.T, s *session) { withAudit(t, s, false) }},
	{"audit is switched on", func(t *testing.T, s *session) { withAudit(t, s, true) }},
	{"audit is switched off again", func(t *testing.T, s *session) { withAudit(t, s, false) }},
}

// withAudit switches audit and looks at an execution, which is two events: with
// audit on they are of one system call and have one stamp, and its own record
// comes with them.
func withAudit(t *testing.T, s *session, on bool) {
	enabled := "0"
	if on {
		enabled = "1"
	}
	wantErrno(t, "AUDIT_SET", s.act(t, "audit-set", "enabled", enabled), 0)
	s.enforce(t, false)
	file, ino := s.newFile(t)
	var serial any
	capture := s.capture(t, func() {
		d := s.act(t, "exec", file)
		wantErrno(t, "execve", d, 0)
		want := s.ran(d.PID, file, path.Base(file), ino)
		first, second := s.next(t), s.next(t)
		s.same(t, first, want[0])
		s.same(t, second, want[1])
		serial = second["serial"]
		if one := first["serial"] == serial; one != on {
			t.Errorf("serials %v and %v", first["serial"], serial)
		}
	})
	syscalls := 0
	for _, r := range records(t, capture) {
		if r.typ == typeSyscall && r.serial == fmt.Sprint(serial) {
			syscalls++
		}
	}
	if on != (syscalls == 1) {
		t.Errorf("%d SYSCALL records with serial %v", syscalls, serial)
	}
	landlocked(t, s, on)
}

// landlocked has Landlock refuse two things, the second of them while a script
// is executed that IPE has just judged. Its records, from 6.15 on where audit is
// on, have a number that IPE's had before the merge. The daemon counts them and
// tells no event.
func landlocked(t *testing.T, s *session, audit bool) {
	const (
		name   = "/tmp/ipe_op=EXECUTE"
		script = "/tmp/sandboxed"
	)
	s.enforce(t, false)
	nameIno := s.put(t, name, nil)
	ino := s.put(t, script, []byte("#!/bin/busybox true\n"))
	busybox := s.act(t, "ino", "/bin/busybox").Ino
	before := s.skipped(t, "landlock")
	capture := s.capture(t, func() {
		d := s.act(t, "landlock", name, script)
		wantErrno(t, "execve in the sandbox", d, syscall.EACCES)
		s.expect(t, s.denied(d.PID, "BPRM_CHECK", script, ino))
		s.quiet(t)
	})

	var judged string // serial of IPE's record of the script
	var refused []wireRecord
	for _, r := range records(t, capture) {
		switch {
		case r.typ == typeAccess && strings.Contains(r.body, script):
			judged = r.serial
		case r.typ == typeLandlockAccess:
			refused = append(refused, r)
		}
	}
	want := []string{
		fmt.Sprintf(`^domain=[0-9a-f]+ blockers=fs\.write_file path="%s" dev="tmpfs" ino=%d$`, name, nameIno),
		fmt.Sprintf(`^domain=[0-9a-f]+ blockers=fs\.execute path="/bin/busybox" dev="rootfs" ino=%d$`, busybox),
	}
	if !audit || !s.guest.Kernel.AtLeast(6, 15) {
		want = nil
	}
	if len(refused) != len(want) {
		t.Fatalf("%d records of Landlock, want %d: %v", len(refused), len(want), refused)
	}
	for i, r := range refused {
		if !regexp.MustCompile(want[i]).MatchString(r.body) {
			t.Errorf("Landlock says %q, want %s", r.body, want[i])
		}
	}
	if len(want) > 0 && refused[1].serial != judged {
		t.Errorf("serials %s of IPE's record and %s of Landlock's in one execve", judged, refused[1].serial)
	}
	if n := s.skipped(t, "landlock") - before; n != int64(len(want)) {
		t.Errorf("the daemon has counted %d records of Landlock, want %d", n, len(want))
	}
}

// skipped returns how many messages of a class the daemon has passed over.
func (s *session) skipped(t *testing.T, class string) int64 {
	t.Helper()
	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/ipe-auditd", "status", "--json", "--socket", apiSocket)})
	var status struct{ Skipped map[string]int64 }
	if err := json.Unmarshal(p.Stdout(), &status); err != nil {
		t.Fatalf("status: %v: %q %s", err, p.Stdout(), p.Stderr())
	}
	n, ok := status.Skipped[class]
	if !ok {
		t.Fatalf("status counts no %s: %v", class, status.Skipped)
	}
	return n
}

package vm_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// Exit codes of the daemon, as in sysexits.h.
const (
	exitUnavailable = 69
	exitNoPerm      = 77
)

// Capabilities, include/uapi/linux/capability.h.
const (
	capAuditRead = 37
	nobody       = 65534
)

// trust is about whom the daemon believes, and with which rights it works. They
// need an active policy that is strict.
var trust = []scenario{
	{"forged records are refused and told", forgeries},
	{"daemon starts under the policy", underPolicy},
	{"without CAP_AUDIT_READ", func(t *testing.T, s *session) {
		s.refusesToStart(t, &wire.Call{UID: nobody, GID: nobody}, exitNoPerm)
	}},
	{"in another user namespace", func(t *testing.T, s *session) {
		s.refusesToStart(t, &wire.Call{Cloneflags: syscall.CLONE_NEWUSER}, exitNoPerm)
	}},
	{"in another network namespace", func(t *testing.T, s *session) {
		s.refusesToStart(t, &wire.Call{Cloneflags: syscall.CLONE_NEWNET}, exitUnavailable)
	}},
}

// silent is for kernels without audit, where nobody can be told anything.
var silent = []scenario{
	{"without audit", func(t *testing.T, s *session) {
		s.refusesToStart(t, &wire.Call{}, exitUnavailable)
	}},
	{"audit cannot be switched on", func(t *testing.T, s *session) {
		wantErrno(t, "AUDIT_SET", s.act(t, "audit-set", "enabled", "1"), syscall.EPROTONOSUPPORT)
	}},
	{"IPE enforces all the same", func(t *testing.T, s *session) {
		file, _ := s.newFile(t)
		must(t, s.write(t, "new_policy", s.sign(t, policy("lab", "1.0.0", strict...))))
		must(t, s.write(t, "policies/lab/active", []byte("1")))
		wantErrno(t, "mmap", s.act(t, "mmap", file), syscall.EACCES)
		log, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "dmesg")})
		if text := string(log.Stdout()); strings.Contains(text, "ipe_op=") || strings.Contains(text, "policy_name=") {
			t.Errorf("the kernel log has records:\n%s", text)
		}
	}},
}

// refusesToStart starts a daemon that says in one line why it cannot work.
func (s *session) refusesToStart(t *testing.T, how *wire.Call, want int) {
	t.Helper()
	how.Argv = words("/bin/ipe-auditd", "--debug")
	p, exit := s.finish(t, how)
	said := p.Stderr()
	if exit != want {
		t.Errorf("exit code %d, want %d", exit, want)
	}
	last := strings.TrimSuffix(said, "\n")
	last = last[strings.LastIndexByte(last, '\n')+1:]
	if !strings.HasPrefix(last, "ipe-auditd: ") {
		t.Errorf("it said %q", said)
	}
	t.Logf("exit code %d: %s", exit, last)
	if len(p.Stdout()) != 0 {
		t.Errorf("it printed %q", p.Stdout())
	}
}

// forgeries are sent as CAP_NET_ADMIN permits: to the group, and to the daemon
// alone.
func forgeries(t *testing.T, s *session) {
	sockets := s.listeners(t)
	if len(sockets) != 1 {
		t.Fatalf("%d sockets in the audit group, want that of the daemon", len(sockets))
	}
	const n = 4
	for i := range n {
		args := []string{"send", "1420"}
		if i%2 == 1 {
			args = append(args, sockets[0].port)
		}
		text := fmt.Sprintf(`audit(1795440105.125:%d): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=1 comm="init" path="/init" dev="rootfs" ino=1 rule="DEFAULT action=DENY"`, i)
		d := s.actCall(t, []byte(text), nil, args...)
		wantErrno(t, "send", d, 0)
	}
	// They are told with their number, at most once a second.
	var told int64
	for told < n {
		ev := s.next(t)
		if ev["event"] != "forged" || ev["accuracy"] != "exact" {
			t.Fatalf("a forgery was taken for %v", ev)
		}
		told += number(t, ev, "count")
	}
	if told != n {
		t.Errorf("%d forgeries told, want %d", told, n)
	}
	s.quiet(t)
}

// underPolicy starts a daemon with one capability while the policy is in
// force. It receives what the other one receives.
func underPolicy(t *testing.T, s *session) {
	s.enforce(t, true)
	second := &session{lab: s.lab, guest: s.guest, enforcing: true}
	second.daemon = s.start(t, &wire.Call{
		Argv: words("/bin/ipe-auditd", "--config", configFile),
		UID:  nobody, GID: nobody, Ambient: []uintptr{capAuditRead},
	})
	if ev := second.next(t); ev["event"] != "started" {
		t.Fatalf("the second daemon begins with %v", ev)
	}
	file, ino := s.newFile(t)
	d := s.act(t, "exec", file)
	s.expect(t, s.ran(d.PID, file, "", ino)...)
	second.expect(t, second.ran(d.PID, file, "", ino)...)
	second.stop(t)
	s.quiet(t)
}

// stopping ends a session.
var stopping = []scenario{
	{"daemon stops in order", func(t *testing.T, s *session) { s.stop(t) }},
}

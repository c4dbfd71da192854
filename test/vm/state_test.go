package vm_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

const ipeDir = "/sys/kernel/security/ipe/"

// write writes into IPE's files and returns the error.
func (s *session) write(t *testing.T, file string, text []byte) syscall.Errno {
	t.Helper()
	return syscall.Errno(s.actCall(t, text, nil, "write", ipeDir+file).Errno)
}

// must fails the test when a write was refused.
func must(t *testing.T, errno syscall.Errno) {
	t.Helper()
	if errno != 0 {
		t.Fatal(errno)
	}
}

// policy returns the text of a policy.
func policy(name, version string, rules ...string) string {
	return fmt.Sprintf("policy_name=%s policy_version=%s\n%s\n", name, version, strings.Join(rules, "\n"))
}

// strict denies the execution of everything that is not from the initramfs.
var strict = []string{
	"DEFAULT action=ALLOW",
	"DEFAULT op=EXECUTE action=DENY",
	"op=EXECUTE boot_verified=TRUE action=ALLOW",
}

// load loads a new policy and expects its event.
func (s *session) load(t *testing.T, name, version string, rules ...string) {
	t.Helper()
	blob := s.sign(t, policy(name, version, rules...))
	must(t, s.write(t, "new_policy", blob))
	s.expect(t, s.wasLoaded(name, version, blob))
}

// wasLoaded notes a loaded policy and returns its event.
func (s *session) wasLoaded(name, version string, blob []byte) event {
	l := loaded{version, fmt.Sprintf("sha256:%x", sha256.Sum256(blob))}
	s.loaded[name] = l
	ev := event{
		"type": 1422, "event": "policy_load", "dialect": "mainline", "lsm": "ipe", "res": true,
		"policy_name": name, "policy_version": version, "policy_digest": l.digest,
	}
	if s.tellsErrno() {
		ev["errno"] = 0
	}
	return ev
}

// tellsErrno reports whether the kernel records failed loads: Linux 6.16.
func (s *session) tellsErrno() bool { return s.guest.Kernel.AtLeast(6, 16) }

func (s *session) sign(t *testing.T, text string) []byte {
	t.Helper()
	blob, err := s.lab.Key.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// activate puts a policy in force and expects its event.
func (s *session) activate(t *testing.T, name string) {
	t.Helper()
	must(t, s.write(t, "policies/"+name+"/active", []byte("1")))
	s.expect(t, s.wasActivated(name, s.loaded[s.active]))
}

// wasActivated notes the active policy and returns its event.
func (s *session) wasActivated(name string, old loaded) event {
	l := s.loaded[name]
	ev := event{
		"type": 1421, "event": "policy_activate", "dialect": "mainline", "lsm": "ipe", "res": true,
		"policy_name": name, "policy_version": l.version, "policy_digest": l.digest,
	}
	if s.active != "" {
		ev = ev.with("old_policy_name", s.active, "old_policy_version", old.version, "old_policy_digest", old.digest)
	}
	s.active = name
	return ev
}

// enforce switches the mode, if it is another, and expects the event.
func (s *session) enforce(t *testing.T, on bool) {
	t.Helper()
	text := "0"
	if on {
		text = "1"
	}
	must(t, s.write(t, "enforce", []byte(text)))
	if on == s.enforcing {
		return // the kernel says nothing
	}
	s.enforcing = on
	s.expect(t, event{
		"type": 1404, "event": "enforcement", "dialect": "mainline", "lsm": "ipe", "res": true,
		"enforcing": on, "old_enforcing": !on,
	})
}

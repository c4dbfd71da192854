package vm_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// policies are about loading, updating and activating policies and about the
// switch. They leave lab 1.1.0 active, which is strict.
var policies = []scenario{
	{"policy is loaded", func(t *testing.T, s *session) {
		s.load(t, "lab", "1.0.0", strict...)
	}},
	{"first policy is activated", func(t *testing.T, s *session) {
		s.activate(t, "lab")
		s.quiet(t)
	}},
	{"active policy is updated", func(t *testing.T, s *session) {
		blob := s.sign(t, policy("lab", "1.1.0", strict...))
		must(t, s.write(t, "policies/lab/update", blob))
		old := s.loaded["lab"]
		load := s.wasLoaded("lab", "1.1.0", blob)
		s.expect(t, load, s.wasActivated("lab", old))
	}},
	{"another policy is activated", func(t *testing.T, s *session) {
		s.load(t, "other", "2.0.0", strict...)
		s.activate(t, "other")
		s.load(t, "third", "2.0.0", strict...)
		s.activate(t, "third")
	}},
	{"writes without a record", silentWrites},
	{"policy is loaded by somebody who has logged in", loadedByUser},
	{"failed loads", failedLoads},
	{"awkward policy names", func(t *testing.T, s *session) {
		for _, name := range []string{`we"ird`, "a\x01b\x1b[31m", "p\u00f6licy", `x"_policy_digest=sha256:00`} {
			s.load(t, name, "0.0.1", strict...)
		}
	}},
	{"enforcement is switched", func(t *testing.T, s *session) {
		s.enforce(t, false)
		s.enforce(t, true)
		s.enforce(t, true)
		s.enforce(t, false)
		s.quiet(t)
	}},
}

// silentWrites does what the kernel has no record for, done or refused.
func silentWrites(t *testing.T, s *session) {
	for _, c := range []struct {
		file, text string
		errno      syscall.Errno
	}{
		{"policies/third/active", "1", 0}, // it is
		{"policies/third/active", "0", syscall.EINVAL},
		{"policies/lab/active", "1", syscall.EINVAL}, // of a lower version
		{"policies/third/delete", "1", syscall.EPERM},
		{"policies/other/delete", "1", 0},
		{"enforce", "maybe", syscall.EINVAL},
	} {
		if errno := s.write(t, c.file, []byte(c.text)); errno != c.errno {
			t.Errorf("%q in %s: %v, want %v", c.text, c.file, errno, c.errno)
		}
	}
	s.quiet(t)
}

// loadedByUser loads a policy with an audit login, which the record names.
func loadedByUser(t *testing.T, s *session) {
	const auid = 1000
	blob := s.sign(t, policy("user", "0.0.1", strict...))
	d := s.actCall(t, blob, nil, "write-as", fmt.Sprint(auid), ipeDir+"new_policy")
	wantErrno(t, "new_policy", d, 0)
	s.expect(t, s.wasLoaded("user", "0.0.1", blob).with("auid", auid, "ses", d.Session))
}

// failedLoads does what the kernel refuses. Since 6.16 it says so.
func failedLoads(t *testing.T, s *session) {
	lab := policy("lab2", "1.0.0", strict...)
	signed := s.sign(t, lab)
	changed := slices.Clone(signed)
	i := strings.Index(string(changed), "EXECUTE")
	changed[i] = 'e'
	stranger, err := s.lab.stranger.Sign(lab)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		blob       []byte
		errno      syscall.Errno
		how        *wire.Call
	}{
		{"not signed", "new_policy", []byte(lab), syscall.EBADMSG, nil},
		{"unknown key", "new_policy", stranger, syscall.ENOKEY, nil},
		{"content changed", "new_policy", changed, syscall.EKEYREJECTED, nil},
		{"bad syntax", "new_policy", s.sign(t, policy("lab2", "1.0.0", "op=NOTHING action=ALLOW")), syscall.EBADMSG, nil},
		{"no default", "new_policy", s.sign(t, policy("lab2", "1.0.0", "op=EXECUTE action=ALLOW")), syscall.EBADMSG, nil},
		{"version too large", "new_policy", s.sign(t, policy("lab2", "1.65536.0", strict...)), syscall.ERANGE, nil},
		{"name too long", "new_policy", s.sign(t, policy(strings.Repeat("n", 300), "1.0.0", strict...)), syscall.ENAMETOOLONG, nil},
		{"name exists", "new_policy", s.sign(t, policy("lab", "9.0.0", strict...)), syscall.EEXIST, nil},
		{"older version", "policies/lab/update", s.sign(t, policy("lab", "0.9.0", strict...)), syscall.ESTALE, nil},
		{"other name", "policies/lab/update", s.sign(t, policy("third", "9.0.0", strict...)), syscall.EINVAL, nil},
		// Who is root in a namespace alone may open the file, and no more.
		{"no CAP_MAC_ADMIN", "new_policy", signed, syscall.EPERM, &wire.Call{Cloneflags: syscall.CLONE_NEWUSER}},
		{"no CAP_MAC_ADMIN", "policies/lab/update", signed, syscall.EPERM, &wire.Call{Cloneflags: syscall.CLONE_NEWUSER}},
	} {
		errno := syscall.Errno(s.actCall(t, c.blob, c.how, "write", ipeDir+c.file).Errno)
		if errno != c.errno {
			t.Errorf("%s: %v, want %v", c.name, errno, c.errno)
		}
		if !s.tellsErrno() {
			continue
		}
		s.expect(t, event{
			"type": 1422, "event": "policy_load", "dialect": "mainline", "lsm": "ipe", "res": false,
			"errno": -int(c.errno), "error": errnoName(c.errno),
		})
	}
	s.quiet(t)
}

// errnoName returns the kernel's name of an error.
func errnoName(e syscall.Errno) string {
	return map[syscall.Errno]string{
		syscall.EBADMSG: "EBADMSG", syscall.ENOKEY: "ENOKEY", syscall.EKEYREJECTED: "EKEYREJECTED", syscall.ERANGE: "ERANGE",
		syscall.ENAMETOOLONG: "ENAMETOOLONG", syscall.EEXIST: "EEXIST", syscall.ESTALE: "ESTALE", syscall.EINVAL: "EINVAL", syscall.EPERM: "EPERM",
	}[e]
}

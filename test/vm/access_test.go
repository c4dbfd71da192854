package vm_test

import (
	"fmt"
	"path"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// executed are the ways to execute something. They need an active policy that
// is strict.
var executed = []scenario{
	{"executions while permissive", func(t *testing.T, s *session) {
		s.enforce(t, false)
		executions(t, s)
	}},
	{"executions while enforcing", func(t *testing.T, s *session) {
		s.enforce(t, true)
		executions(t, s)
	}},
}

// accesses are about what else IPE judges, and by which rules. They need an
// active policy that is strict, and leave one.
var accesses = []scenario{
	{"namespaces and other roots", namespaces},
	{"allowed accesses with success_audit", successAudit},
	{"digests of fs-verity", verityDigests},
	{"root hash of dm-verity", rootHash},
	{"other operations", operations},
	{"firmware", firmware},
}

// names are about what a record says of a file. They need an active policy that
// is strict.
var names = []scenario{
	{"awkward names while enforcing", func(t *testing.T, s *session) {
		s.enforce(t, true)
		awkwardNames(t, s)
	}},
	{"awkward names while permissive", func(t *testing.T, s *session) {
		s.enforce(t, false)
		awkwardNames(t, s)
	}},
	{"paths as long as the kernel prints them", longPaths},
}

// refused is the error of a denied call: EACCES, if it is enforced.
func (s *session) refused() syscall.Errno {
	if s.enforcing {
		return syscall.EACCES
	}
	return 0
}

// wantErrno checks the error of an action.
func wantErrno(t *testing.T, what string, got did, want syscall.Errno) {
	t.Helper()
	if syscall.Errno(got.Errno) != want {
		t.Errorf("%s: %v, want %v", what, syscall.Errno(got.Errno), want)
	}
}

// ran is what a program says that was executed: BPRM_CHECK by the caller and,
// if that was let through, MMAP by the ELF loader, when the process has its new
// name.
func (s *session) ran(pid int, file, newName string, ino uint64) []event {
	check := s.denied(pid, "BPRM_CHECK", file, ino)
	if s.enforcing {
		return []event{check}
	}
	return []event{check, s.denied(pid, "MMAP", file, ino).with(text("comm", comm(newName))...)}
}

// comm returns a name cut to what the kernel keeps: TASK_COMM_LEN is 16.
func comm(name string) string { return name[:min(len(name), 15)] }

// text returns the keys of a string.
func text(key, value string) []any {
	pairs := []any{key, value}
	if !utf8.ValidString(value) {
		pairs = []any{key, strings.ToValidUTF8(value, "\uFFFD"), key + "_hex", fmt.Sprintf("%X", value)}
	}
	return pairs
}

// executions goes through the ways to execute something, as the mode is.
func executions(t *testing.T, s *session) {
	file, ino := s.newFile(t)
	d := s.act(t, "exec", file)
	wantErrno(t, "execve", d, s.refused())
	s.expect(t, s.ran(d.PID, file, path.Base(file), ino)...)

	for _, c := range []struct{ action, hook, file string }{
		{"mmap", "MMAP", file},
		{"mmap", "MMAP", ""},
		{"mprotect", "MPROTECT", file},
		{"mprotect", "MPROTECT", ""},
	} {
		args := []string{c.action}
		if c.file != "" {
			args = append(args, c.file)
		}
		d := s.act(t, args...)
		wantErrno(t, c.action, d, s.refused())
		s.expect(t, s.denied(d.PID, c.hook, c.file, ino))
	}

	// A script is checked like a program; its interpreter is trusted.
	script := "/tmp/script"
	ino = s.put(t, script, []byte("#!/bin/busybox true\n"))
	d = s.act(t, "exec", script)
	wantErrno(t, "execve of a script", d, s.refused())
	s.expect(t, s.denied(d.PID, "BPRM_CHECK", script, ino))

	checkOnly(t, s, file)
	s.quiet(t)
}

// checkOnly asks the kernel whether a program could be executed. IPE is asked
// from Linux 6.19 on; the flag is known from 6.14 on.
func checkOnly(t *testing.T, s *session, file string) {
	ino := s.act(t, "ino", file).Ino
	d := s.act(t, "check", file)
	switch k := s.guest.Kernel; {
	case k.AtLeast(6, 19):
		wantErrno(t, "AT_EXECVE_CHECK", d, s.refused())
		s.expect(t, s.denied(d.PID, "BPRM_CREDS_FOR_EXEC", file, ino))
	case k.AtLeast(6, 14):
		wantErrno(t, "AT_EXECVE_CHECK", d, 0)
	default:
		wantErrno(t, "AT_EXECVE_CHECK", d, syscall.EINVAL)
	}
}

// awkwardNames executes files of every sort of name, deleted ones and memory.
func awkwardNames(t *testing.T, s *session) {
	for _, name := range []string{
		"with space", `with "quote`, "new\nline", "tab\tand\x1b[31m", `back\slash'=;,(`, "gr\u00fc\u00dfe", "bad\xffutf8",
		"cut-in-mid-run\u00fc", "?", "path=?", "DEADBEEF", `x" rule="DEFAULT action=ALLOW`, "-", "<too_long>", "\u202egnp.exe",
	} {
		file := "/tmp/" + name
		ino := s.put(t, file, vm.Program())
		d := s.act(t, "exec", file)
		wantErrno(t, fmt.Sprintf("execve of %q", name), d, s.refused())
		var want []event
		for _, ev := range s.ran(d.PID, file, name, ino) {
			want = append(want, ev.with(text("path", file)...))
		}
		s.expect(t, want...)

		// The same name as that of the process.
		if s.enforcing {
			d := s.act(t, "exec-as", name, file)
			wantErrno(t, fmt.Sprintf("execve by %q", name), d, s.refused())
			s.expect(t, want[0].with("pid", d.PID).with(text("comm", comm(name))...))
		}
	}

	file, ino := s.newFile(t)
	d := s.act(t, "deleted", file)
	wantErrno(t, "execveat of a deleted file", d, s.refused())
	s.expect(t, s.ran(d.PID, file+" (deleted)", path.Base(file), ino)...)

	d = s.actCall(t, vm.Program(), nil, "memfd", "a name")
	wantErrno(t, "execveat of a memfd", d, s.refused())
	for _, ev := range s.ran(d.PID, "/memfd:a name (deleted)", "memfd:a name", 0) {
		got := s.next(t)
		s.same(t, got, ev.with("ino", got["ino"])) // nobody tells it
	}
	s.quiet(t)
}

// longPaths maps files with the longest path that is printed, and with one that
// is longer: d_path's buffer is PATH_MAX+11 (security/ipe/audit.c and
// audit_log_d_path).
func longPaths(t *testing.T, s *session) {
	for _, length := range []int{4096, 4106, 4107} {
		d := s.act(t, "deep", fmt.Sprint(length))
		wantErrno(t, "mmap of a deep file", d, s.refused())
		if len(d.Path) != length {
			t.Fatalf("the path has %d bytes, want %d", len(d.Path), length)
		}
		printed := string(d.Path)
		if length > 4106 {
			printed = "<too_long>"
		}
		s.expect(t, s.denied(d.PID, "MMAP", printed, d.Ino))
	}
	s.quiet(t)
}

// namespaces maps files where a container would: the event has the path as seen
// from there, and the pid as seen from here.
func namespaces(t *testing.T, s *session) {
	file, ino := s.newFile(t)
	for name, flags := range map[string]uintptr{
		"pid and mount": syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		"net":           syscall.CLONE_NEWNET,
		"user":          syscall.CLONE_NEWUSER,
	} {
		d := s.actCall(t, nil, &wire.Call{Cloneflags: flags}, "mmap", file)
		wantErrno(t, name, d, s.refused())
		s.expect(t, s.denied(d.PID, "MMAP", file, ino))
	}
	d := s.act(t, "chroot", "/tmp", strings.TrimPrefix(file, "/tmp"))
	wantErrno(t, "chroot", d, s.refused())
	s.expect(t, s.denied(d.PID, "MMAP", strings.TrimPrefix(file, "/tmp"), ino))
	s.quiet(t)
}

// successAudit asks for allowed accesses as well.
func successAudit(t *testing.T, s *session) {
	file, ino := s.newFile(t)
	self := s.act(t, "ino", "/init").Ino
	must(t, s.write(t, "success_audit", []byte("1")))

	// Starting act is two allowed accesses: by init, and by the ELF loader.
	started := func(pid int) []event {
		ev := s.denied(pid, "BPRM_CHECK", "/init", self).with("comm", "init", "dev", "rootfs", "verdict", "allowed", "action", "ALLOW",
			"rule", "op=EXECUTE boot_verified=TRUE action=ALLOW", "rule_kind", "rule", "rule_properties", []string{"boot_verified=TRUE"})
		return []event{ev, ev.with("ipe_hook", "MMAP", "comm", "act")}
	}
	d := s.act(t, "mmap", file)
	s.expect(t, append(started(d.PID), s.denied(d.PID, "MMAP", file, ino))...)

	d = s.actCall(t, []byte("0"), nil, "write", ipeDir+"success_audit")
	wantErrno(t, "success_audit", d, 0)
	s.expect(t, started(d.PID)...)
	s.quiet(t)
}

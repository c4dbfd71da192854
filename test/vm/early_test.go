package vm_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// earlyConfiguration has a state directory, without which nothing is fetched.
const earlyConfiguration = `
spool: {dir: /run/state}
api: {path: ` + apiSocket + `}
sinks:
  - {name: out, type: console, format: json}
`

// TestEarlyBootOnRealKernels has what happens in an initramfs before any daemon runs:
// policies, denials, a switch. All that the kernel printed comes out, once.
func TestEarlyBootOnRealKernels(t *testing.T) {
	l := newLab(t)
	onKernels(t, l, func(t *testing.T, k *vm.Kernel) {
		for _, commandLine := range []string{"", "audit=1"} {
			t.Run("command line "+commandLine, func(t *testing.T) {
				t.Parallel()
				s := &session{lab: l, run: &run{kernel: k}, holdQueue: commandLine != ""}
				early(t, s, commandLine)
			})
		}
	})
}

// early boots, does things, and then starts a daemon, two times.
func early(t *testing.T, s *session, commandLine string) {
	s.guest, s.enforcing, s.loaded = s.lab.boot(t, s.run.kernel, commandLine), true, map[string]loaded{}
	s.put(t, configFile, []byte(earlyConfiguration))
	shell := func(script string) {
		if p, exit := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "sh", "-c", script)}); exit != 0 {
			t.Fatalf("%s: exit status %d: %s", script, exit, p.Stderr())
		}
	}
	shell("/bin/busybox mkdir -m 700 /run/state")
	blob := s.sign(t, policy("lab", "1.0.0", strict...))
	shell("/bin/busybox sleep 6") // the kernel prints 10 lines in 5 seconds
	must(t, s.write(t, "new_policy", blob))
	must(t, s.write(t, "policies/lab/active", []byte("1")))
	file, _ := s.newFile(t)
	wantErrno(t, "execve", s.act(t, "exec", file), syscall.EACCES)
	long := "/tmp/" + strings.Repeat(strings.Repeat("a", 200)+"/", 6)
	shell("/bin/busybox mkdir -p " + long)
	s.put(t, long+"program", vm.Program())
	wantErrno(t, "execve of a long path", s.act(t, "exec", long+"program"), syscall.EACCES)
	// What a process says is no word of the kernel's.
	shell(`echo '<5>audit: type=1420 audit(1795440105.125:999999): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=4711 comm="x" path="/forged" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"' > /dev/kmsg`)
	if commandLine == "" { // with audit=1 each denial is three lines
		must(t, s.write(t, "enforce", []byte("0")))
		must(t, s.write(t, "enforce", []byte("1")))
	}

	s.daemon, s.offset = s.start(t, &wire.Call{Argv: words("/bin/ipe-auditd", "--config", configFile)}), 0
	fetched := map[string]int{}
	var live string
	for live == "" {
		ev := s.nextAny(t)
		name := fmt.Sprint(ev["event"])
		switch {
		case name == "started":
			path, _ := s.newFile(t)
			live = path
			s.act(t, "mmap", path)
		case ev["source"] != "backfill" && name != "audit_config" && name != "lost":
			t.Errorf("received: %v", ev)
		}
		if ev["path"] == "/forged" {
			t.Errorf("a process was believed: %v", ev)
		}
	}
	for {
		ev := s.nextAny(t)
		if ev["path"] == live {
			if ev["source"] != nil {
				t.Errorf("a record that was received is called fetched: %v", ev)
			}
			break
		}
		if ev["source"] == "backfill" {
			name := fmt.Sprint(ev["event"])
			if raw, _ := ev["raw"].(string); name == "unparsed" && strings.Contains(raw, strings.Repeat("a", 200)) {
				name = "cut"
			}
			fetched[name]++
			if ev["boot_id"] == nil || ev["host"] == nil || ev["seq"] == nil || ev["active_policy_name"] != nil {
				t.Errorf("event %v", ev)
			}
			if ev["path"] == "/forged" {
				t.Errorf("a process was believed: %v", ev)
			}
		}
	}
	for _, want := range []string{"policy_load", "policy_activate", "access", "cut"} {
		if fetched[want] != 1 {
			t.Errorf("%d events %s, want 1 of %v", fetched[want], want, fetched)
		}
	}
	if n := fetched["enforcement"]; commandLine == "" && n != 2 {
		t.Errorf("%d switches were fetched, want 2 of %v", n, fetched)
	}

	if err := s.daemon.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.daemon.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	s.daemon, s.offset = s.start(t, &wire.Call{Argv: words("/bin/ipe-auditd", "--config", configFile)}), 0
	path, _ := s.newFile(t)
	for {
		ev := s.nextAny(t)
		if ev["event"] == "started" {
			s.act(t, "mmap", path)
		}
		if ev["source"] != nil {
			t.Errorf("told again: %v", ev)
		}
		if ev["path"] == path {
			break
		}
	}
	silenced(t, s, commandLine != "")
}

// silenced takes records away, and gives them back. Only an audit that is enabled
// says itself who did it; without, the daemon finds it within a minute.
func silenced(t *testing.T, s *session, enabled bool) {
	t.Helper()
	const pause = 2 * time.Minute
	expect := func(want ...string) {
		t.Helper()
		var got []string
		ctx, cancel := context.WithTimeout(t.Context(), pause)
		defer cancel()
		for len(got) < len(want) {
			line, next, ok := s.daemon.Line(ctx, s.offset)
			if !ok {
				t.Fatalf("got %q, want %q; the daemon said:\n%s", got, want, s.daemon.Stderr())
			}
			s.offset = next
			ev := decode(t, line)
			if ev["event"] != "audit_config" {
				continue
			}
			got = append(got, strings.TrimSpace(fmt.Sprint(ev["what"], " ", cmp.Or(ev["new"], ev["old"]), " ", ev["type"])))
			if ev["effect"] == nil {
				t.Errorf("no effect in %v", ev)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("changes of audit (-want +got):\n%s", diff)
		}
	}
	wantErrno(t, "rate limit", s.act(t, "audit-set", "rate_limit", "100000"), 0)
	wantErrno(t, "exclude", s.act(t, "audit-rule", "add", "5", "2", "1421"), 0)
	if enabled {
		expect("rate_limit 100000 1305", "rule_added exclude 1305", "rule_added exclude all of 1421 <nil>")
	} else {
		expect("rate_limit 100000 <nil>", "rule_added exclude all of 1421 <nil>")
	}
	wantErrno(t, "no exclude", s.act(t, "audit-rule", "delete", "5", "2", "1421"), 0)
	wantErrno(t, "no rate limit", s.act(t, "audit-set", "rate_limit", "0"), 0)
	if !enabled {
		expect("rate_limit 0 <nil>", "rule_removed exclude all of 1421 <nil>")
		return
	}
	expect("rate_limit 0 1305", "rule_removed exclude 1305", "rule_removed exclude all of 1421 <nil>")
	wantErrno(t, "disabled", s.act(t, "audit-set", "enabled", "0"), 0)
	expect("audit_disabled 0 1305")
}

package vm_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// floods cause more records than the kernel or the daemon can take. Nothing may
// be missing without being told: attempted = received + lost. They need an
// active policy that is strict.
var floods = []scenario{
	{"flood with the default backlog limit", func(t *testing.T, s *session) {
		f := s.flood(t, 64, "128MiB", 20000, false)
		if f.lost["socket"] != 0 {
			t.Errorf("%d were lost at a socket with room", f.lost["socket"])
		}
	}},
	{"flood with room for all", func(t *testing.T, s *session) {
		f := s.flood(t, 8192, "128MiB", 10000, false)
		if len(f.lost) != 0 {
			t.Errorf("lost: %v", f.lost)
		}
	}},
	{"flood of a daemon that does not read", func(t *testing.T, s *session) {
		f := s.flood(t, 8192, "64KiB", 3000, true)
		if f.lost["socket"] == 0 || f.lost["kernel"] != 0 {
			t.Errorf("lost: %v; want it at the socket", f.lost)
		}
	}},
}

// flooded is what came of a flood.
type flooded struct {
	received int64
	lost     map[string]int64 // by stage
}

// flood starts a daemon of its own with a receive buffer, and causes n denials,
// while it is stopped if so asked. It checks the sum, and each loss against
// what the kernel says.
func (s *session) flood(t *testing.T, limit int, buffer string, n int64, stopped bool) flooded {
	t.Helper()
	const (
		output = "/run/flood.json"
		config = "/etc/flood.yaml"
	)
	s.enforce(t, false)
	wantErrno(t, "AUDIT_SET", s.act(t, "audit-limit", fmt.Sprint(limit)), 0)
	s.put(t, config, fmt.Appendf(nil, `
source: {receive_buffer: %s}
spool: {memory: 256MiB}
sinks:
  - {name: all, type: file, path: %s, format: json}
  - {name: own, type: console, format: json, match: {events: [started, stopped, lost, forged]}}
`, buffer, output))

	// The daemon of the session would only take its share of the CPU.
	s.stop(t)
	defer s.restart(t)
	s.finish(t, &wire.Call{Argv: words("/bin/busybox", "rm", "-f", output)})
	f := &session{lab: s.lab, guest: s.guest}
	f.daemon = s.start(t, &wire.Call{Argv: words("/bin/ipe-auditd", "--config", config)})
	if ev := f.next(t); ev["event"] != "started" {
		t.Fatalf("the daemon begins with %v", ev)
	}

	before := s.act(t, "audit-lost").Attempts
	if stopped {
		if err := f.daemon.Signal(int(syscall.SIGSTOP)); err != nil {
			t.Fatal(err)
		}
	}
	d := s.act(t, "flood", fmt.Sprint(n))
	if int64(d.Attempts) != n || d.Refused != 0 {
		t.Fatalf("%d attempts, %d refused", d.Attempts, d.Refused)
	}
	wantErrno(t, "AUDIT_GET", s.act(t, "audit-idle"), 0)
	drops := s.socketDrops(t)
	if stopped {
		if err := f.daemon.Signal(int(syscall.SIGCONT)); err != nil {
			t.Fatal(err)
		}
	}
	r := flooded{lost: map[string]int64{}}
	if err := f.daemon.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	for {
		ev := f.nextAny(t)
		if ev["event"] == "stopped" {
			break
		}
		if ev["event"] != "lost" || ev["accuracy"] != "exact" {
			t.Fatalf("the daemon says %v", ev)
		}
		r.lost[ev["stage"].(string)] += number(t, ev, "count")
	}
	f.ended(t)
	lost := int64(s.act(t, "audit-lost").Attempts - before)

	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "grep", "-c", fmt.Sprintf(`"pid":%d,`, d.PID), output)})
	count, err := strconv.ParseInt(strings.TrimSpace(string(p.Stdout())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r.received = count
	t.Logf("attempted %d = received %d + socket %d + kernel %d", n, r.received, r.lost["socket"], r.lost["kernel"])
	if sum := r.received + r.lost["socket"] + r.lost["kernel"]; sum != n {
		t.Errorf("%d are missing", n-sum)
	}
	if r.lost["kernel"] != lost {
		t.Errorf("the daemon tells %d lost in the kernel, AUDIT_GET %d", r.lost["kernel"], lost)
	}
	if r.lost["socket"] != drops {
		t.Errorf("the daemon tells %d lost at the socket, /proc/net/netlink %d", r.lost["socket"], drops)
	}
	return r
}

// socketDrops returns what /proc/net/netlink says that the listeners of the
// audit group have dropped (net/netlink/af_netlink.c, netlink_native_seq_show).
func (s *session) socketDrops(t *testing.T) int64 {
	t.Helper()
	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "cat", "/proc/net/netlink")})
	var drops int64
	for line := range strings.Lines(string(p.Stdout())) {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != "9" || f[3] != "00000001" {
			continue // not NETLINK_AUDIT, or not in the group
		}
		n, err := strconv.ParseInt(f[8], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		drops += n
	}
	return drops
}

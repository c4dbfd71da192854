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
		f.exact(t)
		if f.lost["kernel"] == 0 {
			t.Error("nothing was lost in the kernel, so this shows nothing")
		}
		if f.lost["socket"] != 0 {
			t.Errorf("%d were lost at a socket with room", f.lost["socket"])
		}
	}},
	{"flood with room for all", func(t *testing.T, s *session) {
		f := s.flood(t, 8192, "128MiB", 10000, false)
		f.exact(t)
		if len(f.lost) != 0 {
			t.Errorf("lost: %v", f.lost)
		}
	}},
	{"flood of a daemon that does not read", func(t *testing.T, s *session) {
		f := s.flood(t, 8192, "64KiB", 3000, true)
		f.exact(t)
		if f.lost["socket"] == 0 || f.lost["kernel"] != 0 {
			t.Errorf("lost: %v; want it at the socket", f.lost)
		}
	}},
}

// uncountable are floods under audit=1 without auditd. Each record then fails
// into the full hold queue as well, which the kernel counts as lost although
// the group has got it (kernel/audit.c, kauditd_hold_skb), so the daemon must
// not give a number.
var uncountable = []scenario{
	{"flood under audit=1 with the default backlog limit", func(t *testing.T, s *session) {
		// The SYSCALL record of a denial waits for room, and now and then
		// nobody wakes it: a minute, if it were not for this (0.1 s).
		wantErrno(t, "AUDIT_SET", s.act(t, "audit-set", "backlog_wait_time", "25"), 0)
		s.flood(t, 64, "128MiB", 3000, false).unknown(t)
	}},
	{"flood under audit=1 with room for all", func(t *testing.T, s *session) {
		f := s.flood(t, 8192, "128MiB", 3000, false)
		f.unknown(t)
		if f.received != f.attempted {
			t.Errorf("%d are missing", f.attempted-f.received)
		}
	}},
}

// flooded is what came of a flood.
type flooded struct {
	attempted, received int64
	lost                map[string]int64 // as the daemon tells, by stage
	atLeast             int64            // of stage kernel, as a lower bound
	unknowns            int              // how often it said that it cannot tell
	kernel, socket      int64            // lost as AUDIT_GET and /proc/net/netlink have it
}

// exact checks the sum, and each loss against what the kernel says.
func (f *flooded) exact(t *testing.T) {
	t.Helper()
	if sum := f.received + f.lost["socket"] + f.lost["kernel"]; sum != f.attempted || f.unknowns != 0 {
		t.Errorf("%d are missing", f.attempted-sum)
	}
	if f.lost["kernel"] != f.kernel || f.unknowns != 0 || f.atLeast != 0 {
		t.Errorf("the daemon tells %d lost in the kernel and %d times that it cannot know, AUDIT_GET %d", f.lost["kernel"], f.unknowns, f.kernel)
	}
	if f.lost["socket"] != f.socket {
		t.Errorf("the daemon tells %d lost at the socket, /proc/net/netlink %d", f.lost["socket"], f.socket)
	}
}

// unknown checks that the daemon gives no number where the kernel's means
// nothing. What is really missing is part of that number.
func (f *flooded) unknown(t *testing.T) {
	t.Helper()
	if f.unknowns == 0 || len(f.lost) != 0 || f.socket != 0 {
		t.Errorf("the daemon tells %v, and %d times that it cannot know; /proc/net/netlink %d", f.lost, f.unknowns, f.socket)
	}
	if missing := f.attempted - f.received; missing < 0 || f.kernel <= missing {
		t.Errorf("%d are missing, and AUDIT_GET has %d", missing, f.kernel)
	}
}

// flood starts a daemon of its own with a receive buffer, and causes n denials,
// while it is stopped if so asked.
func (s *session) flood(t *testing.T, limit int, buffer string, n int64, stopped bool) *flooded {
	t.Helper()
	const (
		output = "/run/flood.json"
		config = "/etc/flood.yaml"
	)
	s.enforce(t, false)
	wantErrno(t, "AUDIT_SET", s.act(t, "audit-set", "backlog_limit", fmt.Sprint(limit)), 0)
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
	own := &session{lab: s.lab, guest: s.guest}
	own.daemon = s.start(t, &wire.Call{Argv: words("/bin/ipe-auditd", "--config", config)})
	if ev := own.next(t); ev["event"] != "started" {
		t.Fatalf("the daemon begins with %v", ev)
	}

	before := s.act(t, "audit-lost").Attempts
	if stopped {
		if err := own.daemon.Signal(int(syscall.SIGSTOP)); err != nil {
			t.Fatal(err)
		}
	}
	d := s.act(t, "flood", fmt.Sprint(n))
	if int64(d.Attempts) != n || d.Refused != 0 {
		t.Fatalf("%d attempts, %d refused", d.Attempts, d.Refused)
	}
	wantErrno(t, "AUDIT_GET", s.act(t, "audit-idle"), 0)
	f := &flooded{attempted: n, lost: map[string]int64{}}
	for _, l := range s.listeners(t) {
		f.socket += l.drops
	}
	if stopped {
		if err := own.daemon.Signal(int(syscall.SIGCONT)); err != nil {
			t.Fatal(err)
		}
	}
	if err := own.daemon.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	return s.flooded(t, own, f, before, output, d.PID)
}

// flooded waits for the end of a daemon that was told to stop behind a flood,
// and fills in what came of that.
func (s *session) flooded(t *testing.T, own *session, f *flooded, before uint64, output string, pid int) *flooded {
	t.Helper()
	for {
		ev := own.nextAny(t)
		if ev["event"] == "stopped" {
			break
		}
		switch _, counted := ev["count"]; {
		case ev["event"] == "lost" && ev["accuracy"] == "exact":
			f.lost[ev["stage"].(string)] += number(t, ev, "count")
		case ev["event"] == "lost" && ev["accuracy"] == "at_least":
			f.atLeast += number(t, ev, "count")
		case ev["event"] == "lost" && ev["accuracy"] == "unknown" && ev["stage"] == "kernel" && !counted:
			f.unknowns++
		default:
			t.Fatalf("the daemon says %v", ev)
		}
	}
	own.ended(t)
	f.kernel = int64(s.act(t, "audit-lost").Attempts - before)

	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "grep", "-c", fmt.Sprintf(`"pid":%d,`, pid), output)})
	var err error
	if f.received, err = strconv.ParseInt(strings.TrimSpace(string(p.Stdout())), 10, 64); err != nil {
		t.Fatal(err)
	}
	t.Logf("attempted %d: received %d, told lost %v, at least %d, unknown %d times; lost by AUDIT_GET %d, by /proc/net/netlink %d",
		f.attempted, f.received, f.lost, f.atLeast, f.unknowns, f.kernel, f.socket)
	return f
}

// listener is a socket in the audit group.
type listener struct {
	port  string // nl_pid
	drops int64
}

// listeners returns the sockets in the audit group, from /proc/net/netlink
// (net/netlink/af_netlink.c, netlink_native_seq_show).
func (s *session) listeners(t *testing.T) []listener {
	t.Helper()
	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "cat", "/proc/net/netlink")})
	var all []listener
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
		all = append(all, listener{f[2], n})
	}
	return all
}

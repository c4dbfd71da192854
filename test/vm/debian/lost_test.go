package debian_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lost is the kernel's number of lost records.
func (g *guest) lost(t *testing.T) (n uint64) {
	t.Helper()
	var r struct{ Attempts uint64 }
	if err := json.Unmarshal([]byte(g.sh(t, "act audit-lost")), &r); err != nil {
		t.Fatal(err)
	}
	return r.Attempts
}

// losses sums up what the daemon has told of losses in the kernel, by accuracy.
// Of unknown ones there is no number, so they are counted.
func losses(t *testing.T, text string) map[string]uint64 {
	t.Helper()
	told := make(map[string]uint64)
	for line := range strings.Lines(text) {
		var ev struct {
			Event    string `json:"event"`
			Count    uint64 `json:"count"`
			Accuracy string `json:"accuracy"`
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil || ev.Event != "lost" {
			t.Errorf("%v: %s", err, line)
		}
		if ev.Accuracy == "unknown" {
			ev.Count = 1
		}
		told[ev.Accuracy] += ev.Count
	}
	return told
}

const lostEvents = `grep -hF '"stage":"kernel"' /var/log/ipe-auditd/events.json`

// kernelLosses lets the kernel lose records before any socket. The daemon, which
// has no capability, hears of it from the helper, to the record.
func kernelLosses(t *testing.T, g *guest) {
	if n := g.lost(t); n != 0 {
		t.Fatalf("the kernel had lost %d records before", n)
	}
	g.sh(t, "act audit-set backlog_limit 64; touch /run/lost")
	for n := 0; g.lost(t) == 0; n++ {
		if n > 50 {
			t.Fatal("the kernel loses nothing")
		}
		g.sh(t, "act flood 1000 /run/lost")
	}
	g.sh(t, "act audit-set backlog_limit 8192")
	lost := g.lost(t)
	// Where the helper takes longer to start than the daemon waits, as on a busy
	// host without KVM, the kernel log has the first word.
	g.until(t, fmt.Sprintf("%d lost records told", lost), lostEvents+" || :", func(text string) bool {
		told := losses(t, text)
		return told["exact"]+told["at_least"] == lost && told["exact"] > 0
	})
	// What is lost while the daemon stops, or is not there, is told by the next
	// start.
	g.sh(t, "systemctl restart ipe-auditd.service")
	g.until(t, "status that names the helper", "ipe-auditd status --json || :", func(status string) bool {
		return strings.Contains(status, `"kernel_losses":{"source":"helper","accuracy":"exact"`)
	})
}

// hear returns the command that connects to the helper as a user and prints
// what it says. It sends nothing: whoever writes to a helper that has answered
// and gone gets EPIPE, and may take that for the answer, as curl does.
func hear(user, group string) string {
	return fmt.Sprintf("setpriv --reuid=%s --regid=%s --clear-groups act hear /run/ipe-auditd-lost.sock", user, group)
}

// heard is what the helper says, or the error of connect(2).
func (g *guest) heard(t *testing.T, user, group string) (text string, errno int) {
	t.Helper()
	var r struct {
		Errno int
		Heard []byte
	}
	if out := g.sh(t, hear(user, group)); json.Unmarshal([]byte(out), &r) != nil {
		t.Fatalf("act hear: %q", out)
	}
	return string(r.Heard), r.Errno
}

// askedHelper looks at the helper while it runs, and lets a daemon that was
// taken over connect to it without end.
func askedHelper(t *testing.T, g *guest) {
	if text, errno := g.heard(t, "ipe-auditd", "ipe-auditd"); !strings.HasPrefix(text, `{"version":1,"status":{`) || !strings.Contains(text, `"rules":{"total":`) {
		t.Errorf("the daemon's user is answered %q, errno %d", text, errno)
	}
	status := g.sh(t, "cat /proc/$(systemctl show --value --property=MainPID ipe-auditd-lost.service)/status")
	for _, want := range []string{"CapPrm:\t0000000040000000\n", "CapEff:\t0000000040000000\n", "CapBnd:\t0000000040000000\n", "CapAmb:\t0000000040000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("the helper has not %q:\n%s", want, status)
		}
	}
	if strings.Contains(status, "Uid:\t0\t") {
		t.Errorf("the helper is root:\n%s", status)
	}
	if text, errno := g.heard(t, "nobody", "nogroup"); errno != int(unix.EACCES) {
		t.Errorf("another user hears %q, errno %d, want EACCES", text, errno)
	}

	g.sh(t, "for n in $(seq 8); do (for m in $(seq 10); do "+hear("ipe-auditd", "ipe-auditd")+" >/dev/null; done) & done; wait")
	g.until(t, "end of the helper", "systemctl is-active ipe-auditd-lost.service || :", func(text string) bool { return text == "inactive\n" })
	if text, _, _ := g.try(t, "systemctl is-active ipe-auditd-lost.socket; systemctl is-failed ipe-auditd-lost.service"); text != "active\ninactive\n" {
		t.Errorf("after a flood of connections: %q", text)
	}
	if text, errno := g.heard(t, "root", "root"); !strings.HasPrefix(text, `{"version":1,`) {
		t.Errorf("then root is answered %q, errno %d", text, errno)
	}
}

// kernelLossesByLog takes the helper away. The daemon then goes by the kernel
// log. The kernel writes only some lines there, so it takes more than one burst
// until one of them tells.
func kernelLossesByLog(t *testing.T, g *guest) {
	g.sh(t, "systemctl stop ipe-auditd-lost.socket ipe-auditd-lost.service; systemctl restart ipe-auditd.service")
	before := g.lost(t)
	told := losses(t, g.sh(t, lostEvents))
	g.sh(t, "act audit-set backlog_limit 64")
	text := g.until(t, "event of the loss", `act flood 1000 /run/lost >/dev/null; sleep 6; act flood 1 /run/lost >/dev/null; sleep 1; `+lostEvents, func(text string) bool {
		now := losses(t, text)
		return now["at_least"]+now["unknown"] > 0
	})
	g.sh(t, "act audit-set backlog_limit 8192")
	now := losses(t, text)
	if n := g.lost(t) - before; now["at_least"] > n || now["exact"] != told["exact"] {
		t.Errorf("the daemon told %v before and %v now, the kernel lost %d more", told, now, n)
	}
	// With the helper it is exact again, and nothing is told twice.
	g.sh(t, "systemctl start ipe-auditd-lost.socket; systemctl restart ipe-auditd.service")
	lost := g.lost(t)
	g.until(t, "all losses", lostEvents, func(text string) bool {
		now := losses(t, text)
		return now["exact"]+now["at_least"] == lost
	})
}

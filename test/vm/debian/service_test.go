package debian_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestService(t *testing.T) {
	g := boot(t)
	for _, s := range scenarios {
		if !t.Run(s.name, func(t *testing.T) { s.run(t, g) }) {
			t.Log(g.sh(t, `systemctl --no-pager --lines=0 status ipe-auditd.socket ipe-auditd.service || :
				journalctl --no-pager --lines=60 -u ipe-auditd.service _TRANSPORT=stdout + _PID=1 UNIT=ipe-auditd.service`))
			return // the state is not known
		}
	}
}

// scenarios happen in this order, in one guest. Each leaves the service running.
var scenarios = []struct {
	name string
	run  func(*testing.T, *guest)
}{
	{"boot", booted},
	{"denials before the daemon started", early},
	{"the state of IPE", state},
	{"enforcement switched", switched},
	{"restarts in a flood", restarts},
	{"kill -9", killed},
	{"watchdog and status", watchdog},
	{"configuration broken in a flood", broken},
	{"exposure", exposure},
	{"configuration repaired after a minute", repaired},
	{"logrotate in a flood", rotated},
	{"losses in the kernel", kernelLosses},
	{"the helper that asks the kernel", askedHelper},
	{"losses in the kernel, without the helper", kernelLossesByLog},
	{"syslog over the network", overNetwork},
	{"doctor", doctor},
	{"upgrade in a flood", upgrade},
	{"no event is missing", gapless},
	{"removal", removed},
}

// service is a value that systemd knows of the service.
func (g *guest) service(t *testing.T, property string) string {
	t.Helper()
	return strings.TrimSpace(g.sh(t, "systemctl show --value --property="+property+" ipe-auditd.service"))
}

// booted checks that the service runs, with no right at all.
func booted(t *testing.T, g *guest) {
	state, _, _ := g.try(t, "systemctl is-system-running --wait")
	if state != "running\n" {
		t.Errorf("the system is %s:\n%s", state, g.sh(t, "systemctl --failed --no-legend; journalctl -b -p warning --no-pager"))
	}
	for _, unit := range []string{"ipe-auditd.socket", "ipe-auditd-lost.socket", "ipe-auditd.service"} {
		if out, _, _ := g.try(t, "systemctl is-active "+unit+"; systemctl is-enabled "+unit); out != "active\nenabled\n" {
			t.Errorf("%s is %q", unit, out)
		}
	}
	status := g.sh(t, "cat /proc/"+g.service(t, "MainPID")+"/status")
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if !strings.Contains(status, set+":\t0000000000000000\n") {
			t.Errorf("the daemon has capabilities:\n%s", status)
		}
	}
}

// early is about denials that early-denial.service caused, before the daemon
// was there.
func early(t *testing.T, g *guest) {
	g.arrive(t, "/run/early", 50, once, everywhere...)
}

// state checks what the daemon says of IPE at its start, which it knows from
// files that systemd opened, or gave it the right to read.
func state(t *testing.T, g *guest) {
	digest, _, _ := strings.Cut(g.sh(t, "sha256sum /sys/kernel/security/ipe/policies/guest/pkcs7"), " ")
	text := g.sh(t, `grep -hF '"event":"started"' /var/log/ipe-auditd/events.json | tail -n 1`)
	want := map[string]any{
		"kernel": g.Kernel.Release, "ipe_status": "active", "enforcing": true, "success_audit": false,
		"policy_name": "guest", "policy_version": "1.0.0", "policy_digest": "sha256:" + digest,
	}
	has(t, text, want)

	file := g.burst(t, "judged", 1)
	g.arrive(t, file, 1, once, everywhere...)
	has(t, g.sh(t, "ipe-auditd tail --json --no-follow --path "+file), map[string]any{
		"active_policy_name": "guest", "active_policy_version": "1.0.0", "active_policy_digest": "sha256:" + digest,
	})
}

// has checks some keys of an event.
func has(t *testing.T, text string, want map[string]any) {
	t.Helper()
	var ev map[string]any
	if err := json.Unmarshal([]byte(text), &ev); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	for key, value := range want {
		if ev[key] != value {
			t.Errorf("%s is %v, want %v, in %s", key, ev[key], value, text)
		}
	}
}

// switched makes the kernel permissive and enforcing again. The journal explains
// such an event.
func switched(t *testing.T, g *guest) {
	g.sh(t, "cd /sys/kernel/security/ipe; echo 0 >enforce; echo 1 >enforce")
	for _, file := range []string{"events", "exec-stream", "exec-each"} {
		g.until(t, "switch in "+file, "cat /var/log/ipe-auditd/"+file+".json", func(text string) bool {
			return strings.Contains(text, `"enforcing":false,"old_enforcing":true`) &&
				strings.Contains(text, `"enforcing":true,"old_enforcing":false`)
		})
	}
	if text := g.sh(t, "journalctl --quiet --no-pager --catalog IPE_EVENT=enforcement"); !strings.Contains(text, "Subject: IPE enforcement was switched") {
		t.Errorf("no explanation in the journal:\n%s", text)
	}
}

func restarts(t *testing.T, g *guest) {
	f := g.flood(t, "restarts", 20, "0.1")
	for range 2 {
		g.sh(t, "systemctl restart ipe-auditd.service")
	}
	g.arrive(t, f.file, f.end(t, g), once, everywhere...)
}

// killed lets the daemon be killed while it has nothing in hand: what it had
// received and not yet kept could be lost, as the manual says. Then denials
// come while there is no daemon.
func killed(t *testing.T, g *guest) {
	for i := range 2 {
		g.arrive(t, g.burst(t, fmt.Sprintf("alive-%d", i), 10), 10, atLeastOnce, everywhere...)
		before := g.service(t, "NRestarts")
		g.sh(t, "systemctl kill --signal=KILL --kill-whom=main ipe-auditd.service")
		file := g.burst(t, fmt.Sprintf("killed-%d", i), 200)
		g.arrive(t, file, 200, once, everywhere...)
		if after := g.service(t, "NRestarts"); after == before {
			t.Errorf("%s restarts before kill -9, %s after", before, after)
		}
	}
}

// watchdog stops the daemon, which systemd must notice. Before that it must not
// take a daemon that waits for one that hangs.
func watchdog(t *testing.T, g *guest) {
	const dropIn = runtimeDropIns + "watchdog.conf"
	g.write(t, dropIn, "[Service]\nWatchdogSec=10\n")
	g.sh(t, "systemctl daemon-reload; systemctl restart ipe-auditd.service")
	before := g.service(t, "NRestarts")
	g.burst(t, "counted", 10)
	g.until(t, "status with a count", "systemctl show --value --property=StatusText ipe-auditd.service", func(text string) bool {
		return strings.HasPrefix(text, "Listening: 10 records of IPE received, 0 lost")
	})
	if after := g.service(t, "NRestarts"); after != before {
		t.Fatalf("%s restarts, then %s of a daemon that runs", before, after)
	}
	g.sh(t, "systemctl kill --signal=STOP --kill-whom=main ipe-auditd.service")
	file := g.burst(t, "stopped", 100)
	g.until(t, "watchdog", "journalctl --quiet _PID=1 UNIT=ipe-auditd.service", func(text string) bool { return strings.Contains(text, "Watchdog timeout") })
	g.arrive(t, file, 100, atLeastOnce, everywhere...)
	g.sh(t, "rm "+dropIn+"; systemctl daemon-reload; systemctl restart ipe-auditd.service")
}

// outage is how long the configuration is broken.
const outage = time.Minute

const brokenFile = "/etc/ipe-auditd/conf.d/broken.yaml"

// broken begins a flood in which the service cannot start. The scenarios up to
// repaired do without it.
func broken(t *testing.T, g *guest) {
	g.unheard = g.flood(t, "broken", 10, "0.5")
	g.broken = time.Now()
	g.write(t, brokenFile, "sinks: [{type: telegraph}]\n")
	if _, _, exit := g.try(t, "systemctl restart ipe-auditd.service"); exit == 0 {
		t.Error("the service starts with a broken configuration")
	}
}

// repaired ends the outage. Nothing was lost by it.
func repaired(t *testing.T, g *guest) {
	if g.unheard == nil {
		t.Skip("nothing is broken")
	}
	<-time.After(time.Until(g.broken.Add(outage)))
	g.until(t, "more restarts than systemd's own limit of 5", "systemctl show --value --property=NRestarts ipe-auditd.service", func(text string) bool {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		return err == nil && n > 5
	})
	if text := g.sh(t, "journalctl --quiet _PID=1 UNIT=ipe-auditd.service"); !strings.Contains(text, "status=78/CONFIG") {
		t.Errorf("the service did not end with status 78:\n%s", text)
	}
	g.sh(t, "rm "+brokenFile)
	g.until(t, "start of the service", "systemctl is-active ipe-auditd.service", func(text string) bool { return text == "active\n" })
	g.arrive(t, g.unheard.file, g.unheard.end(t, g), once, everywhere...)
}

// rotated lets logrotate do what the package tells it.
func rotated(t *testing.T, g *guest) {
	f := g.flood(t, "rotated", 20, "0.1")
	g.sh(t, "logrotate --force /etc/logrotate.d/ipe-auditd")
	g.until(t, "events in the new file", "cat /var/log/ipe-auditd/events.json", func(text string) bool { return text != "" })
	g.arrive(t, f.file, f.end(t, g), once, everywhere...)
}

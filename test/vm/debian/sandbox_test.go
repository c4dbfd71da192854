package debian_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"testing"
)

// Where the package has drop-ins, and where they are in force.
const (
	examples       = "/usr/share/doc/ipe-auditd/examples/systemd/drop-ins/"
	runtimeDropIns = "/run/systemd/system/ipe-auditd.service.d/"
)

// exposure asks this systemd what it thinks of the units. That of the host, in
// test/service, is asked about every choice of drop-ins.
func exposure(t *testing.T, g *guest) {
	if text := g.sh(t, "systemd-analyze verify --man=no ipe-auditd.socket ipe-auditd.service ipe-auditd-lost.socket ipe-auditd-lost.service 2>&1"); text != "" {
		t.Errorf("systemd-analyze verify: %s", text)
	}
	g.sh(t, "systemd-analyze security --offline=true --no-pager --threshold=6 /usr/lib/systemd/system/ipe-auditd-lost.service")
	for _, tc := range []struct {
		names string
		most  int // tenths
	}{
		{"", 5},
		{"network", 16},
		{"own-socket network exec group", 18},
	} {
		text, stderr, exit := g.try(t, fmt.Sprintf(`rm -rf /run/rated && mkdir -p /run/rated/ipe-auditd.service.d && cd /run/rated &&
			cp /usr/lib/systemd/system/ipe-auditd.service . && for name in %s; do cp %s$name.conf ipe-auditd.service.d; done &&
			systemd-analyze security --offline=true --no-pager --threshold=%d /run/rated/ipe-auditd.service`, tc.names, examples, tc.most))
		if exit != 0 {
			t.Errorf("with the drop-ins %q the exposure is more than %d tenths (%d):\n%s%s", tc.names, tc.most, exit, text, stderr)
		}
	}
}

// overNetwork delivers to rsyslog by UDP and TCP, with the drop-in for that.
func overNetwork(t *testing.T, g *guest) {
	const dropIn = runtimeDropIns + "network.conf"
	g.sh(t, "mkdir -p "+runtimeDropIns+"; cp "+examples+"network.conf "+dropIn+"; systemctl daemon-reload")
	g.write(t, "/etc/ipe-auditd/conf.d/network.yaml", `
sinks:
  - {name: udp, type: syslog, address: "udp://127.0.0.1"}
  - {name: tcp, type: syslog, address: "tcp://127.0.0.1"}
`)
	g.sh(t, "systemctl restart ipe-auditd.service")
	g.arrive(t, g.burst(t, "network", 100), 100, once, append(network, everywhere...)...)
	g.sh(t, "rm /etc/ipe-auditd/conf.d/network.yaml "+dropIn+"; systemctl daemon-reload; systemctl restart ipe-auditd.service")
}

// doctor looks at a host where all is well, but for the losses that the test
// has caused, and for the clock, which nobody sets.
func doctor(t *testing.T, g *guest) {
	want := map[string]string{"audit_lost": "warning", "clock": "warning"}
	text, stderr, exit := g.try(t, "ipe-auditd doctor --json")
	var found struct {
		Findings []struct{ Check, Status string }
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil || len(found.Findings) == 0 {
		t.Fatalf("%v: %q %s", err, text, stderr)
	}
	for _, f := range found.Findings {
		if want := cmp.Or(want[f.Check], "ok"); f.Status != want {
			t.Errorf("%s is %s, want %s", f.Check, f.Status, want)
		}
	}
	if exit != 1 || t.Failed() {
		t.Errorf("exit status %d, want 1 for warnings:\n%s", exit, text)
	}
}

package debian_test

import (
	"os"
	"strings"
	"testing"
)

// upgrade installs another version over the one that runs. Maintainer scripts
// are not on the sealed disk, and neither will be the new daemon: as on any
// host with IPE, this is done while the kernel is permissive.
func upgrade(t *testing.T, g *guest) {
	const version = "0.1.0~vm2"
	text, err := os.ReadFile(g.upgrade)
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "/var/tmp/new.deb", string(text))
	g.sh(t, "echo 0 >/sys/kernel/security/ipe/enforce")
	socket := g.sh(t, "systemctl show --property=InvocationID,ActiveEnterTimestampMonotonic ipe-auditd.socket")
	f := g.flood(t, "upgrade", 10, "0.2")
	g.sh(t, "dpkg --install /var/tmp/new.deb")
	g.arrive(t, f.file, f.end(t, g), once, everywhere...)

	if now := g.sh(t, "systemctl show --property=InvocationID,ActiveEnterTimestampMonotonic ipe-auditd.socket"); now != socket {
		t.Errorf("the socket was %s, and is %s", socket, now)
	}
	if running := g.sh(t, `curl --silent --unix-socket /run/ipe-auditd/api.sock http://localhost/status`); !strings.Contains(running, `"version":"`+version+`"`) {
		t.Errorf("after the upgrade %s runs", running)
	}
}

// removed removes the package and purges it.
func removed(t *testing.T, g *guest) {
	g.sh(t, "dpkg --remove ipe-auditd")
	for _, unit := range []string{"ipe-auditd.socket", "ipe-auditd.service", "ipe-auditd-lost.socket", "ipe-auditd-lost.service"} {
		if text, _, _ := g.try(t, "systemctl is-active "+unit); text == "active\n" {
			t.Errorf("%s is active after the removal", unit)
		}
	}
	g.sh(t, "cd /var/log/ipe-auditd && test -e events.json && test -d /var/lib/ipe-auditd") // only purge takes events
	g.sh(t, "dpkg --purge ipe-auditd")
	if left := g.sh(t, `find / -xdev -name '*ipe-auditd*' -not -path '/var/cache/apt/archives/*'`); left != "" {
		t.Errorf("left behind by purge:\n%s", left)
	}
}

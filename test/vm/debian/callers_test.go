package debian_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// whoAsked has a service, and a user of another one, be denied, and reads from
// their events whose process that was. Audit is as Debian has it, off, so /proc
// alone says it. The process lives on: bash goes on after an exec that failed.
func whoAsked(t *testing.T, g *guest) {
	const service = `[Service]
Type=oneshot
ExecStart=/bin/bash -c 'shopt -s execfail; for n in 1 2 3; do exec /run/who; sleep 0.2; done; exit 0'
`
	g.sh(t, "cp /bin/true /run/who; chmod 755 /run/who")
	g.write(t, "/run/systemd/system/who-service.service", service)
	g.write(t, "/run/systemd/system/who-user.service", service+"User=nobody\nSlice=who.slice\n")
	g.sh(t, "systemctl daemon-reload; systemctl start who-service.service; systemctl start who-user.service")
	type seen struct {
		Path, Unit, Cgroup string
		UID                *int
		Context            []string
	}
	var all []seen
	g.until(t, "six denials of /run/who", "grep -F '\"/run/who\"' /var/log/ipe-auditd/events.json || :", func(text string) bool {
		all = nil
		for line := range strings.Lines(text) {
			var ev seen
			if err := json.Unmarshal([]byte(line), &ev); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, ev)
		}
		return len(all) == 6
	})
	for i, want := range []struct {
		unit, cgroup string
		uid          int
	}{{"who-service.service", "/system.slice/who-service.service", 0}, {"who-user.service", "/who.slice/who-user.service", 65534}} {
		for _, ev := range all[3*i : 3*i+3] {
			if ev.Unit != want.unit || ev.Cgroup != want.cgroup || ev.UID == nil || *ev.UID != want.uid || strings.Join(ev.Context, " ") != "proc" {
				t.Errorf("%+v, want %+v by proc", ev, want)
			}
		}
	}
	if text := g.sh(t, "ipe-auditd report --by unit --path /run/who"); !strings.Contains(text, "       3  who-service.service\n") || !strings.Contains(text, "       3  who-user.service\n") {
		t.Errorf("report --by unit:\n%s", text)
	}
	if text := g.sh(t, "ipe-auditd explain --path /run/who -n 1"); !strings.Contains(text, "who-user.service") || !strings.Contains(text, "nobody") {
		t.Errorf("explain:\n%s", text)
	}
}

package debian_test

import "testing"

func TestService(t *testing.T) {
	g := boot(t)
	for _, s := range scenarios {
		if !t.Run(s.name, func(t *testing.T) { s.run(t, g) }) {
			return
		}
	}
}

// scenarios happen in this order, in one guest.
var scenarios = []struct {
	name string
	run  func(*testing.T, *guest)
}{
	{"boot", booted},
}

func booted(t *testing.T, g *guest) {
	state, _, _ := g.try(t, "systemctl is-system-running --wait")
	if state != "running\n" {
		t.Errorf("the system is %s:\n%s", state, g.sh(t, "systemctl --failed --no-legend; journalctl -b -p warning --no-pager"))
	}
}

package vm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

const (
	profiles    = "../../deploy/apparmor/ipe-auditd"
	apparmorDir = "/sys/kernel/security/apparmor/"
)

// TestAppArmorProfileOnRealKernels runs the daemon in its profile: it does all that it
// does without, and does not get at what the profile keeps from it.
func TestAppArmorProfileOnRealKernels(t *testing.T) {
	l := newLab(t)
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		t.Skip("needs apparmor_parser, of the package apparmor")
	}
	compiled := filepath.Join(t.TempDir(), "profile")
	if out, err := exec.Command(parser, "-Q", "-K", "-M", "/etc/apparmor.d/abi/3.0", "-o", compiled, profiles).CombinedOutput(); err != nil {
		t.Fatalf("apparmor_parser: %v: %s", err, out)
	}
	profile, err := os.ReadFile(compiled)
	if err != nil {
		t.Fatal(err)
	}
	onKernels(t, l, func(t *testing.T, k *vm.Kernel) { confined(t, l, k, profile) })
}

func confined(t *testing.T, l *lab, k *vm.Kernel, profile []byte) {
	s := &session{lab: l, run: &run{kernel: k}, enforcing: true, loaded: map[string]loaded{}}
	s.guest = l.boot(t, k, "")
	sh := func(script string) string {
		t.Helper()
		p, exit := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "sh", "-c", script)})
		if exit != 0 {
			t.Fatalf("%s: exit status %d: %s", script, exit, p.Stderr())
		}
		return string(p.Stdout())
	}
	if syscall.Errno(s.actCall(t, profile, nil, "write", apparmorDir+".replace").Errno) != 0 {
		t.Skip("this kernel has no AppArmor, or does not take the profile")
	}
	if list := sh("/bin/busybox cat " + apparmorDir + "profiles"); !strings.Contains(list, "ipe-auditd (enforce)") {
		t.Fatalf("profiles: %q", list)
	}
	sh(strings.ReplaceAll(`B mkdir -p /usr/sbin /etc/ipe-auditd /var/lib/ipe-auditd /var/log/ipe-auditd /run/ipe-auditd
		B chmod 700 /var/lib/ipe-auditd; B cp /bin/ipe-auditd /usr/sbin/ipe-auditd`, "B", "/bin/busybox"))
	s.put(t, "/etc/ipe-auditd/ipe-auditd.yaml", []byte(`
spool: {dir: /var/lib/ipe-auditd}
api: {path: /run/ipe-auditd/api.sock}
sinks:
  - {name: out, type: console, format: json}
  - {name: all, type: file, path: /var/log/ipe-auditd/events.json}
  - {name: kept, type: file, path: /etc/kept.json}
`))
	s.daemon, s.offset = s.start(t, &wire.Call{Argv: words("/bin/busybox", "sh", "-c",
		"echo exec ipe-auditd > /proc/self/attr/exec && exec /usr/sbin/ipe-auditd")}), 0
	if ev := s.next(t); ev["event"] != "started" || ev["ipe_status"] != "no_policy" {
		t.Fatalf("the daemon begins with %v: %s", ev, s.daemon.Stderr())
	}
	if label := sh("/bin/busybox cat /proc/$(/bin/busybox pidof ipe-auditd)/attr/current"); !strings.Contains(label, "ipe-auditd (enforce)") {
		t.Errorf("the daemon runs as %q", label)
	}
	s.load(t, "lab", "1.0.0", strict...)
	s.activate(t, "lab")
	executions(t, s)
	if _, exit := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "sh", "-c", "/bin/ipe-auditd status --socket /run/ipe-auditd/api.sock")}); exit != 0 && exit != 1 {
		t.Errorf("status ends with %d", exit)
	}
	s.stop(t)
	if n := strings.Count(sh("/bin/busybox cat /var/log/ipe-auditd/events.json"), `"access"`); n == 0 {
		t.Error("the file sink has no access")
	}
	if said := s.daemon.Stderr(); !strings.Contains(said, "/etc/kept.json") {
		t.Errorf("a file in /etc is not kept from the daemon: %s", said)
	}
	// All that was denied is what was meant to be.
	for line := range strings.Lines(sh(`/bin/busybox dmesg | /bin/busybox grep 'apparmor="DENIED"' || true`)) {
		if !strings.Contains(line, `name="/etc/kept.json`) {
			t.Errorf("denied: %s", line)
		}
	}
}

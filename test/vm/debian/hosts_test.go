package debian_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestHostsPage runs the commands of docs/ipe-hosts.md, and holds what the page
// says of them.
func TestHostsPage(t *testing.T) {
	g := boot(t)
	commands := commandsOf(t, "../../../docs/ipe-hosts.md")
	for _, s := range []struct {
		name string
		run  func(*testing.T, *guest, map[string]string)
	}{
		{"a daemon that the policy denies", deniedDaemon},
		{"fs-verity on the daemon", verityDaemon},
		{"fs-verity on the script of a sink", verityScript},
		{"dm-verity on a volume", verityVolume},
		{"the initramfs", fromInitramfs},
	} {
		if !t.Run(s.name, func(t *testing.T) { s.run(t, g, commands) }) {
			return
		}
	}
}

// commandsOf returns the blocks of a page that have a name: "```sh name".
func commandsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]string{}
	name := ""
	for line := range strings.Lines(string(page)) {
		if begin, ok := strings.CutPrefix(line, "```sh "); ok {
			name = strings.TrimSpace(begin)
		} else if strings.HasPrefix(line, "```") {
			name = ""
		} else if name != "" {
			commands[name] += line
		}
	}
	return commands
}

const daemonFile = "/usr/sbin/ipe-auditd"

// deniedDaemon puts a copy of the daemon in its place that the policy does not
// know: on the disk that is below no overlay.
func deniedDaemon(t *testing.T, g *guest, _ map[string]string) {
	g.sh(t, "systemctl is-system-running --wait || true; cp "+daemonFile+" /opt/vm/state/daemon; mount --bind /opt/vm/state/daemon "+daemonFile)
	if _, stderr, exit := g.try(t, daemonFile+" version"); exit != 126 || !strings.Contains(stderr, "Permission denied") {
		t.Fatalf("exit status %d: %s", exit, stderr)
	}
	g.sh(t, "systemctl restart --no-block ipe-auditd")
	g.until(t, "203/EXEC", "systemctl show --property=ExecMainStatus,NRestarts ipe-auditd", func(text string) bool {
		return strings.Contains(text, "ExecMainStatus=203") && !strings.Contains(text, "NRestarts=0\n")
	})
	if text := g.sh(t, "systemctl is-active ipe-auditd.socket"); text != "active\n" {
		t.Errorf("the socket is %s", text)
	}
}

// verityDaemon permits the copy by its digest, as the page says.
func verityDaemon(t *testing.T, g *guest, commands map[string]string) {
	rule := g.sh(t, "file="+daemonFile+"\n"+commands["enable"])
	g.permit(t, commands, rule)
	g.sh(t, daemonFile+" version")
	if _, _, exit := g.try(t, "echo >>"+daemonFile); exit == 0 {
		t.Error("the file can still be changed")
	}
	g.until(t, "daemon", "systemctl is-active ipe-auditd", func(text string) bool { return text == "active\n" })
	// What was denied before comes from the socket, systemd's own attempts too.
	text := g.until(t, "denials of the daemon", "ipe-auditd tail --json --no-follow --since 1h --path "+daemonFile, func(text string) bool {
		return strings.Count(text, "\n") > 1
	})
	for _, want := range []string{`"verdict":"denied"`, `"comm":"(e-auditd)"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	// The digest of the packaged file, found without the host, is the same.
	said := g.sh(t, "cd $(mktemp -d); deb=$(ls /var/cache/apt/archives/ipe-auditd_*.deb | tail -n 1)\n"+commands["digest"])
	if digest, _, _ := strings.Cut(said, " "); !strings.Contains(rule, "="+digest+" ") {
		t.Errorf("the package has %s, the policy %s", said, rule)
	}
}

// verityScript does the same with the script of an exec sink.
func verityScript(t *testing.T, g *guest, commands map[string]string) {
	const script, got = "/opt/vm/state/page", "/var/log/ipe-auditd/page.json"
	g.write(t, script, "#!/bin/sh\nexec cat >>"+got+"\n")
	g.write(t, "/etc/ipe-auditd/conf.d/page.yaml", "sinks:\n  - {name: page, type: exec, command: ["+script+"]}\n")
	g.sh(t, "chmod 755 "+script+"; systemctl restart ipe-auditd")
	g.until(t, "denial of the script", "ipe-auditd tail --json --no-follow --since 1h --path "+script, func(text string) bool {
		return strings.Contains(text, `"verdict":"denied"`)
	})
	g.permit(t, commands, g.sh(t, "file="+script+"\n"+commands["enable"]))
	g.until(t, "event in the script", "cat "+got, func(text string) bool { return strings.Contains(text, `"event":"policy_load"`) })
}

// verityVolume seals a volume with the package and runs the daemon from there.
func verityVolume(t *testing.T, g *guest, commands map[string]string) {
	rule := g.sh(t, "cd /opt/vm/state; deb=$(ls /var/cache/apt/archives/ipe-auditd_*.deb | tail -n 1)\n"+commands["volume"])
	g.sh(t, "cd /opt/vm/state\n"+commands["mount"])
	const run = "/opt/tools" + daemonFile + " version"
	if _, _, exit := g.try(t, run); exit != 126 {
		t.Errorf("before the rule: exit status %d", exit)
	}
	g.permit(t, commands, rule)
	g.sh(t, run)
}

// fromInitramfs runs a program of the initramfs, which this guest has left.
func fromInitramfs(t *testing.T, g *guest, _ map[string]string) {
	g.sh(t, "/opt/vm/bin/busybox true")
	if _, _, exit := g.try(t, "cp /opt/vm/bin/busybox /run/busybox && /run/busybox true"); exit != 126 {
		t.Errorf("a copy of it: exit status %d", exit)
	}
}

// permit adds a rule to the policy in force, under a higher version.
func (g *guest) permit(t *testing.T, commands map[string]string, rule string) {
	t.Helper()
	const file = "/sys/kernel/security/ipe/policies/guest/policy"
	text := g.sh(t, "cat "+file)
	g.policies++
	head, rules, _ := strings.Cut(text, "\n")
	name, _, _ := strings.Cut(head, " policy_version=")
	signed, err := g.lab.Key.Sign(fmt.Sprintf("%s policy_version=1.%d.0\n%s\n%s", name, g.policies, strings.TrimRight(rules, "\n"), rule))
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "/root/guest.p7b", string(signed))
	g.sh(t, "cd /root; policy=guest\n"+commands["load"])
}

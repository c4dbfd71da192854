package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// debLife installs, upgrades, removes and purges in a clean Debian.
func (r *testRelease) debLife(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a Debian of its own")
	}
	need(t, "mmdebstrap", "unshare", "tar")
	if err := run(t.Context(), []string{"-version", olderVersion, "-nfpm", r.nfpm, "-out", r.dir, "-arch", runtime.GOARCH, "-format", "deb"}); err != nil {
		t.Fatal(err)
	}
	image := debian(t)
	for _, test := range []struct {
		name string
		life func(*testing.T, *root)
	}{
		{"in a root without a running systemd", quietLife},
		{"where systemd runs", busyLife},
		{"where the preset policy disables", disabledLife},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &root{dir: t.TempDir(), old: r.older(), new: r.deb(runtime.GOARCH)}
			must(t, "", "tar", "-xf", image, "-C", c.dir)
			for name, from := range map[string]string{"old.deb": c.old, "new.deb": c.new} {
				if err := copyFile(filepath.Join(c.dir, name), from); err != nil {
					t.Fatal(err)
				}
			}
			// Maintainer scripts ask this before they start anything.
			c.write(t, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
			test.life(t, c)
		})
	}
}

func (r *testRelease) older() string {
	return filepath.Join(r.dir, "ipe-auditd_"+olderVersion+"-1_"+runtime.GOARCH+".deb")
}

// debian returns an archive of a minimal Debian with systemd, kept from run to
// run.
func debian(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache folder for a Debian: %v", err)
	}
	image := filepath.Join(cache, "ipe-auditd-packages", "trixie-"+runtime.GOARCH+".tar")
	if _, err := os.Stat(image); err == nil {
		return image
	}
	if err := os.MkdirAll(filepath.Dir(image), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "debian.tar")
	if _, err := output(t.Context(), "", nil, "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv", "trixie", fresh); err != nil {
		t.Skipf("needs a mirror of Debian, for a clean root: %v", err)
	}
	if err := copyFile(image+".new", fresh); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(image+".new", image); err != nil {
		t.Fatal(err)
	}
	return image
}

// root is a Debian of its own, with an older and a newer package in it.
type root struct {
	dir      string
	old, new string
}

func (c *root) write(t *testing.T, name, text string) {
	t.Helper()
	if err := writeFile(filepath.Join(c.dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run executes a script in the root, in namespaces that end with it.
func (c *root) run(t *testing.T, script string) string {
	t.Helper()
	return must(t, "", "unshare", "--mount", "--pid", "--kill-child", "--fork", "--net", "--uts", "--ipc",
		"--root="+c.dir, "--mount-proc", "/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
		"/bin/sh", "-ec", "exec 2>&1\n"+script)
}

// ours lists what has our name and is not of the package system.
func (c *root) ours(t *testing.T) string {
	t.Helper()
	return c.run(t, `find / -xdev \( -name '*ipe-auditd*' -o -path '*/ipe-auditd/*' \) ! -path '/proc/*' ! -path '/var/lib/dpkg/*' ! -name '*.deb' | sort`)
}

func (c *root) has(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Lstat(filepath.Join(c.dir, name))
	return err == nil
}

const (
	wantsSocket  = "etc/systemd/system/sockets.target.wants/ipe-auditd.socket"
	wantsHelper  = "etc/systemd/system/sockets.target.wants/ipe-auditd-lost.socket"
	wantsService = "etc/systemd/system/multi-user.target.wants/ipe-auditd.service"
)

func quietLife(t *testing.T, c *root) {
	before := c.ours(t)
	if before != "" {
		t.Fatalf("the root is not clean: %s", before)
	}
	t.Log(c.run(t, "dpkg -i /old.deb"))
	if got := c.run(t, "ipe-auditd version"); !strings.HasPrefix(got, "ipe-auditd "+olderVersion+" ") {
		t.Errorf("installed %s", got)
	}
	if !c.has(t, wantsSocket) || !c.has(t, wantsHelper) || !c.has(t, wantsService) {
		t.Error("not enabled, though Debian's presets enable what is installed")
	}
	c.run(t, "id ipe-auditd; journalctl --list-catalog 19fc762b0ed393ce9525d0d3b41be070 | grep ipe-auditd")
	if got := c.run(t, "stat -c '%a %U:%G' /var/lib/ipe-auditd /var/log/ipe-auditd /etc/ipe-auditd/conf.d"); got !=
		"700 ipe-auditd:ipe-auditd\n750 ipe-auditd:ipe-auditd\n755 root:root" {
		t.Errorf("folders: %s", got)
	}
	if got := c.run(t, "ipe-auditd check-config /usr/share/doc/ipe-auditd/examples/ipe-auditd.yaml"); strings.Contains(got, "error") {
		t.Errorf("the example: %s", got)
	}
	// What was written by the daemon and by people survives an upgrade and a
	// removal.
	c.run(t, `echo spool >/var/lib/ipe-auditd/spool; echo events >/var/log/ipe-auditd/events.json
		echo 'log: {level: info}' >/etc/ipe-auditd/ipe-auditd.yaml; cp /etc/ipe-auditd/ipe-auditd.yaml /etc/ipe-auditd/conf.d/10.yaml
		echo secret >/etc/ipe-auditd/key.pem; systemctl disable ipe-auditd.service`)
	t.Log(c.run(t, "dpkg -i /new.deb"))
	if got := c.run(t, "ipe-auditd version"); !strings.HasPrefix(got, "ipe-auditd "+testVersion+" ") {
		t.Errorf("upgraded to %s", got)
	}
	if c.has(t, wantsService) {
		t.Error("an upgrade enables what the administrator disabled")
	}
	t.Log(c.run(t, "dpkg -r ipe-auditd"))
	for _, kept := range []string{"var/lib/ipe-auditd/spool", "var/log/ipe-auditd/events.json", "etc/ipe-auditd/ipe-auditd.yaml", "etc/ipe-auditd/key.pem"} {
		if !c.has(t, kept) {
			t.Errorf("removed: /%s", kept)
		}
	}
	if c.has(t, "usr/sbin/ipe-auditd") {
		t.Error("not removed")
	}
	t.Log(c.run(t, "dpkg -P ipe-auditd"))
	if got := c.ours(t); got != "/etc/ipe-auditd\n/etc/ipe-auditd/key.pem" {
		t.Errorf("left after a purge: %s", got)
	}
	c.run(t, "rm -r /etc/ipe-auditd; dpkg -i /new.deb; dpkg -P ipe-auditd")
	if got := c.ours(t); got != "" {
		t.Errorf("left after install and purge: %s", got)
	}
}

// busyLife has a systemctl that notes what it is asked to do. What a systemd
// does then is tried in a virtual machine.
func busyLife(t *testing.T, c *root) {
	c.write(t, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
	c.write(t, "usr/local/sbin/systemctl", `#!/bin/sh
case " $* " in
*" preset "* | *" --version "*) exec /usr/bin/systemctl "$@" ;;
*" is-enabled "*) echo enabled ;;
*" is-active "*) test -e /running ;;
*" start "*ipe-auditd*) echo "$@" >>/asked; touch /running ;;
*ipe-auditd*) echo "$@" >>/asked ;;
esac
`)
	asked := func(script string) string {
		t.Helper()
		c.run(t, "mkdir -p /run/systemd/system; rm -f /asked; touch /asked; "+script)
		return strings.ReplaceAll(strings.ReplaceAll(c.run(t, "cat /asked"), "--quiet --system ", ""), "--system ", "")
	}
	for _, step := range []struct{ script, want string }{
		{"dpkg -i /old.deb", "start ipe-auditd.socket ipe-auditd-lost.socket\nstart ipe-auditd.service"},
		{"dpkg -i /new.deb", "start ipe-auditd.socket ipe-auditd-lost.socket\nrestart ipe-auditd.service"},
		{"dpkg -i /old.deb", "start ipe-auditd.socket ipe-auditd-lost.socket\nrestart ipe-auditd.service"},
		{"dpkg -r ipe-auditd", "stop ipe-auditd.socket ipe-auditd.service\nstop ipe-auditd-lost.socket ipe-auditd-lost.service"},
		{"dpkg -i /new.deb", "start ipe-auditd.socket ipe-auditd-lost.socket\nrestart ipe-auditd.service"},
		{"dpkg -P ipe-auditd", "stop ipe-auditd.socket ipe-auditd.service\nstop ipe-auditd-lost.socket ipe-auditd-lost.service"},
	} {
		if got := asked(step.script); got != step.want {
			t.Errorf("%s: systemctl was asked\n%s\nwant\n%s", step.script, got, step.want)
		}
	}
}

func disabledLife(t *testing.T, c *root) {
	c.write(t, "etc/systemd/system-preset/00-hardened.preset", "disable *\n")
	c.run(t, "dpkg -i /old.deb; dpkg -i /new.deb")
	if c.has(t, wantsSocket) || c.has(t, wantsHelper) || c.has(t, wantsService) {
		t.Error("enabled against the preset policy")
	}
}

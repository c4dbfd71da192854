package procinfo

import (
	"strings"
	"testing"
)

const (
	id  = "3f4e8a1b2c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7"
	uid = "2f0b5a3e-9a53-4f0c-8a3b-0d2a5b6c7d8e"
)

func TestPlaceOf(t *testing.T) {
	t.Parallel()
	under := strings.ReplaceAll(uid, "-", "_")
	for _, tt := range []struct{ cgroup, unit, user, container, pod string }{
		{"/", "", "", "", ""},
		{"", "", "", "", ""},
		{"/init.scope", "init.scope", "", "", ""},
		{"/system.slice/nginx.service", "nginx.service", "", "", ""},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "", ""},
		{"/system.slice/nginx.service/worker.service", "nginx.service", "", "", ""},
		{"/system.slice/_cpu.service", "cpu.service", "", "", ""},
		{"/system.slice", "", "", "", ""},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "", ""},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope", "user@1000.service", "vte-spawn-1.scope", "", ""},
		{"/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service", "init.scope", "", ""},
		{"/user.slice/user-1000.slice/user@1000.service", "user@1000.service", "", "", ""},
		{"/system.slice/user@evil.service/x.service", "user@evil.service", "", "", ""},
		{"/system.slice/docker-" + id + ".scope", "docker-" + id + ".scope", "", id, ""},
		{"/docker/" + id, "", "", id, ""},
		{"/docker/" + id + "/system.slice/nginx.service", "", "", id, ""},
		{"/docker/" + id + "/kubepods/burstable/pod" + uid + "/" + strings.ToLower(strings.Replace(id, "3f", "00", 1)), "", "", strings.Replace(id, "3f", "00", 1), uid},
		{"/machine.slice/libpod-" + id + ".scope/container", "libpod-" + id + ".scope", "", id, ""},
		{"/machine.slice/libpod-conmon-" + id + ".scope", "libpod-conmon-" + id + ".scope", "", "", ""},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope", "user@1000.service", "libpod-" + id + ".scope", id, ""},
		{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/cri-containerd-" + id + ".scope", "cri-containerd-" + id + ".scope", "", id, uid},
		{"/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + id + ".scope", "crio-" + id + ".scope", "", id, uid},
		{"/kubepods/besteffort/pod" + uid + "/" + id, "", "", id, uid},
		{"/kubepods/pod" + id[:32] + "/" + id, "", "", id, id[:32]},
		{"/system.slice/containerd.service/kubepods-burstable-pod" + under + ".slice:cri-containerd:" + id, "containerd.service", "", id, uid},
		{"/default/" + id, "", "", id, ""},
		{"/machine.slice/systemd-nspawn@web.service/payload/system.slice/x.service", "systemd-nspawn@web.service", "", "web", ""},
		{`/machine.slice/machine-my\x2dbox.scope/payload`, `machine-my\x2dbox.scope`, "", "my-box", ""},
		{`/machine.slice/machine-qemu\x2d1\x2dvm.scope`, `machine-qemu\x2d1\x2dvm.scope`, "", "", ""},
		{"/lxc.payload.box/init.scope", "", "", "box", ""},
		{"/lxc.monitor.box", "", "", "", ""},
		{"/lxc/box", "", "", "box", ""},
		{"/tripod.slice/x.service", "x.service", "", "", ""},
		{"/a b\n/x y.service", "", "", "", ""},
	} {
		p := PlaceOf([]byte(tt.cgroup))
		if string(p.Unit) != tt.unit || string(p.UserUnit) != tt.user || string(p.Container) != tt.container || string(p.Pod) != tt.pod {
			t.Errorf("%s: got %s %s %s %s, want %s %s %s %s", tt.cgroup, p.Unit, p.UserUnit, p.Container, p.Pod, tt.unit, tt.user, tt.container, tt.pod)
		}
	}
}

func TestCgroupOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"unified":           {"0::/system.slice/x.service\n", "/system.slice/x.service"},
		"root":              {"0::/\n", "/"},
		"removed":           {"0::/system.slice/x.service (deleted)\n", "/system.slice/x.service"},
		"legacy":            {"12:pids:/a\n1:name=systemd:/system.slice/x.service\n", "/system.slice/x.service"},
		"hybrid":            {"2:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n", "/b"},
		"without systemd":   {"12:pids:/docker/1\n3:memory:/docker/1\n", "/docker/1"},
		"root of systemd":   {"12:pids:/docker/1\n1:name=systemd:/\n0::/\n", "/docker/1"},
		"colon in the name": {"0::/a:b:c\n", "/a:b:c"},
		"nothing":           {"", ""},
		"nonsense":          {"x\n0:\n0::y\n", ""},
	} {
		if got := string(cgroupOf([]byte(tt.text))); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func FuzzPlaceOf(f *testing.F) {
	f.Add([]byte("0::/kubepods/pod" + uid + "/" + id))
	f.Fuzz(func(t *testing.T, b []byte) { PlaceOf(cgroupOf(b)) })
}

package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
)

func TestCompanionsAreSaidToComeOrNot(t *testing.T) {
	t.Parallel()
	const plain = "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"
	for _, tt := range []struct {
		name   string
		change func(*facts)
		mounts string
		status Status
		want   []string
	}{
		{"enabled", func(*facts) {}, plain, OK, []string{"denials say which user"}},
		{"not enabled", func(f *facts) { f.audit.status.value.Enabled = 0 }, plain, OK, []string{"audit=1", "auditctl -e 1", "four records"}},
		{"off by the configuration", func(f *facts) { f.Daemon.Companions.State = "disabled" }, plain, OK, []string{"source.companions is off"}},
		{"shut out", func(f *facts) { f.Daemon.Companions.State, f.Daemon.Companions.ShutOut = "off", 3 }, plain, Warning, []string{"shut out", "3 times"}},
		{"only the daemon knows", func(f *facts) { f.audit.status.err, f.Daemon.Companions.Joined = errNo, 7 }, plain, OK, []string{"received 7"}},
		{"the daemon has seen none", func(f *facts) { f.audit.status.err, f.Daemon.Companions.State = errNo, "none" }, plain, OK, []string{"not enabled"}},
		{"the helper knows", func(f *facts) {
			f.audit.status.err, f.helper.err = errNo, nil
			f.helper.value.Status = &auditstate.Status{Enabled: 0}
		}, plain, OK, []string{"not enabled"}},
		{"/proc hides them", func(*facts) {}, strings.Replace(plain, "relatime", "relatime,hidepid=2", 1), Warning, []string{"hidepid="}},
		{"by name", func(*facts) {}, strings.Replace(plain, "relatime", "hidepid=invisible,gid=5", 1), Warning, []string{"hidepid="}},
		{"mounted over", func(*facts) {}, strings.Replace(plain, "relatime", "hidepid=2", 1) + strings.Replace(plain, "relatime", "hidepid=off", 1), OK, nil},
		{"the service hides them", func(f *facts) { f.Daemon.Companions.Proc = nil }, plain, Warning, []string{"ProtectProc=default"}},
	} {
		f := well(t)
		f.Daemon.Companions = &api.Companions{State: "on", Proc: &api.Proc{}}
		f.helper.err = errNo
		f.root = t.TempDir()
		if err := os.Mkdir(filepath.Join(f.root, "proc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.root, "proc/mounts"), []byte(tt.mounts), 0o644); err != nil {
			t.Fatal(err)
		}
		tt.change(f)
		worst, text := OK, ""
		for _, finding := range checkCompanions(f) {
			text += finding.Text + " " + finding.Advice + "\n"
			if finding.Status == Warning {
				worst = Warning
			}
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %s", tt.name, want, text)
			}
		}
		if worst != tt.status {
			t.Errorf("%s: %v, want %v: %s", tt.name, worst, tt.status, text)
		}
	}
}

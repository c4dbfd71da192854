package confinement

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	profiles = "../../deploy/apparmor/ipe-auditd"
	module   = "../../deploy/selinux"
	makefile = "/usr/share/selinux/devel/Makefile"
)

func TestAppArmorTakesTheProfiles(t *testing.T) {
	t.Parallel()
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		t.Skip("needs apparmor_parser, of the package apparmor")
	}
	if _, err := os.Stat("/etc/apparmor.d/abi/3.0"); err != nil {
		t.Skip("needs the features of AppArmor 3.0, of the package apparmor")
	}
	compiled := filepath.Join(t.TempDir(), "profiles")
	// -Q: not into the kernel. With the features of the abi, and not those of this
	// kernel, which may have none.
	out, err := exec.Command(parser, "-Q", "-K", "-M", "/etc/apparmor.d/abi/3.0", "-o", compiled, profiles).CombinedOutput()
	if err != nil {
		t.Fatalf("apparmor_parser: %v: %s", err, out)
	}
	binary, err := os.ReadFile(compiled)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ipe-auditd\x00", "ipe-auditd-lost\x00"} {
		if !strings.Contains(string(binary), name) {
			t.Errorf("there is no profile %q", name)
		}
	}
}

func TestSELinuxCompilesTheModule(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(makefile); err != nil {
		t.Skip("needs the reference policy, of the package selinux-policy-dev or selinux-policy-devel")
	}
	for _, tool := range []string{"make", "checkmodule", "m4"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(module)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-f", makefile, "ipe_auditd.pp")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make: %v: %s", err, out)
	}
	if info, err := os.Stat(filepath.Join(dir, "ipe_auditd.pp")); err != nil || info.Size() == 0 {
		t.Errorf("no module: %v", err)
	}
}

// TestBothKnowThePlacesOfTheService: what the units and the manual name is allowed.
func TestBothKnowThePlacesOfTheService(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	apparmor, contexts := read(profiles), read(filepath.Join(module, "ipe_auditd.fc"))
	for _, place := range []string{"/usr/sbin/ipe-auditd", "/etc/ipe-auditd", "/var/lib/ipe-auditd", "/var/log/ipe-auditd", "/run/ipe-auditd", "/run/ipe-auditd-lost"} {
		if !strings.Contains(strings.ReplaceAll(apparmor, "@{run}", "/run"), place) {
			t.Errorf("the AppArmor profile does not name %s", place)
		}
		if !strings.Contains(contexts, place) {
			t.Errorf("the SELinux module does not name %s", place)
		}
	}
	for unit, profile := range map[string]string{"ipe-auditd": "ipe-auditd", "ipe-auditd-lost": "ipe-auditd-lost"} {
		if !strings.Contains(read("../../deploy/systemd/"+unit+".service"), "\nAppArmorProfile=-"+profile+"\n") {
			t.Errorf("%s.service does not ask for the profile %s, where it is there", unit, profile)
		}
		if !strings.Contains(apparmor, "\nprofile "+profile+" ") {
			t.Errorf("there is no profile %s", profile)
		}
	}
}

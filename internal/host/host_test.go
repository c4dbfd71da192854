package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// sysfs makes a directory that looks like /sys. A name that ends in a slash is
// an empty directory.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestIPEStatesWhatSecurityfsSays(t *testing.T) {
	t.Parallel()
	const lsm = "kernel/security/lsm"
	const dir = "kernel/security/ipe/"
	tests := []struct {
		name  string
		files map[string]string
		want  IPE
	}{
		{"securityfs not mounted", map[string]string{"kernel/security/": ""}, IPE{Status: StatusUnreadable}},
		{"no sysfs", nil, IPE{Status: StatusUnreadable}},
		{"other LSMs only", map[string]string{lsm: "lockdown,capability,bpf"}, IPE{Status: StatusAbsent}},
		{"a longer name", map[string]string{lsm: "lockdown,ipex"}, IPE{Status: StatusAbsent}},
		{
			"no policy", map[string]string{lsm: "lockdown,ipe,ima", dir + "enforce": "1", dir + "success_audit": "0", dir + "policies/": ""},
			IPE{Status: StatusNoPolicy, Enforcing: ipe.True, SuccessAudit: ipe.False},
		},
		{
			"only inactive policies", map[string]string{lsm: "ipe", dir + "enforce": "1", dir + "policies/a/active": "0"},
			IPE{Status: StatusNoPolicy, Enforcing: ipe.True},
		},
		{
			"an active one", map[string]string{
				lsm: "ipe\n", dir + "enforce": "0\n", dir + "success_audit": "1",
				dir + "policies/a/active": "0", dir + "policies/b/active": "1",
				dir + "policies/b/version": "1.0.2\n", dir + "policies/b/pkcs7": "abc",
			},
			IPE{
				Status: StatusActive, Enforcing: ipe.False, SuccessAudit: ipe.True,
				Policy: ipe.Policy{
					Name: []byte("b"), Version: []byte("1.0.2"),
					Digest: []byte("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
				},
			},
		},
		{
			"built in, so without a signature", map[string]string{lsm: "ipe", dir + "policies/boot/active": "1", dir + "policies/boot/version": "0.0.1"},
			IPE{Status: StatusActive, Policy: ipe.Policy{
				Name: []byte("boot"), Version: []byte("0.0.1"),
				Digest: []byte("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
			}},
		},
		{
			"a policy whose state is hidden", map[string]string{lsm: "ipe", dir + "policies/a/version": "1.0.0"},
			IPE{Status: StatusUnreadable},
		},
		{"policies hidden", map[string]string{lsm: "ipe"}, IPE{Status: StatusUnreadable}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := Securityfs{Root: sysfs(t, tt.files)}
			if diff := cmp.Diff(tt.want, fs.IPE()); diff != "" {
				t.Errorf("IPE() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPolicyTextIsThatOfThePolicyAskedFor(t *testing.T) {
	t.Parallel()
	const dir = "kernel/security/ipe/policies/"
	fs := Securityfs{Root: sysfs(t, map[string]string{
		dir + "a/policy": "text", dir + "a/version": "1.0.0", dir + "a/pkcs7": "abc", "kernel/security/policy": "secret", dir + "boot/policy": "built in",
	})}
	const (
		abc       = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
		ofNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		other     = "sha256:00"
	)
	for _, tt := range []struct {
		name, version, digest string
		want                  string // the text, or else
		err                   string // a part of the error
	}{
		{"a", "1.0.0", abc, "text", ""},
		{"a", "", "", "text", ""},
		{"boot", "0.0.1", ofNothing, "built in", ""}, // has neither file
		{"a", "1.0.1", abc, "", "is version 1.0.0 by now, not 1.0.1"},
		{"a", "1.0.0", other, "", "another policy by now"},
		{"b", "", "", "", "no such file"},
		{"../..", "", "", "", "no policy can be called"},
		{"..", "", "", "", "no policy can be called"},
		{"", "", "", "", "no policy can be called"},
	} {
		p := ipe.Policy{Name: []byte(tt.name)}
		if tt.version != "" {
			p.Version = []byte(tt.version)
		}
		if tt.digest != "" {
			p.Digest = []byte(tt.digest)
		}
		text, err := fs.PolicyText(&p)
		if string(text) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q %s %s: %q, %v", tt.name, tt.version, tt.digest, text, err)
		}
	}
}

func TestIPEPrefersInheritedFiles(t *testing.T) {
	t.Parallel()
	fs := Securityfs{
		Root:         sysfs(t, map[string]string{"kernel/security/lsm": "ipe"}),
		Enforce:      strings.NewReader("1"),
		SuccessAudit: strings.NewReader("0"),
	}
	want := IPE{Status: StatusUnreadable, Enforcing: ipe.True, SuccessAudit: ipe.False}
	if diff := cmp.Diff(want, fs.IPE()); diff != "" {
		t.Errorf("IPE() (-want +got):\n%s", diff)
	}
}

func TestRunningKernelListsTheSameModulesInBothPlaces(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		t.Skipf("needs securityfs at /sys/kernel/security: %v", err)
	}
	if got, want := listed(), strings.Contains(","+strings.TrimSpace(string(text))+",", ",ipe,"); got != want {
		t.Errorf("listed() = %v, but the list is %s", got, text)
	}
}

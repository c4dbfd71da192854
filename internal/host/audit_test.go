package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAuditIsSwitchedOnByTheCommandLine(t *testing.T) {
	t.Parallel()
	for cmdline, want := range map[string]bool{
		"quiet audit=1":         true,
		"audit=on":              true,
		"audit=1 audit=0":       false,
		"quiet":                 false,
		"noaudit=1 xaudit=1":    false,
		"audit_backlog_limit=1": false,
	} {
		path := filepath.Join(t.TempDir(), "cmdline")
		if err := os.WriteFile(path, []byte(cmdline+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := AuditAtBoot(path); got != want {
			t.Errorf("AuditAtBoot(%q) = %v", cmdline, got)
		}
	}
	if AuditAtBoot(filepath.Join(t.TempDir(), "absent")) {
		t.Error("a missing file switches audit on")
	}
}

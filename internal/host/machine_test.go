package host

import (
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestApplicationIDOfAMachine(t *testing.T) {
	t.Parallel()
	// The next test says that this is what systemd makes of it.
	const want = "24758dae9a7a4f55b494a2bc98161475"
	if got := applicationID("b0a2f0d1c3e94f5ba7c8d9e0f1a2b3c4", application); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, bad := range []string{"", "uninitialized", "b0a2", "b0a2f0d1c3e94f5ba7c8d9e0f1a2b3c4aa"} {
		if got := applicationID(bad, application); got != "" {
			t.Errorf("of %q: got %s, want none", bad, got)
		}
	}
}

func TestApplicationIDIsThatOfSystemd(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(machineIDFile); err != nil {
		t.Skip("this host has no machine id")
	}
	out, err := exec.Command("systemd-id128", "machine-id", "--app-specific", hex.EncodeToString(application[:])).Output()
	if err != nil {
		t.Skipf("needs systemd-id128: %v", err)
	}
	if got, want := ApplicationID(), strings.TrimSpace(string(out)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

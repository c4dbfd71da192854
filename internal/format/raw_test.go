package format

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestAppendRaw(t *testing.T) {
	t.Parallel()
	mail := denied()
	mail.Raw = []byte(`IPE ctx_pid=1`)
	noStamp := denied()
	noStamp.Has, noStamp.Serial, noStamp.Raw = 0, 0, []byte(`IPE ctx_pid=1`)
	torn := unparsed()
	torn.Raw = []byte("audit(1.002:3): a\nb\x00c")
	tests := []struct {
		name string
		ev   *ipe.Event
		want string
	}{
		{"access", denied(), `type=UNKNOWN[1420] msg=` + string(denied().Raw) + "\n"},
		{"enforcement", switchedOff(), `type=MAC_STATUS msg=` + string(switchedOff().Raw) + "\n"},
		{"without a stamp in the text", mail, "type=UNKNOWN[1420] msg=audit(1795440956.605:590): IPE ctx_pid=1\n"},
		{"without any stamp", noStamp, "type=UNKNOWN[1420] msg=audit(0.000:0): IPE ctx_pid=1\n"},
		{"newline and NUL", torn, "type=UNKNOWN[1420] msg=audit(1.002:3): a b c\n"},
		{"own", lost(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(AppendRaw(nil, tt.ev, &Context{})); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAusearchReadsRaw(t *testing.T) {
	t.Parallel()
	ausearch, err := exec.LookPath("ausearch")
	if err != nil {
		if ausearch, err = exec.LookPath("/usr/sbin/ausearch"); err != nil {
			t.Skip("ausearch is not installed")
		}
	}
	var log []byte
	// In the order of stamps, as ausearch prints them.
	for _, ev := range []*ipe.Event{switchedOff(), denied(), lost(), failedLoad()} {
		log = AppendRaw(log, ev, &Context{})
	}
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, log, 0o600); err != nil {
		t.Fatal(err)
	}
	// Output, not CombinedOutput: as an ordinary user it grumbles about auditd.conf.
	out, err := exec.Command(ausearch, "--raw", "-if", file).Output()
	if err != nil {
		t.Fatalf("ausearch: %v\n%s", err, out)
	}
	if string(out) != string(log) {
		t.Errorf("ausearch read\n%s\nwant\n%s", out, log)
	}
	out, err = exec.Command(ausearch, "-if", file, "-m", "MAC_STATUS", "-i").Output()
	if err != nil || strings.Count(string(out), "type=MAC_STATUS") != 1 || !strings.Contains(string(out), "lsm=ipe") {
		t.Errorf("ausearch -m MAC_STATUS: %v\n%s", err, out)
	}
}

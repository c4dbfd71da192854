package format

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppendEnv(t *testing.T) {
	t.Parallel()
	h := hostile()
	got := AppendEnv([]string{"PATH=/bin"}, h, inSpool())
	want := []string{
		"PATH=/bin",
		"IPE_SPOOL=4f3a9c21d06b7e58", "IPE_SEQ=12345", "IPE_TIME=2026-11-23T13:35:56.605Z", "IPE_SERIAL=590", "IPE_TYPE=1420",
		"IPE_EVENT=access", "IPE_DIALECT=mainline", "IPE_VERDICT=allowed", "IPE_OP=EXECUTE", "IPE_HOOK=BPRM_CHECK",
		"IPE_COMM=a\nb\ufffdc", "IPE_PATH=" + string(h.Path), "IPE_DEV=vda2", "IPE_RULE=" + string(h.Rule),
		"IPE_ENFORCING=true", "IPE_PID=2204", "IPE_INO=1024", "IPE_RULE_KIND=rule", "IPE_ACTION=ALLOW",
		"IPE_RULE_PROPERTIES=intended_pathname=/a\xfeb x=\a",
		"IPE_EXTRA=k=\"v 1\" k=2\xff k\n= k_hex=00",
		"IPE_HOST=node7", "IPE_BOOT_ID=0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := AppendEnv(nil, failedLoad(), inSpool()); !slices.Contains(got, "IPE_ERRNO=-74") {
		t.Errorf("errno is missing or not as printed: %q", got)
	}
}

// TestProgramStartsWithAppendEnv proves that no event makes a program
// impossible to start.
func TestProgramStartsWithAppendEnv(t *testing.T) {
	t.Parallel()
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("env is not installed")
	}
	ev := hostile()
	ev.Comm = bytes.Repeat([]byte{0}, maxVariable)
	ev.Raw = bytes.Repeat([]byte{'x'}, 4*maxVariable)
	c := inSpool()
	c.Raw = true
	cmd := exec.Command(env, "-0")
	cmd.Env = AppendEnv(nil, ev, c)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(cmd.Env, "\x00") + "\x00"; string(out) != want {
		t.Errorf("the program got %q, want %q", out, want)
	}
	if bytes.Contains(out, []byte("IPE_RAW=")) || !bytes.Contains(out, []byte("IPE_COMM=\ufffd")) {
		t.Error("a value that is too long is there, or one of the longest is not")
	}
}

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a daemon sealed can be verified in the stream that its sink wrote, and a
// message that is missing there is named.
func TestVerifyReadsAStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if _, stderr, code := run(t, "seal-key", key); code != 0 {
		t.Fatal(stderr)
	}
	file := filepath.Join(dir, "conf.yaml")
	check(t, os.WriteFile(file, fmt.Appendf(nil, `
spool: {dir: %[1]s/spool}
seal: {key: %[1]s/key, every: 10}
sinks:
  - {name: fleet, type: nats, servers: ["%[2]s"], stream: IPE, create: true, timeout: 20s}
`, dir, url(s)), 0o600))
	if _, stderr, code := run(t, "--config", file, "--input", "../captures/7.3/off-vm.nlcap"); code != 0 {
		t.Fatal(stderr)
	}
	if stdout, stderr, code := run(t, "verify", "--key", key+".pub", url(s)+"/IPE"); code != 0 || !strings.HasPrefix(stdout, "Integrity: unaltered. Completeness: complete.") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	stream, err := streams(t, url(s)).Stream(t.Context(), "IPE")
	check(t, err)
	check(t, stream.DeleteMsg(t.Context(), 40))
	if stdout, stderr, code := run(t, "verify", "--key", key+".pub", url(s)+"/IPE"); code != 3 || !strings.Contains(stdout, "missing: seq 40 to 40") {
		t.Errorf("with a message missing: exit %d: %s%s", code, stdout, stderr)
	}
}

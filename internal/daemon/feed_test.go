package daemon

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// TestInputThatPausesDoesNotHoldUpTheEnd has an input whose next byte never
// comes: neither a signal nor the timeout may wait for it.
func TestInputThatPausesDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		timeout time.Duration
		want    string
	}{
		{"signal", 0, "stopped before the end of the input"},
		{"timeout", time.Second, "not everything could be read in 1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); w.Close() })
			dir := t.TempDir()
			o := options(dir, "a")
			o.Input, o.InputName, o.Timeout = r, "pipe", test.timeout
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- Run(ctx, o) }()
			if _, err := io.WriteString(w, "type=1420 msg="+denial(1)+"\n"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "a.json")
			eventually(t, "what was read is delivered", func() bool { return len(events(t, path)) == 1 })
			if test.timeout == 0 {
				cancel()
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ended with %v, want %q", err, test.want)
			}
		})
	}
}

// TestTimeoutCountsWhileTheSpoolIsFull has more input than the spool takes, and
// a sink that takes none of it.
func TestTimeoutCountsWhileTheSpoolIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options(filepath.Join(dir, "absent"), "stuck")
	o.Config.Spool.Dir = filepath.Join(dir, "state")
	o.Config.Spool.Size = units.MiB
	o.Timeout = time.Second
	var text strings.Builder
	for i := range 20_000 { // of some 200 bytes
		text.WriteString("type=1420 msg=" + denial(i) + "\n")
	}
	o.Input, o.InputName = strings.NewReader(text.String()), "text"
	if err := Run(context.Background(), o); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("ended with %v, want an error of one line", err)
	}
}

package doctor

import (
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKernelLossesAreKnownInMoreThanOneWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(f *facts)
		text   string
	}{
		{"the helper", func(*facts) {}, "told exactly"},
		{"a daemon with the capability", func(f *facts) {
			f.helper.err = fs.ErrNotExist
			f.Daemon.KernelLosses.Source = "own"
		}, "with CAP_AUDIT_CONTROL"},
		{"a helper that answers the daemon only", func(f *facts) { f.helper.err = fs.ErrPermission }, "told with accuracy exact"},
	} {
		f := well(t)
		tt.change(f)
		if got := checkKernelLosses(f); len(got) != 1 || got[0].Status != OK || !strings.Contains(got[0].Text, tt.text) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	f := well(t)
	f.audit.missing = unix.EPROTONOSUPPORT
	if got := checkKernelLosses(f); got != nil {
		t.Errorf("without audit: %+v", got)
	}
}

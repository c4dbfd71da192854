package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestAnUncertainTailIsSaid removes what says that the last daemon ended in
// order, or that its events were on disk.
func TestAnUncertainTailIsSaid(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	start(t, o).end()
	if err := os.Remove(filepath.Join(dir, "state", "end")); err != nil {
		t.Fatal(err)
	}
	d := start(t, o)
	path := filepath.Join(dir, "a.json")
	eventually(t, "the loss is told", func() bool { return len(of(events(t, path), ipe.KindLost)) > 0 })
	d.end()
	all := events(t, path)
	if lost := of(all, ipe.KindLost); len(lost) != 1 || lost[0].Stage != "disk" || lost[0].Accuracy != "unknown" || lost[0].Count != 0 {
		t.Errorf("told %+v, want one loss of unknown size at the disk", lost)
	}
	if all[0].Spool == all[len(all)-1].Spool {
		t.Error("the spool kept its id")
	}
}

package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestReloadLosesAndRepeatsNothing replaces the configuration in the middle of
// a flood: sink a stays, b is changed, c is new, d goes. Then a broken
// configuration is offered, which changes nothing.
func TestReloadLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a", "b", "d")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	hangup := make(chan os.Signal)
	o.Hangup = hangup
	next := make(chan *config.Config, 1)
	reloaded := make(chan struct{})
	o.Reload = func() (*config.Config, error) {
		defer func() { reloaded <- struct{}{} }()
		if c := <-next; c != nil {
			return c, nil
		}
		return nil, errors.New("broken")
	}
	d := start(t, o)
	sent := 0
	flood := func(n int) {
		for range n {
			sent++
			send(t, group, ipe.TypeAccess, denial(sent))
		}
	}
	reload := func(c *config.Config) {
		next <- c
		hangup <- syscall.SIGHUP
		<-reloaded
		// Another one comes only when this one is over.
		next <- c
		hangup <- syscall.SIGHUP
		<-reloaded
	}

	flood(1000)
	changed := options(dir, "a", "b", "c").Config
	changed.Sinks[1].Raw = true
	reload(changed)
	flood(1000)
	reload(nil)
	flood(1000)
	d.end()

	for name, wantFirst := range map[string]int{"a": 1, "b": 1} {
		access := of(events(t, filepath.Join(dir, name+".json")), ipe.KindAccess)
		if len(access) != sent || access[0].PID != wantFirst {
			t.Errorf("%s: %d denials, want %d", name, len(access), sent)
		}
		for i, ev := range access {
			if ev.PID != i+1 {
				t.Fatalf("%s: denial %d came in place of %d", name, ev.PID, i+1)
			}
		}
	}
	added := of(events(t, filepath.Join(dir, "c.json")), ipe.KindAccess)
	if len(added) < 2000 || added[len(added)-1].PID != sent {
		t.Errorf("c: %d denials, want those from its start on", len(added))
	}
	for i, ev := range added {
		if ev.PID != added[0].PID+i {
			t.Fatalf("c: denial %d came in place of %d", ev.PID, added[0].PID+i)
		}
	}
	if gone := of(events(t, filepath.Join(dir, "d.json")), ipe.KindAccess); len(gone) > 1000 {
		t.Errorf("d: %d denials after it was removed", len(gone)-1000)
	}
}

// TestHangupReopensFiles moves a file away as logrotate does.
func TestHangupReopensFiles(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	hangup := make(chan os.Signal)
	o.Hangup = hangup
	d := start(t, o)
	path := filepath.Join(dir, "a.json")
	send(t, group, ipe.TypeAccess, denial(1))
	eventually(t, "the first file has its event", func() bool { return len(of(events(t, path), ipe.KindAccess)) == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	hangup <- syscall.SIGHUP
	send(t, group, ipe.TypeAccess, denial(2))
	eventually(t, "the second file has its event", func() bool { return len(of(events(t, path), ipe.KindAccess)) == 1 })
	d.end()
	if old := of(events(t, path+".1"), ipe.KindAccess); len(old) != 1 || old[0].PID != 1 {
		t.Errorf("the first file has %+v", old)
	}
}

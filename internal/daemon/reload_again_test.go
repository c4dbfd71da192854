package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// reloads gives o a configuration to reload, which change has made of its own,
// and returns what asks for that.
func reloads(o *Options, next func(round int, sinks []config.Sink) error) chan<- os.Signal {
	hangup := make(chan os.Signal)
	o.Hangup = hangup
	before := *o.Config
	round := 0
	o.Reload = func() (*config.Config, error) {
		cfg := before
		cfg.Sinks = slices.Clone(before.Sinks)
		round++
		return &cfg, next(round, cfg.Sinks)
	}
	return hangup
}

// TestAChangedSinkGoesOnWithoutAStateDirectory has a sink that cannot deliver,
// and mends its configuration. Nothing but the daemon knows where it stood.
func TestAChangedSinkGoesOnWithoutAStateDirectory(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "well")
	o.Config.Spool.Dir = ""
	o.Config.Sinks = append(o.Config.Sinks, fileSink(filepath.Join(dir, "absent"), "stuck"))
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	mended := filepath.Join(dir, "mended.json")
	hangup := reloads(&o, func(_ int, sinks []config.Sink) error {
		sinks[1].Settings = &file.Config{Format: "json", Path: mended, Mode: 0o640}
		return nil
	})
	d := start(t, o)
	const n = 100
	for i := range n {
		send(t, group, ipe.TypeAccess, denial(i))
	}
	eventually(t, "the records are spooled", func() bool {
		return len(of(events(t, filepath.Join(dir, "well.json")), ipe.KindAccess)) == n
	})
	hangup <- syscall.SIGHUP
	eventually(t, "the mended sink delivers", func() bool { return len(events(t, mended)) > 0 })
	d.end()
	if got := len(of(events(t, mended), ipe.KindAccess)); got != n {
		t.Errorf("the mended sink got %d denials, want %d", got, n)
	}
}

// TestReloadsInAFloodLoseAndRepeatNothing reloads again and again: one sink
// stays as it is, one changes every time, and every third file is broken.
func TestReloadsInAFloodLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "same", "changing")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	hangup := reloads(&o, func(round int, sinks []config.Sink) error {
		sinks[1].Raw = round%2 == 0
		if round%3 == 0 {
			return errors.New("broken")
		}
		return nil
	})
	d := start(t, o)
	const n = 5000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			if err := group.Multicast(ipe.TypeAccess, denial(i)); err != nil {
				t.Error(err)
			}
			if i%10 == 0 {
				time.Sleep(time.Millisecond) // so that it lasts for some reloads
			}
		}
	}()
	for reloading := true; reloading; {
		select {
		case hangup <- syscall.SIGHUP:
		case <-sent:
			reloading = false
		}
	}
	d.end()
	for _, name := range []string{"same", "changing"} {
		all := events(t, filepath.Join(dir, name+".json"))
		for i, ev := range all {
			if ev.Seq != uint64(i+1) {
				t.Fatalf("%s: event %d is number %d", name, i+1, ev.Seq)
			}
		}
		dropped := int(sum(all, ipe.KindLost, "socket"))
		if got := len(of(all, ipe.KindAccess)) + dropped; got != n {
			t.Errorf("%s: %d denials arrived or were told as dropped, want %d", name, got, n)
		}
	}
}

package daemon

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// fakeSpool answers, unless it is held.
type fakeSpool struct{ held chan struct{} }

func newFakeSpool() *fakeSpool {
	s := &fakeSpool{held: make(chan struct{}, 1)}
	s.held <- struct{}{}
	return s
}

func (s *fakeSpool) Append([]spool.Record) spool.Cursor {
	<-s.held
	s.held <- struct{}{}
	return spool.Cursor{}
}

func (s *fakeSpool) hold()   { <-s.held }
func (s *fakeSpool) letGo()  { s.held <- struct{}{} }
func idle() (uint64, bool)   { return 0, false }
func nothing() string        { return "" }
func alive(told string) bool { return strings.Contains(told, "WATCHDOG=1") }

// manager is a service manager with a watchdog.
type manager struct {
	grants time.Duration
	heard  atomic.Int64 // when it last heard of us
}

func (m *manager) notify(state string) {
	if alive(state) {
		m.heard.Store(time.Now().UnixNano())
	}
}

// bites reports whether the watchdog would have ended us by now, or would if we
// were a second late.
func (m *manager) bites() bool {
	return time.Since(time.Unix(0, m.heard.Load())) >= m.grants-time.Second
}

// watch runs a watchdog in a bubble of fake time.
func watch(t *testing.T, v *watchdog) *manager {
	m := &manager{grants: v.granted}
	m.heard.Store(time.Now().UnixNano()) // as from READY=1 on
	v.notify, v.log, v.status = m.notify, zap.NewNop(), nothing
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); v.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

func TestPaceForgetsAStandstillThatIsOver(t *testing.T) {
	t.Parallel()
	type look struct {
		count   uint64
		working bool
		want    time.Duration // at looks a second apart
	}
	for name, looks := range map[string][]look{
		"idle":          {{0, false, 0}, {0, false, 0}, {0, false, 0}},
		"moves on":      {{1, true, 0}, {2, true, 0}, {9, true, 0}},
		"stands still":  {{1, true, 0}, {1, true, time.Second}, {1, true, 2 * time.Second}},
		"goes on":       {{1, true, 0}, {1, true, time.Second}, {2, true, 0}, {2, true, time.Second}},
		"begins anew":   {{1, true, 0}, {1, false, 0}, {1, true, 0}, {1, true, time.Second}},
		"was idle long": {{1, false, 0}, {1, false, 0}, {1, true, 0}, {1, true, time.Second}},
	} {
		var p stallTimer
		now := time.Now()
		for i, l := range looks {
			now = now.Add(time.Second)
			if got := p.stalledFor(now, l.count, l.working); got != l.want {
				t.Errorf("%s, look %d: still for %v, want %v", name, i, got, l.want)
			}
		}
	}
}

func TestWatchdogIsHeardWhileNothingHasWorkToDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := watch(t, &watchdog{granted: 30 * time.Second, progress: idle, spool: newFakeSpool()})
		for range 1000 {
			time.Sleep(time.Second)
			if m.bites() {
				t.Fatal("the watchdog bites an idle daemon")
			}
		}
	})
}

func TestWatchdogIsHeardWhileTheReceiverMovesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns atomic.Uint64
		m := watch(t, &watchdog{
			granted: 30 * time.Second, spool: newFakeSpool(),
			progress: func() (uint64, bool) { return turns.Load(), true },
		})
		for range 100 {
			time.Sleep(28 * time.Second)
			turns.Add(1) // seldom, and always with more to do
			if m.bites() {
				t.Fatal("the watchdog bites a receiver that is slow, but not stuck")
			}
		}
	})
}

// TestWatchdogBitesWhatStandsStillAndNothingElse stalls the receiver or the
// spool, at every phase between two looks and for every length.
func TestWatchdogBitesWhatStandsStillAndNothingElse(t *testing.T) {
	t.Parallel()
	const grants, step = 12 * time.Second, time.Second
	for _, part := range []string{"receiver", "spool"} {
		for begin := time.Duration(0); begin < grants; begin += step {
			t.Run(fmt.Sprintf("%s/%v", part, begin), func(t *testing.T) {
				t.Parallel()
				for length := step; length <= 3*grants; length += step {
					synctest.Test(t, func(t *testing.T) {
						fake := newFakeSpool()
						var busy atomic.Bool
						m := watch(t, &watchdog{
							granted: grants, spool: fake,
							progress: func() (uint64, bool) { return 7, busy.Load() },
						})
						time.Sleep(2*grants + begin + step/2)
						if part == "spool" {
							fake.hold()
						} else {
							busy.Store(true)
						}
						bitten := false
						for range length / step {
							time.Sleep(step)
							bitten = bitten || m.bites()
						}
						if part == "spool" {
							fake.letGo()
						}
						busy.Store(false)
						for range grants / step {
							time.Sleep(step)
							bitten = bitten || m.bites()
						}
						if length < grants && bitten {
							t.Errorf("a stall of %v was taken for a death", length)
						}
						if length >= 2*grants+step && !bitten {
							t.Errorf("nothing bit during a stall of %v", length)
						}
					})
				}
			})
		}
	}
}

// TestReceiverShowsThatItStandsStill holds a real receiver in Append, and lets a
// message wait for one that nobody runs.
func TestReceiverShowsThatItStandsStill(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	conn, err := netlinkaudit.FileConn(join(t, group), &netlinkaudit.Config{Types: ipe.Types(), Protocol: audittest.Protocol, NetNS: group.NetNS()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fake := newFakeSpool()
	r := newReceiver(conn, activepolicy.NewAnnotator(fake, activepolicy.NewTable()))
	if _, working := r.progress(); working {
		t.Error("without a message there is work")
	}
	send(t, group, ipe.TypeAccess, denial(1))
	if count, working := r.progress(); !working || count != 0 {
		t.Errorf("a message waits: progress = %d, %t; want 0, true", count, working)
	}

	fake.hold()
	done := make(chan error, 1)
	go func() { done <- r.run() }()
	eventually(t, "the receiver is in Append", func() bool { count, working := r.progress(); return working && count == 1 })
	if queued, err := conn.Queued(); err != nil || queued != 0 {
		t.Fatalf("Queued = %d, %v", queued, err)
	}
	fake.letGo()
	eventually(t, "the receiver moves on", func() bool { count, working := r.progress(); return !working && count == 2 })
	conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestManagerHearsWhatTheDaemonDoes runs a whole daemon.
func TestManagerHearsWhatTheDaemonDoes(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Config.Sinks = append(o.Config.Sinks, config.Sink{
		Name: "nowhere", Type: file.Type, From: config.FromEnd,
		Settings: &file.Config{Format: "json", Path: dir + "/missing/b.json", Mode: 0o640},
	})
	o.Inherited.Audit, o.Protocol, o.Watchdog = join(t, group), audittest.Protocol, 20*time.Millisecond
	told := make(chan string, 1000)
	o.Notify = func(state string) { told <- state }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	next := func(begin string) string {
		for {
			select {
			case state := <-told:
				if strings.HasPrefix(state, begin) {
					return state
				}
			case err := <-done:
				t.Fatalf("the daemon ended: %v", err)
			}
		}
	}
	next("EXTEND_TIMEOUT_USEC=")
	const listening = "READY=1\nSTATUS=Listening: 0 records of IPE received, 0 lost; 1 of 2 sinks failing: nowhere"
	if got := next("READY=1"); got != listening {
		t.Errorf("told %q, want %q", got, listening)
	}
	next("WATCHDOG=1")
	send(t, group, ipe.TypeAccess, denial(1))
	for !strings.Contains(next("WATCHDOG=1"), "STATUS=Listening: 1 records of IPE received") {
	}
	if err := os.Mkdir(dir+"/missing", 0o700); err != nil {
		t.Fatal(err)
	}
	cancel()
	next("STOPPING=1")
	if err := <-done; err != nil {
		t.Error(err)
	}
	close(told)
	for state := range told {
		if alive(state) {
			t.Error("a daemon that stops says that it is alive")
		}
	}
}

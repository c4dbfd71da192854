package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/procinfo"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// caller is what the tests look at of who asked.
type caller struct {
	Event   string
	PID     int
	UID     *int
	Unit    string
	Cgroup  string
	Title   string `json:"proctitle"`
	Context []string
	What    string
	New     string
}

func callers(t *testing.T, path string) (list []caller) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c caller
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &c) == nil && (c.Event == "access" || c.Event == "audit_config") {
			list = append(list, c)
		}
	}
	return list
}

// at is a record of now about process and serial n.
func at(n int, body string) string {
	now := time.Now().UnixMilli()
	return fmt.Sprintf("audit(%d.%03d:%d): ", now/1000, now%1000, n) + body
}

// denialNow is an access and its companions with one stamp.
func denialNow(n, pid int) (access, syscall, title, end string) {
	access = at(n, fmt.Sprintf(`ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="sh" path="/tmp/%d" dev="tmpfs" ino=2 rule="DEFAULT action=DENY"`, pid, n))
	stamp, _, _ := strings.Cut(access, "ipe_op")
	syscall = stamp + fmt.Sprintf(`arch=c000003e syscall=59 success=no exit=-13 ppid=%d pid=%d auid=1000 uid=33 gid=0 euid=0 tty=(none) ses=4 comm="sh" exe="/bin/sh"`, os.Getpid(), pid)
	return access, syscall, stamp + "proctitle=7368002D63", stamp
}

// TestCompanionsSayWho sends what a kernel with audit=1 sends, interleaved.
func TestCompanionsSayWho(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		set   func(*config.Source)
		user  bool
		title string
	}{
		{"received", func(*config.Source) {}, true, "sh -c"},
		{"without command lines", func(s *config.Source) { s.Proctitle = false }, true, ""},
		{"off", func(s *config.Source) { s.Companions = config.CompanionsOff }, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			group := audittest.StandIn(t)
			dir := t.TempDir()
			o := options(dir, "a")
			o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
			o.Config.Source.Join = 5 * time.Second
			tt.set(&o.Config.Source)
			d := start(t, o)
			access, syscall, title, end := denialNow(7, 570)
			send(t, group, ipe.TypeAccess, access)
			if tt.user {
				time.Sleep(20 * time.Millisecond) // the sink has read the access
			}
			send(t, group, 1300, at(8, "arch=c000003e syscall=1 pid=1 uid=7"))
			send(t, group, 1300, syscall)
			send(t, group, 1327, title)
			send(t, group, 1320, end)
			path := filepath.Join(dir, "a.json")
			eventually(t, "the access is delivered", func() bool { return len(callers(t, path)) == 1 })
			got := callers(t, path)[0]
			if (got.UID != nil && *got.UID == 33) != tt.user || got.Title != tt.title {
				t.Errorf("got %+v", got)
			}
			if tt.user {
				if diff := cmp.Diff([]string{"audit"}, got.Context); diff != "" {
					t.Errorf("context: %s", diff)
				}
			}
			if err := d.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestProcSaysWhere has records about a process that runs, and one that has gone.
func TestProcSaysWhere(t *testing.T) {
	t.Parallel()
	sleeper := exec.Command("sleep", "300")
	if err := sleeper.Start(); err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Skipf("needs true: %v", err)
	}
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS, o.Proc = audittest.Protocol, group.NetNS(), "/proc"
	o.Config.Source.Join = 5 * time.Second
	start(t, o)
	for n, pid := range []int{sleeper.Process.Pid, gone.Process.Pid} {
		access, syscall, title, end := denialNow(n+1, pid)
		send(t, group, ipe.TypeAccess, access)
		for typ, text := range map[uint16]string{1300: syscall, 1327: title} {
			send(t, group, typ, text)
		}
		send(t, group, 1320, end)
	}
	path := filepath.Join(dir, "a.json")
	eventually(t, "the accesses are delivered", func() bool { return len(callers(t, path)) == 2 })
	for i, want := range [][]string{{"audit", "proc"}, {"audit", "parent"}} {
		got := callers(t, path)[i]
		if diff := cmp.Diff(want, got.Context); diff != "" || got.Cgroup == "" || got.UID == nil || *got.UID != 33 {
			t.Errorf("access %d is %+v, want context %v", i+1, got, want)
		}
	}
}

// TestForeignCompanionsAreShutOut sends more of them than are let in, and lets them
// in again.
func TestForeignCompanionsAreShutOut(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	o.Config.API.Path = filepath.Join(dir, "api.sock")
	o.Config.API.Mode = 0o600
	start(t, o)
	path := filepath.Join(dir, "a.json")
	for n := range 3 * maxForeign {
		send(t, group, 1300, at(10+n, "arch=c000003e syscall=1 pid=1 uid=7"))
	}
	eventually(t, "that is told", func() bool {
		for _, c := range callers(t, path) {
			if c.What == ipe.WhatCompanions && c.New == "off" {
				return true
			}
		}
		return false
	})
	access, syscall, _, end := denialNow(7, 570)
	send(t, group, ipe.TypeAccess, access)
	send(t, group, 1300, syscall)
	send(t, group, 1320, end)
	eventually(t, "the access is delivered", func() bool {
		list := callers(t, path)
		return len(list) > 0 && list[len(list)-1].Event == "access"
	})
	list := callers(t, path)
	if got := list[len(list)-1]; !cmp.Equal(got.Context, []string{"off"}) || got.UID != nil {
		t.Errorf("got %+v", got)
	}
	_, st, err := api.NewClient(o.Config.API.Path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Companions.State != "off" || st.Companions.ShutOut != 1 || st.Companions.Foreign < maxForeign || st.Companions.Foreign > 2*maxForeign || st.Companions.Until.IsZero() {
		t.Errorf("status says %+v", st.Companions)
	}
	for _, typ := range st.Socket.Types {
		if ipe.IsCompanion(typ) {
			t.Errorf("type %d is let through", typ)
		}
	}
}

// filters notes what companions asked of the kernel's filter.
type filters []bool

func (f *filters) set(off bool) error { *f = append(*f, off); return nil }

func foreign(n int) []byte { return []byte(fmt.Sprintf("audit(1.000:%d): pid=1", n)) }

// TestPausesGrowWhileItRepeats is about the rule, without a kernel or a clock.
func TestPausesGrowWhileItRepeats(t *testing.T) {
	t.Parallel()
	var f filters
	c := newCompanions(true, 100*time.Millisecond, f.set)
	now := time.Unix(1_000_000, 0)
	c.now = func() time.Time { return now }
	c.openedAt = now
	flood := func(records int) {
		for n := range records {
			c.companion(1300, foreign(n), now.UnixNano())
		}
	}
	flood(maxForeign - 1)
	now = now.Add(time.Second)
	flood(maxForeign - 1)
	if c.off.Load() || len(f) != 0 {
		t.Fatal("shut out below the limit")
	}
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		now = now.Add(2 * time.Second)
		flood(maxForeign)
		if !c.off.Load() || c.Companions() || c.until.Sub(now) != want {
			t.Fatalf("time %d: off %v, for %v, want %v", i+1, c.off.Load(), c.until.Sub(now), want)
		}
		flood(10 * maxForeign) // what was queued
		if n := len(f); n != 2*i+1 || !f[n-1] {
			t.Fatalf("time %d: the filter was changed %d times", i+1, n)
		}
		now = c.until.Add(-time.Nanosecond)
		if c.open(); !c.off.Load() {
			t.Fatal("let in too early")
		}
		now = c.until
		if c.open(); c.off.Load() {
			t.Fatal("not let in again")
		}
	}
	now = now.Add(time.Hour)
	flood(maxForeign)
	if got := c.until.Sub(now); got != time.Minute {
		t.Errorf("after a good hour for %v, want %v", got, time.Minute)
	}
}

// TestNothingIsExpectedWhereNothingComes learns it where the kernel does not say it.
func TestNothingIsExpectedWhereNothingComes(t *testing.T) {
	t.Parallel()
	c := newCompanions(true, 100*time.Millisecond, func(bool) error { return nil })
	now := time.Unix(1_000_000, 0).UnixNano()
	access := func(n int) { c.access(foreign(n), now) }
	for n := range mostAlone + 5 {
		access(n)
	}
	if !c.Companions() {
		t.Error("none are expected, although the wait is not over")
	}
	now += int64(time.Second)
	access(100)
	if c.Companions() {
		t.Error("they are expected, although none came")
	}
	c.companion(1300, foreign(100), now)
	if !c.Companions() || c.late.Load() != 0 || c.joined.Load() != 1 {
		t.Error("one came, and they are not expected")
	}
	now += int64(200 * time.Millisecond)
	c.companion(1327, foreign(100), now)
	c.companion(1320, foreign(100), now)
	if c.late.Load() != 1 || c.joined.Load() != 3 {
		t.Errorf("%d late accesses, want 1", c.late.Load())
	}
	c.certain.Store(true)
	for n := range 100 {
		now += int64(time.Second)
		access(200 + n)
	}
	if !c.Companions() {
		t.Error("the kernel says that it makes them, and they are not expected")
	}
}

func TestReceivingCompanionsDoesNotAllocate(t *testing.T) {
	c := newCompanions(true, time.Second, func(bool) error { return nil })
	c.asker = procinfo.NewAsker("/proc")
	r := &receiver{annotator: activepolicy.NewAnnotator(&discard{}, activepolicy.NewTable()), who: c, records: make([]spool.Record, 0, 64)}
	access, syscall, title, end := denialNow(7, os.Getpid())
	batch := []netlinkaudit.Message{{Type: 1420, Data: []byte(access)}, {Type: 1300, Data: []byte(syscall)}, {Type: 1327, Data: []byte(title)}, {Type: 1320, Data: []byte(end)}, {Type: 1300, Data: foreign(1)}}
	if n := testing.AllocsPerRun(100, func() { r.appendBatch(batch, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(r.records) != 4 {
		t.Errorf("%d records are kept, want the access and its three companions", len(r.records))
	}
}

func BenchmarkReceiveCompanions(b *testing.B) {
	access, syscall, title, end := denialNow(7, os.Getpid())
	for _, bb := range []struct {
		name  string
		who   bool
		batch []netlinkaudit.Message
	}{
		{"nobody interested", false, []netlinkaudit.Message{{Type: 1420, Data: []byte(access)}}},
		{"without companions", true, []netlinkaudit.Message{{Type: 1420, Data: []byte(access)}}},
		{"with companions", true, []netlinkaudit.Message{{Type: 1420, Data: []byte(access)}, {Type: 1300, Data: []byte(syscall)}, {Type: 1327, Data: []byte(title)}, {Type: 1320, Data: []byte(end)}}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := &receiver{annotator: activepolicy.NewAnnotator(&discard{}, activepolicy.NewTable()), records: make([]spool.Record, 0, 64)}
			if bb.who {
				r.who = newCompanions(true, time.Second, func(bool) error { return nil })
			}
			b.ReportAllocs()
			for b.Loop() {
				r.appendBatch(bb.batch, 1)
			}
		})
	}
}

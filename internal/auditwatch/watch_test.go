package auditwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// kernel is what answers a Watch.
type kernel struct {
	mu     sync.Mutex
	status auditstate.Status
	rules  host.RuleCounts
	ipe    host.Watched
	err    error
	asked  int
}

// is one that has audit on, and the defaults else.
func newKernel() *kernel {
	return &kernel{status: auditstate.Status{Enabled: 1, Failure: 1, BacklogLimit: 64, BacklogWaitTime: 15000}}
}

func (k *kernel) ask(context.Context) (auditstate.State, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	status, rules := k.status, k.rules
	return auditstate.State{Version: 1, Status: &status, Rules: &rules}, k.err
}

func (k *kernel) securityfs() host.Watched {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ipe
}

// change changes the kernel and waits until a Watch must have seen it.
func (k *kernel) change(f func()) {
	k.mu.Lock()
	f()
	k.mu.Unlock()
	time.Sleep(interval + time.Second)
	synctest.Wait()
}

// told collects what a Watch tells.
type told struct {
	mu   sync.Mutex
	list []string
}

func (l *told) emit(ev *ipe.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("%s %s>%s", ev.What, ev.Old, ev.New)
	if ev.Has&ipe.HasAUID != 0 {
		text += fmt.Sprintf(" auid=%d", ev.AUID)
	}
	l.list = append(l.list, text)
}

// since returns what was told since the last call.
func (l *told) since() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// start runs a Watch until the end of the test, or the call of end.
func start(t *testing.T, k *kernel, dir string) (w *Watch, l *told, end func()) {
	t.Helper()
	l = &told{}
	w = New(Options{
		Ask: k.ask, Source: "helper", IPE: k.securityfs, Emit: l.emit, Dir: dir, BootID: "boot",
		Warn: func(err error) { t.Error(err) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	time.Sleep(2 * pause)
	synctest.Wait()
	return w, l, func() { cancel(); <-done }
}

// degraded returns what a Watch says to be missing.
func degraded(w *Watch) (list []string) {
	for _, g := range w.Status().Degraded {
		list = append(list, strings.TrimSpace(g.What+" "+g.New))
		if g.Effect == "" || g.Since.IsZero() {
			list = append(list, "incomplete")
		}
	}
	return list
}

func TestEveryChangeIsToldOnceAndLastsUntilItIsUndone(t *testing.T) {
	t.Parallel()
	excluded := func(types ...uint16) (list []host.ExcludedType) {
		for _, typ := range types {
			list = append(list, host.ExcludedType{Type: typ, All: 1})
		}
		return list
	}
	for _, tt := range []struct {
		name      string
		do, undo  func(*kernel)
		want      []string
		wantUndo  []string
		degrading []string
	}{
		{"audit disabled", func(k *kernel) { k.status.Enabled = 0 }, func(k *kernel) { k.status.Enabled = 1 },
			[]string{"audit_disabled 1>0"}, []string{"audit_enabled 0>1"}, []string{"audit_disabled 0"}},
		{"audit locked", func(k *kernel) { k.status.Enabled = 2 }, func(k *kernel) {}, []string{"audit_locked 1>2"}, nil, nil},
		{"rate limit", func(k *kernel) { k.status.RateLimit = 10 }, func(k *kernel) { k.status.RateLimit = 0 },
			[]string{"rate_limit 0>10"}, []string{"rate_limit 10>0"}, []string{"rate_limit 10"}},
		{"backlog lowered", func(k *kernel) { k.status.BacklogLimit = 1 }, func(k *kernel) { k.status.BacklogLimit = 0 },
			[]string{"backlog_limit 64>1"}, []string{"backlog_limit 1>0"}, []string{"backlog_limit 1"}},
		{"silent", func(k *kernel) { k.status.Failure = 0 }, func(k *kernel) { k.status.Failure = 2 },
			[]string{"failure 1>0"}, []string{"failure 0>2"}, []string{"failure 0"}},
		{"waits less", func(k *kernel) { k.status.BacklogWaitTime = 0 }, func(k *kernel) { k.status.BacklogWaitTime = 15000 },
			[]string{"backlog_wait_time 15000>0"}, []string{"backlog_wait_time 0>15000"}, nil},
		{"auditd comes", func(k *kernel) { k.status.PID = 812 }, func(k *kernel) { k.status.PID = 900 },
			[]string{"auditd 0>812"}, []string{"auditd 812>900"}, nil},
		{"exclude", func(k *kernel) { k.rules.Exclude = excluded(1300, 1420) }, func(k *kernel) { k.rules.Exclude = nil },
			[]string{"rule_added >exclude all of 1300 1420"}, []string{"rule_removed exclude all of 1300 1420>"}, []string{"rule_added exclude all of 1300 1420"}},
		{"exclude some", func(k *kernel) { k.rules.Exclude = []host.ExcludedType{{Type: 1421, Some: 2}} }, func(k *kernel) { k.rules.Exclude = nil },
			[]string{"rule_added >exclude some of 1421"}, []string{"rule_removed exclude some of 1421>"}, []string{"rule_added exclude some of 1421"}},
		{"never", func(k *kernel) { k.rules.TaskNever, k.rules.ExitNever = 1, 2 }, func(k *kernel) { k.rules.TaskNever, k.rules.ExitNever = 0, 0 },
			[]string{"rule_added >task,never", "rule_added >exit,never"}, []string{"rule_removed task,never>", "rule_removed exit,never>"},
			[]string{"rule_added task,never", "rule_added exit,never"}},
		{"a policy deleted", func(k *kernel) { k.ipe.Policies = []string{"b"} }, func(k *kernel) { k.ipe.Policies = []string{"a", "b"} },
			[]string{"policy_deleted a>"}, nil, nil},
		{"success_audit", func(k *kernel) { k.ipe.SuccessAudit = ipe.True }, func(k *kernel) { k.ipe.SuccessAudit = ipe.False },
			[]string{"success_audit 0>1"}, []string{"success_audit 1>0"}, nil},
		{"permissive without its record", func(k *kernel) { k.ipe.Enforcing = ipe.False }, func(k *kernel) { k.ipe.Enforcing = ipe.True },
			[]string{"enforcing 1>0"}, []string{"enforcing 0>1"}, []string{"enforcing 0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newKernel()
				k.ipe = host.Watched{Enforcing: ipe.True, SuccessAudit: ipe.False, Policies: []string{"a", "b"}}
				w, l, end := start(t, k, "")
				defer end()
				if list := l.since(); list != nil || degraded(w) != nil {
					t.Fatalf("told %q, missing %q, before anything was changed", list, degraded(w))
				}
				k.change(func() { tt.do(k) })
				if diff := cmp.Diff(tt.want, l.since()); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.degrading, degraded(w)); diff != "" {
					t.Errorf("missing (-want +got):\n%s", diff)
				}
				k.change(func() {})
				if list := l.since(); list != nil {
					t.Errorf("told again: %q", list)
				}
				k.change(func() { tt.undo(k) })
				if diff := cmp.Diff(tt.wantUndo, l.since()); diff != "" {
					t.Errorf("told of the undoing (-want +got):\n%s", diff)
				}
				if list := degraded(w); list != nil && tt.degrading != nil {
					t.Errorf("still missing: %q", list)
				}
			})
		})
	}
}

// What stands at the start is told where it takes records of IPE away, and once in
// a boot; what was changed while nobody watched is told by the next process.
func TestStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.status.Enabled, k.status.RateLimit = 0, 5
		k.rules = host.RuleCounts{TaskNever: 1, Exclude: []host.ExcludedType{{Type: 1300, All: 1}, {Type: 1420, All: 1}}}
		w, l, end := start(t, k, dir)
		want := []string{"rate_limit >5", "rule_added >exclude all of 1420"}
		if diff := cmp.Diff(want, l.since()); diff != "" {
			t.Errorf("told at the first start (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"rate_limit 5", "rule_added exclude all of 1420"}, degraded(w)); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		end()
		_, l, end = start(t, k, dir)
		if list := l.since(); list != nil {
			t.Errorf("told again: %q", list)
		}
		end()
		k.status.RateLimit, k.status.Failure = 0, 0
		w, l, end = start(t, k, dir)
		if diff := cmp.Diff([]string{"failure 1>0", "rate_limit 5>0"}, l.since()); diff != "" {
			t.Errorf("told of the time between (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"failure 0", "rule_added exclude all of 1420"}, degraded(w)); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		end()
	})
}

// A record tells a change before an answer shows it, and the answer does not tell it
// again; of a rule the answer says more.
func TestRecordsAreNotToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.ipe.Enforcing = ipe.True
		w, l, end := start(t, k, "")
		defer end()
		record := func(typ uint16, body string) {
			if !w.Record(typ, []byte("audit(1796082676.202:7): "+body)) {
				t.Errorf("not to be told: %s", body)
			}
		}
		k.change(func() {
			k.status.RateLimit, k.status.Enabled, k.ipe.Enforcing = 100, 0, ipe.False
			record(ipe.TypeAuditConfigChange, "op=set audit_rate_limit=100 old=0 auid=1000 ses=3 res=1")
			record(ipe.TypeAuditConfigChange, "op=set audit_failure=0 old=1 auid=1000 ses=3 res=0") // refused
			record(ipe.TypeAuditConfigChange, "op=set audit_enabled=0 old=1 auid=1000 ses=3 res=1")
			record(ipe.TypeMACStatus, "enforcing=0 old_enforcing=1 auid=1000 ses=3 enabled=1 old-enabled=1 lsm=ipe res=1")
		})
		if list := l.since(); list != nil {
			t.Errorf("told again: %q", list)
		}
		if diff := cmp.Diff([]string{"audit_disabled 0", "rate_limit 100", "enforcing 0"}, degraded(w)); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		k.change(func() {
			k.rules.Exclude = []host.ExcludedType{{Type: 1420, All: 1}}
			record(ipe.TypeAuditConfigChange, "auid=1000 ses=3 op=add_rule key=(null) list=5 res=1")
		})
		if diff := cmp.Diff([]string{"rule_added >exclude all of 1420 auid=1000"}, l.since()); diff != "" {
			t.Errorf("told of a rule (-want +got):\n%s", diff)
		}
		counts := w.Status().Counts
		if counts["rate_limit"] != 1 || counts["failure"] != 1 || counts["rule_added"] != 2 || counts["listener"] != 0 {
			t.Errorf("counts: %v", counts)
		}
	})
}

// A record that is under way when the answer comes is not told a second time.
func TestAnswerThatOvertakesItsRecordIsNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		w, l, end := start(t, k, "")
		defer end()
		k.mu.Lock()
		k.status.RateLimit = 100
		k.mu.Unlock()
		w.Check()
		time.Sleep(least - 2*pause + pause/2) // the answer has come, and is not confirmed
		w.Record(ipe.TypeAuditConfigChange, []byte("op=set audit_rate_limit=100 old=0 auid=1000 ses=3 res=1"))
		time.Sleep(interval)
		synctest.Wait()
		if list := l.since(); list != nil {
			t.Errorf("told again: %q", list)
		}
	})
}

func TestOwnJoiningIsNoEvent(t *testing.T) {
	t.Parallel()
	w := New(Options{Emit: func(*ipe.Event) {}})
	join := func(pid int) []byte {
		return fmt.Appendf(nil, `audit(1.000:7): pid=%d uid=0 auid=0 tty=(none) ses=1 comm="x" exe="/x" nl-mcgrp=1 op=connect res=1`, pid)
	}
	if w.Record(ipe.TypeEventListener, join(os.Getpid())) {
		t.Error("our own joining is told")
	}
	if !w.Record(ipe.TypeEventListener, join(1)) {
		t.Error("that of another is not")
	}
	if n := w.Status().Counts[ipe.WhatListener]; n != 1 {
		t.Errorf("%d listeners counted", n)
	}
}

func TestNobodyToAskIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		k.err = errors.New("no helper")
		w, l, end := start(t, k, "")
		st := w.Status()
		if st.Source != "none" || st.Err == nil || st.Known {
			t.Errorf("status %+v", st)
		}
		k.change(func() { k.err = nil })
		if st = w.Status(); st.Source != "helper" || st.Err != nil || !st.Known || st.Asked.IsZero() {
			t.Errorf("status %+v", st)
		}
		if list := l.since(); list != nil {
			t.Errorf("told %q", list)
		}
		end()
	})
}

// TestFloodOfRecordsAsksSeldom: who may change audit may do so without end.
func TestFloodOfRecordsAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKernel()
		w, _, end := start(t, k, "")
		defer end()
		before := k.asked
		const seconds = 20
		for range 100 * seconds {
			w.Record(ipe.TypeEventListener, []byte("op=connect"))
			time.Sleep(10 * time.Millisecond)
		}
		if n := k.asked - before; n < seconds/2 || n > 2*seconds {
			t.Errorf("asked %d times in %d s", n, seconds)
		}
	})
}

func TestRecordCostsNoAllocation(t *testing.T) {
	w := New(Options{Emit: func(*ipe.Event) {}})
	records := map[uint16][]byte{
		ipe.TypeAuditConfigChange: []byte("op=set audit_rate_limit=100 old=0 auid=1000 ses=3 res=1"),
		ipe.TypeEventListener:     []byte(`pid=1 comm=6120 exe="/x" op=connect res=1`),
		ipe.TypeMACStatus:         []byte("enforcing=0 old_enforcing=1 auid=1000 ses=3 enabled=1 old-enabled=1 lsm=ipe res=1"),
	}
	if n := testing.AllocsPerRun(100, func() {
		for typ, text := range records {
			w.Record(typ, text)
		}
	}); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func TestDamagedStateIsSaidAndBegunAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+stateFile, []byte(`{"boot_id":"boot"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := loadState(dir, "boot"); err == nil || s.Known || s.BootID != "boot" {
		t.Errorf("got %+v, %v", s, err)
	}
	s := state{BootID: "other", Known: true}
	if err := s.save(dir); err != nil {
		t.Fatal(err)
	}
	if s, err := loadState(dir, "boot"); err != nil || s.Known {
		t.Errorf("the state of another boot: got %+v, %v", s, err)
	}
}

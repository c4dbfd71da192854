package daemon

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// answers serves a state that a test may replace, until the end of the test.
func answers(t *testing.T, path string, st auditstate.State) *atomic.Pointer[auditstate.State] {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[auditstate.State]
	now.Store(&st)
	var wg sync.WaitGroup
	wg.Go(func() {
		auditstate.Serve(l, func() auditstate.State { return *now.Load() }, auditstate.Pace{Idle: time.Hour, Life: time.Hour, Write: time.Second}) //nolint:errcheck // ends with the listener
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return &now
}

// TestWhoTakesRecordsAwayIsTold has a record of a rule, what the rule says, and a
// listener that is not ourselves.
func TestWhoTakesRecordsAwayIsTold(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	st := auditstate.State{Version: auditstate.Version, Status: &auditstate.Status{Enabled: 1, Failure: 1, PID: 7, BacklogLimit: 64}, Rules: &host.RuleCounts{}}
	now := answers(t, filepath.Join(dir, helperSocket), st)
	o := options(dir, "a")
	o.Protocol, o.NetNS, o.AuditState = audittest.Protocol, group.NetNS(), filepath.Join(dir, helperSocket)
	o.Config.API.Path, o.Config.API.Mode = filepath.Join(dir, "api.sock"), 0o600
	d := start(t, o)
	status := func() *api.Status {
		_, st, err := api.NewClient(o.Config.API.Path).Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	eventually(t, "the kernel was asked", func() bool { st := status(); return st.Audit != nil && st.Audit.Kernel != nil })
	if st := status(); !st.Healthy || st.Audit.Source != "helper" || st.Audit.Kernel.BacklogLimit != 64 {
		t.Errorf("status %+v of %+v", st.Audit, st)
	}

	excluded := st
	excluded.Rules = &host.RuleCounts{Total: 1, Exclude: []host.ExcludedType{{Type: ipe.TypeAccess, All: 1}}}
	now.Store(&excluded)
	send(t, group, ipe.TypeEventListener, `audit(1796082676.302:18): pid=4711 uid=0 auid=0 tty=pts0 ses=1 subj=x comm="spy" exe="/tmp/spy" nl-mcgrp=1 op=connect res=1`)
	send(t, group, ipe.TypeAuditConfigChange, `audit(1796082676.303:19): auid=1000 ses=3 subj=x op=add_rule key="k" list=4 res=1`) // of no concern
	send(t, group, ipe.TypeAuditConfigChange, `audit(1796082676.304:20): auid=1000 ses=3 subj=x op=add_rule key=(null) list=5 res=1`)
	send(t, group, ipe.TypeSyscall, `audit(1796082676.304:20): arch=c000003e syscall=44 success=yes exit=1060 a0=4 items=0 ppid=800 pid=801 auid=1000 uid=0 gid=0 euid=0 tty=pts1 ses=3 comm="auditctl" exe="/usr/sbin/auditctl" subj=x key=(null)`)
	send(t, group, ipe.TypeEOE, "audit(1796082676.304:20): ")

	path := filepath.Join(dir, "a.json")
	var got []string
	eventually(t, "three changes are told", func() bool {
		text, _ := os.ReadFile(path)
		got = nil
		for line := range strings.Lines(string(text)) {
			var ev struct {
				Event, What, New, Effect, Exe string
				Serial, AUID, Type            int
			}
			if json.Unmarshal([]byte(line), &ev) == nil && ev.Event == "audit_config" {
				b, _ := json.Marshal([]any{ev.Type, ev.Serial, ev.What, ev.New, ev.Exe, ev.AUID, ev.Effect})
				got = append(got, string(b))
			}
		}
		return len(got) >= 3
	})
	want := []string{
		`[1335,18,"listener","present","/tmp/spy",0,"another program reads the records of this host; that takes nothing away"]`,
		`[1305,20,"rule_added","exclude","/usr/sbin/auditctl",1000,"from here on records of some types are not made, for nobody; the kernel's record does not say of which"]`,
		`[0,0,"rule_added","exclude all of 1420","",1000,"from here on denials are not recorded"]`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if st := status(); st.Healthy || len(st.Reasons) != 1 || !strings.Contains(st.Reasons[0], "denials are not recorded") {
		t.Errorf("healthy %v, reasons %q", st.Healthy, st.Reasons)
	}
	d.end()
}

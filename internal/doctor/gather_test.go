package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// tree makes a root of a file system. A value that begins with -> is a symbolic
// link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, isLink := strings.CutPrefix(content, "->"); isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// netlinkTable is what a kernel with journald's and our socket says.
const netlinkTable = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
000000005f462381 0   0          00000000 0        0        0     2        0        6       
000000005f462382 9   0          00000000 0        0        0     2        0        7       
000000005f462383 9   812        00000000 4352     0        0     2        0        100     
000000005f462384 9   4294963199 00000001 0        0        0     2        12       101     
000000005f462385 9   1          00000001 212992   0        0     2        0        102     
000000005f462386 15  1          00000001 0        0        0     2        0        103     
`

func stat(pid int, name string, state byte, start int) string {
	return fmt.Sprintf("%d (%s) %c 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, name, state, start)
}

func TestListenersAreNamed(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"proc/net/netlink": netlinkTable,
		"proc/1/stat":      stat(1, "systemd", 'S', 1), "proc/1/fd/9": "->socket:[102]", "proc/1/fd/10": "->socket:[101]",
		"proc/300/stat": stat(300, "systemd-journal", 'S', 1), "proc/300/fd/3": "->socket:[102]", "proc/300/fd/4": "->socket:[102]",
		"proc/77/stat": stat(77, "a) (b\x1b", 'S', 1), "proc/77/fd/3": "->socket:[101]", "proc/77/fd/4": "->/dev/null",
		"proc/self": "->77",
	})
	got, err := auditListeners(root)
	want := []listener{
		{netlinkSocket{inode: 101, portID: 4294963199, groups: 1, drops: 12}, []process{{1, "systemd"}, {77, "a) (b\x1b"}}},
		{netlinkSocket{inode: 102, portID: 1, groups: 1, queued: 212992}, []process{{1, "systemd"}, {300, "systemd-journal"}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(listener{}, netlinkSocket{}, process{})); diff != "" || err != nil {
		t.Errorf("(-want +got) %v:\n%s", err, diff)
	}
	f := well(t)
	f.listeners.value = got
	if text := of(report(f), "listeners")[0].Text; !strings.HasSuffix(text, `listening: "a) (b\x1b" (pid 77), which lost 12; systemd-journal (pid 300)`) {
		t.Errorf("got %q", text)
	}
	if _, err := auditListeners(t.TempDir()); err == nil {
		t.Error("no table is no error")
	}
}

func TestAuditdIsLookedAtWhileSomethingWaits(t *testing.T) {
	t.Parallel()
	s := source{
		root:   tree(t, map[string]string{"proc/net/netlink": netlinkTable, "proc/812/stat": stat(812, "auditd", 'S', 1), "proc/cmdline": "audit=1\n"}),
		rules:  func() ([]host.AuditRule, error) { return nil, nil },
		exists: func() error { return nil },
	}
	status := host.AuditStatus{PID: 812, Backlog: 2}
	s.status = func() (host.AuditStatus, error) { return status, nil }
	s.pause = func() { status.Backlog++ }
	a := s.auditFacts()
	want := []auditdLook{{"auditd", 'S', 2, 4352}, {"auditd", 'S', 3, 4352}, {"auditd", 'S', 4, 4352}}
	if diff := cmp.Diff(want, a.auditd, cmp.AllowUnexported(auditdLook{})); diff != "" || !a.atBoot {
		t.Errorf("audit=1 %v; (-want +got):\n%s", a.atBoot, diff)
	}
	if why := stuck(a.auditd); !strings.Contains(why, "does not read") {
		t.Errorf("got %q", why)
	}

	// Its socket is empty, and the queue with it.
	s.root, status.Backlog = tree(t, map[string]string{"proc/812/stat": stat(812, "auditd", 'S', 1)}), 1
	s.pause = func() { status.Backlog = 0 }
	if a := s.auditFacts(); len(a.auditd) != 2 || stuck(a.auditd) != "" {
		t.Errorf("one that reads is stuck: %+v", a.auditd)
	}
}

func TestJournaldSettingsAreReadInItsOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, ""},
		{"commented out", map[string]string{"etc/systemd/journald.conf": "[Journal]\n#Audit=yes\n"}, ""},
		{"main file", map[string]string{"etc/systemd/journald.conf": "[Journal]\nAudit = no\n", "usr/lib/systemd/journald.conf": "Audit=yes"}, "no"},
		{"the vendor's", map[string]string{"usr/lib/systemd/journald.conf": "Audit=yes"}, "yes"},
		{"drop-ins by name", map[string]string{
			"etc/systemd/journald.conf":               "Audit=yes",
			"usr/lib/systemd/journald.conf.d/20.conf": "Audit=keep",
			"etc/systemd/journald.conf.d/10.conf":     "Audit=no",
			"etc/systemd/journald.conf.d/30.bak":      "Audit=yes",
		}, "keep"},
		{"a drop-in that hides another", map[string]string{
			"usr/lib/systemd/journald.conf.d/20.conf": "Audit=yes",
			"etc/systemd/journald.conf.d/20.conf":     "",
		}, ""},
	} {
		if got := journaldSetting(tree(t, tt.files), "Audit"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	j := source{root: tree(t, map[string]string{"run/systemd/journal/socket": "", "proc/sys/kernel/printk": "7\t4\t1\t7\n", "etc/systemd/journald.conf": "ReadKMsg=no"})}.journal()
	if want := (journalFacts{runs: true, readKmsg: "no", console: 7}); j != want {
		t.Errorf("got %+v, want %+v", j, want)
	}
}

func TestAStepOfTheClockIsSeen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := source{
		// Up for 1000 s, the daemon started 400 s after the boot.
		root:   tree(t, map[string]string{"proc/uptime": "1000.50 1.00\n", "proc/77/stat": stat(77, "ipe-auditd", 'S', 40000), "proc/78/stat": stat(78, "other", 'S', 40000)}),
		synced: func() (bool, error) { return true, nil },
	}
	begun := now.Add(-600*time.Second - 500*time.Millisecond)
	for _, tt := range []struct {
		name string
		pid  int
		said time.Time
		want time.Duration
	}{
		{"right", 77, begun.Add(time.Second), 0},
		{"set forward", 77, begun.Add(-time.Hour), time.Hour},
		{"set back", 77, begun.Add(time.Hour), -time.Hour},
		{"a slow start", 77, begun.Add(10 * time.Second), 0},
		{"another process", 78, begun.Add(time.Minute), 0},
		{"no process", 79, begun.Add(time.Minute), 0},
	} {
		if got := s.clock(&api.Status{PID: tt.pid, Since: tt.said}, now).stepped; got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNamespacesAreCompared(t *testing.T) {
	t.Parallel()
	s := source{inInit: func() (bool, bool) { return true, true }, root: tree(t, map[string]string{
		"proc/self/ns/net": "->net:[1]", "proc/7/ns/net": "->net:[1]", "proc/8/ns/net": "->net:[2]",
	})}
	for pid, want := range map[int]bool{7: true, 8: false} {
		if initial, same := s.namespaces(&api.Status{PID: pid}); !initial.value || same.value != want || same.err != nil {
			t.Errorf("process %d: %+v, %+v", pid, initial, same)
		}
	}
	if _, same := s.namespaces(&api.Status{PID: 9}); same.err == nil {
		t.Error("the namespace of no process is known")
	}
	s.inInit = func() (bool, bool) { return false, false }
	if initial, _ := s.namespaces(nil); initial.err == nil {
		t.Error("a namespace that cannot be seen is known")
	}
}

func TestIPEIsReadFromSecurityfs(t *testing.T) {
	t.Parallel()
	s := realHost()
	s.root = tree(t, map[string]string{
		"sys/kernel/security/lsm":                       "lockdown,ipe",
		"sys/kernel/security/ipe/enforce":               "0",
		"sys/kernel/security/ipe/success_audit":         "1",
		"sys/kernel/security/ipe/policies/site/active":  "1",
		"sys/kernel/security/ipe/policies/site/version": "1.0.2",
	})
	r := report(gather(t.Context(), Options{DaemonErr: os.ErrNotExist, Config: config.Defaults()}, s))
	for check, want := range map[string]string{
		"ipe_lsm": "among the security modules", "ipe_policy": "policy site is active, version 1.0.2",
		"ipe_enforce": "permissive", "ipe_success_audit": "success_audit is on",
	} {
		if found := of(r, check); len(found) != 1 || !strings.Contains(found[0].Text, want) {
			t.Errorf("%s: got %+v, want %q", check, found, want)
		}
	}
}

// TestThisHost compares what is found with what can be had in another way.
func TestThisHost(t *testing.T) {
	t.Parallel()
	cfg := config.Defaults()
	cfg.Spool.Dir = t.TempDir()
	cfg.Sinks = []config.Sink{{Name: "c", Type: console.Type, Settings: console.NewConfig()}}
	conn, listenErr := netlinkaudit.Listen(&netlinkaudit.Config{Types: ipe.Types()})
	if listenErr == nil {
		defer conn.Close()
	}
	r := Examine(context.Background(), Options{Config: cfg, Socket: "/nowhere", DaemonErr: os.ErrNotExist})
	t.Logf("%+v", r)
	last := -1
	for _, f := range r.Findings {
		i := slices.Index(Checks(), f.Check)
		if i < last {
			t.Errorf("%s is out of order", f.Check)
		}
		last = i
	}
	status, err := host.QueryAudit()
	limit := of(r, "audit_backlog_limit")[0]
	if err != nil && !limit.unknown || err == nil && status.BacklogLimit > 0 && !strings.Contains(limit.Text, fmt.Sprint(status.BacklogLimit)) {
		t.Errorf("the kernel says %+v, %v; found %+v", status, err, limit)
	}
	if found := of(r, "audit_socket"); (listenErr == nil) != (len(found) == 1 && found[0].Status == OK) {
		t.Errorf("listening: %v; found %+v", listenErr, found)
	}
	if listenErr == nil {
		self := fmt.Sprintf("(pid %d)", os.Getpid())
		if found := of(r, "listeners"); !strings.Contains(found[0].Text, self) {
			t.Errorf("this process listens, but found %+v", found)
		}
	}
	if _, err := unix.Adjtimex(new(unix.Timex)); err == nil && of(r, "clock")[0].unknown {
		t.Error("the clock is not known")
	}
}

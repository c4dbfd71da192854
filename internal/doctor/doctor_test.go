package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errNo stands for whatever right is lacking.
var errNo = fs.ErrPermission

// well returns the facts of a host where all is well: a daemon runs, with one
// sink of type file, and a state directory of this user's.
func well(t *testing.T) *facts {
	t.Helper()
	dir := t.TempDir()
	state, socket := filepath.Join(dir, "state"), filepath.Join(dir, "api.sock")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	cfg := config.Defaults()
	cfg.Spool.Dir, cfg.Spool.Size = state, units.MiB
	cfg.API.Path = socket
	cfg.Sinks = []config.Sink{{Name: "local", Type: file.Type, Settings: &file.Config{Path: filepath.Join(dir, "events.json")}}}
	const pid = 77
	f := &facts{
		Options: Options{
			Version: "1", Config: cfg, Socket: socket,
			Daemon: &api.Status{
				Healthy: true, Version: "1", PID: pid,
				Socket:       &api.Socket{Inherited: true, Buffer: 128 << 20, Asked: 128 << 20},
				KernelLosses: &api.KernelLosses{Source: "helper", Accuracy: "exact"},

				Spool: api.Spool{Form: api.FormDisk, Dir: state, Limit: 1 << 20},
				Sinks: []api.Sink{{Name: "local", Type: "file", State: "ok"}},
				Audit: &api.Audit{Source: "helper", Kernel: &api.AuditKernel{Enabled: 1}},
			},
		},
		root: t.TempDir(), euid: os.Geteuid(), now: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC),
		ipe: ipeFacts{state: host.IPE{
			Status: host.StatusActive, Enforcing: ipe.True, SuccessAudit: ipe.False,
			Policy: ipe.Policy{Name: []byte("site"), Version: []byte("1.0.0")},
		}},
		audit:     auditFacts{status: known[host.AuditStatus]{value: host.AuditStatus{Enabled: 1, BacklogLimit: 8192}}},
		helper:    known[auditstate.State]{value: auditstate.State{Version: auditstate.Version, Status: &auditstate.Status{}}},
		own:       ownSocket{buffer: 128 << 20, met: true},
		initial:   known[bool]{value: true},
		same:      known[bool]{value: true},
		listeners: known[[]listener]{value: []listener{{holders: []process{{1, "systemd"}, {pid, "ipe-auditd"}}}}},
		account:   known[account]{value: account{uid: os.Geteuid(), gid: os.Getegid()}},
		clock:     clockFacts{synced: known[bool]{value: true}},
	}
	f.sinks = f.trySinks(t.Context())
	return f
}

// alone takes the daemon away.
func alone(f *facts) { f.Daemon, f.DaemonErr = nil, syscall.ECONNREFUSED }

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	f := well(t)
	if volatile(f.stateDirectory()) {
		t.Skip("needs a folder for temporary files that is not on a tmpfs")
	}
	r := report(f)
	var names []string
	for _, finding := range r.Findings {
		names = append(names, finding.Check)
		if finding.Status != OK || finding.Text == "" || finding.Advice != "" {
			t.Errorf("%+v", finding)
		}
	}
	if r.Status != OK || !slices.Equal(names, Checks()) {
		t.Errorf("%s: found %v, want one finding of each of %v", r.Status, names, Checks())
	}
}

// socketOf returns a socket of the daemon's own.
func socketOf(f *facts) *api.Socket {
	f.Daemon.Socket.Inherited = false
	return f.Daemon.Socket
}

func TestFindings(t *testing.T) {
	t.Parallel()
	const exclude, task, never, always, msgtype, uid, equal = 5, 1, 0, 2, 12, 1, 0x40000000
	for _, tt := range []struct {
		check  string
		name   string
		change func(t *testing.T, f *facts)
		status Status
		text   string
	}{
		{"config", "broken", func(_ *testing.T, f *facts) {
			f.Config, f.Err = nil, &schema.Error{Problems: []schema.Problem{{File: "x.yaml", Line: 3, Column: 5, Message: "spool.sise is not known"}}}
		}, Failure, "x.yaml:3:5: spool.sise is not known"},
		{"config", "unreadable", func(_ *testing.T, f *facts) { f.Config, f.Err = nil, errNo }, Failure, "permission denied"},
		{"config", "dubious", func(_ *testing.T, f *facts) {
			f.Warnings = []schema.Problem{{Message: `no sink takes "lost" events`}}
		}, Warning, `no sink takes "lost" events`},

		{"daemon", "none", func(_ *testing.T, f *facts) { alone(f) }, Warning, "no daemon answers"},
		{"daemon", "forbidden", func(_ *testing.T, f *facts) { alone(f); f.DaemonErr = errNo }, Warning, "cannot tell how the daemon fares"},
		{"daemon", "silent", func(_ *testing.T, f *facts) { alone(f); f.DaemonErr = context.DeadlineExceeded }, Failure, "does not answer"},
		{"daemon", "degraded", func(_ *testing.T, f *facts) { f.Daemon.Healthy, f.Daemon.Reasons = false, []string{"because"} }, Warning, "degraded: because"},
		{"daemon", "older", func(_ *testing.T, f *facts) { f.Daemon.Version = "0" }, Warning, "of version 0"},

		{"ipe_lsm", "absent", func(_ *testing.T, f *facts) { f.ipe.state = host.IPE{Status: host.StatusAbsent} }, Failure, "does not use IPE"},
		{"ipe_lsm", "no securityfs", func(_ *testing.T, f *facts) { f.ipe.mounted = fs.ErrNotExist }, Warning, "needs securityfs"},
		{"ipe_policy", "none", func(_ *testing.T, f *facts) { f.ipe.state.Status = host.StatusNoPolicy }, Warning, "no policy is active"},
		{"ipe_policy", "hidden", func(_ *testing.T, f *facts) { f.ipe.state.Status = host.StatusUnreadable }, Warning, "cannot tell"},
		{"ipe_enforce", "permissive", func(_ *testing.T, f *facts) { f.ipe.state.Enforcing = ipe.False }, Warning, "permissive"},
		{"ipe_enforce", "hidden", func(_ *testing.T, f *facts) { f.ipe.state.Enforcing = ipe.Unknown }, Warning, "cannot tell"},
		{"ipe_success_audit", "on", func(_ *testing.T, f *facts) { f.ipe.state.SuccessAudit = ipe.True }, Warning, "success_audit is on"},
		{"ipe_success_audit", "hidden", func(_ *testing.T, f *facts) { f.ipe.state.SuccessAudit = ipe.Unknown }, Warning, "cannot tell"},

		{"audit", "none", func(_ *testing.T, f *facts) { f.audit.missing = unix.EPROTONOSUPPORT }, Failure, "has no audit"},
		{"audit", "forbidden", func(_ *testing.T, f *facts) { f.audit.missing = unix.EAFNOSUPPORT }, Warning, "cannot tell"},
		{"audit_backlog_limit", "64", func(_ *testing.T, f *facts) { f.audit.status.value.BacklogLimit = 64 }, Warning, "queues 64 records at most and IPE never waits"},
		{"audit_backlog_limit", "with audit enabled", func(_ *testing.T, f *facts) { f.audit.status.value.BacklogLimit = 64 }, Warning, "up to four places"},
		{"audit_backlog_limit", "forbidden", func(_ *testing.T, f *facts) { f.audit.status.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},
		{"kernel_losses", "absent", func(_ *testing.T, f *facts) { f.helper.err = fs.ErrNotExist }, Warning, "lower bound"},
		{"kernel_losses", "refused", func(_ *testing.T, f *facts) { f.helper.err = syscall.ECONNREFUSED }, Warning, "nobody listens"},
		{"kernel_losses", "garbage", func(_ *testing.T, f *facts) { f.helper.err = errors.New("the answer is not JSON") }, Warning, "does not answer, "},
		{"kernel_losses", "forbidden", func(_ *testing.T, f *facts) { alone(f); f.helper.err = errNo }, Warning, "cannot tell whether ipe-auditd-lost answers"},
		{"kernel_losses", "audit=1 and no auditd", func(_ *testing.T, f *facts) { f.audit.atBoot = true }, Warning, "the kernel's number means nothing"},
		{"kernel_losses", "not to the daemon", func(_ *testing.T, f *facts) {
			f.Daemon.KernelLosses = &api.KernelLosses{Source: "kernel_log", Accuracy: "at_least", Error: "no\x1b answer"}
		}, Warning, "it did not answer the daemon"},
		{"audit_rate_limit", "100", func(_ *testing.T, f *facts) { f.audit.status.value.RateLimit = 100 }, Warning, "beyond 100 in a second"},
		{"audit_rate_limit", "forbidden", func(_ *testing.T, f *facts) { f.audit.status.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},
		{"audit_lost", "some", func(_ *testing.T, f *facts) { f.audit.status.value.Lost = 5 }, Warning, "has lost 5 audit records"},
		{"audit_lost", "hold queue", func(_ *testing.T, f *facts) { f.audit.status.value.Lost, f.audit.atBoot = 5, true }, Warning, "nobody can tell"},
		{"audit_lost", "forbidden", func(_ *testing.T, f *facts) { f.audit.status.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},
		{"audit_rules", "all excluded", func(t *testing.T, f *facts) {
			f.audit.rules.value = []host.AuditRule{rule(t, exclude, always, [3]uint32{msgtype, equal, 1420})}
		}, Failure, "every record of type 1420"},
		{"audit_rules", "some excluded", func(t *testing.T, f *facts) {
			f.audit.rules.value = []host.AuditRule{rule(t, exclude, always, [3]uint32{msgtype, equal, 1420}, [3]uint32{uid, equal, 5})}
		}, Warning, "some records of type 1420"},
		{"audit_rules", "no tasks", func(t *testing.T, f *facts) {
			f.audit.rules.value = []host.AuditRule{rule(t, task, never)}
		}, Warning, "task,never"},
		{"audit_rules", "changes of audit", func(t *testing.T, f *facts) {
			f.audit.rules.value = []host.AuditRule{rule(t, exclude, always, [3]uint32{msgtype, equal, 1305})}
		}, Warning, "records of type 1305, which say who changes audit"},
		{"audit_rules", "companions", func(t *testing.T, f *facts) {
			f.audit.rules.value = []host.AuditRule{rule(t, exclude, always, [3]uint32{msgtype, equal, 1300})}
		}, Warning, "records of type 1300, which say who caused a denial"},
		{"audit_changes", "excluded", func(_ *testing.T, f *facts) {
			f.Daemon.Audit.Degraded = []api.Degraded{{What: "rule_added", New: "exclude all of 1420", Effect: "from here on denials are not recorded"}}
		}, Failure, "rule_added is exclude all of 1420: from here on denials are not recorded"},
		{"audit_changes", "disabled", func(_ *testing.T, f *facts) {
			f.Daemon.Audit.Degraded = []api.Degraded{{What: "audit_disabled", Old: "1", New: "0", Effect: "\x1bgone", Since: f.now}}
		}, Warning, "audit_disabled is 0 since 2026"},
		{"audit_changes", "nobody answers", func(_ *testing.T, f *facts) {
			f.Daemon.Audit = &api.Audit{Source: "none", Error: "no helper"}
		}, Warning, "the daemon cannot ask how audit stands"},
		{"audit_rules", "forbidden", func(_ *testing.T, f *facts) { f.audit.rules.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},
		{"auditd", "stopped", func(_ *testing.T, f *facts) {
			f.audit.status.value.PID, f.audit.auditd = 5, []auditdLook{{name: "auditd", state: 'T'}}
		}, Failure, "auditd (pid 5) is registered as auditd but is stopped"},
		{"auditd", "does not read", func(_ *testing.T, f *facts) {
			f.audit.status.value.PID, f.audit.auditd = 5, []auditdLook{{queued: 9}, {queued: 9}, {queued: 11}}
		}, Failure, "does not read: 11 bytes"},
		{"auditd", "queue stands", func(_ *testing.T, f *facts) {
			f.audit.status.value.PID, f.audit.auditd = 5, []auditdLook{{backlog: 3}, {backlog: 3, queued: 1}, {backlog: 4}}
		}, Failure, "4 records stay in the kernel's queue"},
		{"auditd", "gone", func(_ *testing.T, f *facts) { f.audit.status.value.PID, f.audit.auditd = 5, []auditdLook{{}} }, Warning, "there is no such process"},
		{"auditd", "missing with audit=1", func(_ *testing.T, f *facts) { f.audit.atBoot = true }, Warning, "audit=1, but no auditd"},
		{"auditd", "forbidden", func(_ *testing.T, f *facts) { f.audit.status.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},

		{"audit_socket", "no right", func(_ *testing.T, f *facts) { alone(f); f.euid, f.own.err = 0, netlinkaudit.ErrPermission }, Failure, "CAP_AUDIT_READ"},
		{"audit_socket", "ordinary user", func(_ *testing.T, f *facts) { alone(f); f.euid, f.own.err = 1000, netlinkaudit.ErrPermission }, Warning, "cannot tell"},
		{"audit_socket", "anything else", func(_ *testing.T, f *facts) { alone(f); f.own.err = unix.ENFILE }, Failure, "too many open files"},
		{"receive_buffer", "inherited", func(_ *testing.T, f *facts) { f.Daemon.Socket.Buffer = 212992 }, Warning, "the socket unit gave a receive buffer of 208KiB"},
		{"receive_buffer", "own", func(_ *testing.T, f *facts) { socketOf(f).Buffer = 212992 }, Warning, "the kernel granted a receive buffer of 208KiB"},
		{"receive_buffer", "no daemon", func(_ *testing.T, f *facts) { alone(f); f.own = ownSocket{buffer: 212992} }, Warning, "this user gets a receive buffer of 208KiB"},
		{"receive_buffer", "forbidden", func(_ *testing.T, f *facts) { alone(f); f.own.err = errNo }, Warning, "cannot tell"},
		{"network_namespace", "elsewhere", func(_ *testing.T, f *facts) { alone(f); f.initial.value = false }, Failure, "not the initial network namespace"},
		{"network_namespace", "daemon elsewhere", func(_ *testing.T, f *facts) { socketOf(f); f.same.value = false }, Failure, "the daemon is in another"},
		{"network_namespace", "both elsewhere", func(_ *testing.T, f *facts) { socketOf(f); f.initial.value, f.same.value = false, false }, Warning, "cannot tell"},
		{"network_namespace", "hidden", func(_ *testing.T, f *facts) { alone(f); f.initial.err = errNo }, Warning, "cannot tell"},
		{"network_namespace", "another user's daemon", func(_ *testing.T, f *facts) { socketOf(f); f.same.err = errNo }, Warning, "cannot tell"},
		{"listeners", "daemon missing", func(_ *testing.T, f *facts) { f.listeners.value = nil }, Failure, "it hears nothing; nobody listens"},
		{"listeners", "two of us", func(_ *testing.T, f *facts) {
			f.listeners.value = append(f.listeners.value, listener{netlinkSocket{drops: 4}, []process{{78, "ipe-auditd"}}})
		}, Warning, "2 ipe-auditd listen, so that events are told more than once; listening: ipe-auditd (pid 77); ipe-auditd (pid 78), which lost 4"},
		{"listeners", "hidden holder", func(_ *testing.T, f *facts) { f.listeners.value = []listener{{}} }, Warning, "1 of 1 sockets"},
		{"listeners", "elsewhere", func(_ *testing.T, f *facts) { f.initial.value = false }, Warning, "cannot tell who listens"},
		{"listeners", "hidden", func(_ *testing.T, f *facts) { f.listeners.err = errNo }, Warning, "cannot tell who listens"},

		{"journald_audit", "twice", func(_ *testing.T, f *facts) { journaldListens(f) }, Warning, "in the journal twice"},
		{"journald_audit", "and enables audit", func(_ *testing.T, f *facts) { journaldListens(f); f.journal.audit = "yes" }, Warning, "Audit=yes"},
		{"journald_audit", "hidden holder", func(_ *testing.T, f *facts) { f.listeners.value, f.journal.runs = []listener{{}}, true }, Warning, "cannot tell"},
		{"journald_audit", "hidden", func(_ *testing.T, f *facts) { f.listeners.err = errNo }, Warning, "cannot tell"},
		{"kernel_log", "console", func(_ *testing.T, f *facts) { f.journal.console = 7 }, Warning, "at log level 7"},
		{"kernel_log", "forbidden", func(_ *testing.T, f *facts) { f.audit.status.err = errNo }, Warning, "needs CAP_AUDIT_CONTROL"},

		{"state_directory", "none", func(_ *testing.T, f *facts) { f.Daemon.Spool.Dir = "" }, Warning, "no state directory"},
		{"state_directory", "removed", func(_ *testing.T, f *facts) { f.Daemon.Spool.Dir += "/gone" }, Failure, "was removed"},
		{"state_directory", "not yet", func(_ *testing.T, f *facts) { alone(f); f.Config.Spool.Dir += "/gone" }, Warning, "is not there yet"},
		{"state_directory", "a file", func(_ *testing.T, f *facts) { f.Daemon.Spool.Dir = f.Socket }, Failure, "is not a folder"},
		{"state_directory", "a file above", func(_ *testing.T, f *facts) { f.Daemon.Spool.Dir = f.Socket + "/x" }, Failure, "not a directory"},
		{"state_directory", "open to others", func(t *testing.T, f *facts) { chmod(t, f.Daemon.Spool.Dir, 0o755) }, Warning, "has mode 0755"},
		{"state_directory", "writable for the group", func(t *testing.T, f *facts) { chmod(t, f.Daemon.Spool.Dir, 0o770) }, Failure, "has mode 0770, so others may have forged its events; the daemon does not start on it"},
		{"state_directory", "a link among its files", func(t *testing.T, f *facts) {
			if err := os.Symlink("/dev/null", filepath.Join(f.Daemon.Spool.Dir, "policies.json")); err != nil {
				t.Fatal(err)
			}
		}, Failure, "policies.json is not a regular file"},
		{"state_directory", "unknown user", func(_ *testing.T, f *facts) { f.account.err = errNo }, Warning, "cannot tell"},
		{"state_directory", "in memory", func(t *testing.T, f *facts) { f.Daemon.Spool.Dir = onTmpfs(t) }, Warning, "tmpfs"},
		{"free_space", "too little", func(_ *testing.T, f *facts) { f.Daemon.Spool.Limit, f.Daemon.Spool.Disk = 1<<62, 1<<62-1<<61 }, Failure, "is full"},
		{"free_space", "less than the spool may take", func(t *testing.T, f *facts) {
			var st unix.Statfs_t
			if err := unix.Statfs(f.Daemon.Spool.Dir, &st); err != nil {
				t.Fatal(err)
			}
			f.Daemon.Spool.Limit = 2 * int64(st.Bavail) * int64(st.Bsize)
		}, Warning, "but the spool may grow by"},
		{"free_space", "unreachable", func(_ *testing.T, f *facts) { f.Daemon.Spool.Dir = f.Socket + "/x" }, Warning, "cannot tell"},
		{"spool", "disk failed", func(_ *testing.T, f *facts) {
			f.Daemon.Spool.Form, f.Daemon.Spool.LastError = api.FormMemory, "no space left"
		}, Failure, "because its disk failed: no space left"},
		{"spool", "disk failed before", func(_ *testing.T, f *facts) { f.Daemon.Spool.Failures, f.Daemon.Spool.LastError = 2, "slow" }, Warning, "has failed 2 times"},
		{"spool", "put aside", func(t *testing.T, f *facts) {
			alone(f)
			write(t, filepath.Join(f.Config.Spool.Dir, "1.aside"))
		}, Warning, "1 parts of the spool could not be read"},
		{"spool", "unreadable", func(_ *testing.T, f *facts) { alone(f); f.Config.Spool.Dir = f.Socket }, Warning, "cannot tell"},

		{"sink", "retrying", func(_ *testing.T, f *facts) {
			f.Daemon.Sinks[0].State, f.Daemon.Sinks[0].LastError = "retrying", "disk full"
		}, Failure, "disk full"},
		{"sink", "stopped", func(_ *testing.T, f *facts) { f.Daemon.Sinks[0].State = "stopped" }, Failure, "has stopped"},
		{"sink", "behind", func(_ *testing.T, f *facts) {
			f.Daemon.Sinks[0].LagEvents, f.Daemon.Sinks[0].LagSeconds = 9, 61
		}, Warning, "is 9 events and 1m1s behind"},
		{"sink", "missed some", func(_ *testing.T, f *facts) { f.Daemon.Sinks[0].Overwritten = 3 }, Warning, "has missed 3 events"},
		{"sink", "not in the daemon", func(_ *testing.T, f *facts) { f.Daemon.Sinks = nil }, Warning, "the running daemon does not have this sink"},
		{"sink", "only in the daemon", func(_ *testing.T, f *facts) {
			f.Daemon.Sinks = append(f.Daemon.Sinks, api.Sink{Name: "old", State: "ok"})
		}, Warning, "the configuration does not"},
		{"sink", "only in the daemon, and failing", func(_ *testing.T, f *facts) {
			f.Config, f.sinks, f.Daemon.Sinks[0].State = nil, nil, "retrying"
		}, Failure, "fails since"},
		{"sink", "none", func(_ *testing.T, f *facts) { alone(f); f.Config.Sinks, f.sinks = []config.Sink{}, nil }, Failure, "there is no sink"},
		{"sink", "broken configuration", func(_ *testing.T, f *facts) { alone(f); f.Config, f.sinks = nil, nil }, Warning, "cannot tell"},
		{"sink", "well to the daemon, but out of reach", func(_ *testing.T, f *facts) {
			f.sinks[0].found = failure("look", "connection refused")[0]
		}, Failure, "connection refused"},

		{"feed", "open to all", func(t *testing.T, f *facts) { chmod(t, f.Socket, 0o666) }, Warning, "every user of this host"},
		{"feed", "refused clients", func(_ *testing.T, f *facts) { f.Daemon.Feed.Refused = 2 }, Warning, "refused 2 clients"},
		{"feed", "hidden", func(_ *testing.T, f *facts) { f.Socket += "x" }, Warning, "cannot tell"},
		{"feed", "none", func(_ *testing.T, f *facts) { alone(f); f.Config.API.Path = "" }, Warning, "there is no feed"},
		{"feed", "a file in the way", func(_ *testing.T, f *facts) { alone(f) }, Failure, "is no socket"},
		{"feed", "no such group", func(_ *testing.T, f *facts) { alone(f); f.Config.API.Group = "no-such-group" }, Failure, "no group no-such-group"},
		{"losses", "kernel", func(_ *testing.T, f *facts) {
			f.Daemon.Lost = []api.Loss{{Stage: "kernel", Accuracy: "at_least", Count: 5}}
		}, Warning, "at stage kernel, at least 5"},
		{"losses", "socket", func(_ *testing.T, f *facts) {
			f.Daemon.Lost = []api.Loss{{Stage: "socket", Accuracy: "exact", Count: 5}}
		}, Warning, "5 records were lost at stage socket"},
		{"losses", "unknown number", func(_ *testing.T, f *facts) {
			f.Daemon.Lost = []api.Loss{{Stage: "kernel", Accuracy: "at_least", Last: f.now}}
		}, Warning, "at stage kernel, at least 0"},
		{"losses", "forged", func(_ *testing.T, f *facts) { f.Daemon.Forged = 4 }, Warning, "4 messages in the audit group were forged"},
		{"clock", "1970", func(_ *testing.T, f *facts) { f.now = time.Unix(0, 0) }, Failure, "1970-01-01"},
		{"clock", "nobody sets it", func(_ *testing.T, f *facts) { f.clock.synced.value = false }, Warning, "no time service keeps the clock"},
		{"clock", "was set", func(_ *testing.T, f *facts) { f.clock.stepped = -time.Hour }, Warning, "set by -1h0m0s"},
		{"clock", "unknown", func(_ *testing.T, f *facts) { f.clock.synced.err = errNo }, Warning, "cannot tell"},
	} {
		t.Run(tt.check+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			f := well(t)
			tt.change(t, f)
			r := report(f)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool {
				return f.Check == tt.check && f.Status == tt.status && strings.Contains(f.Text, tt.text)
			})
			if i < 0 {
				t.Fatalf("no %s of %s that says %q: %+v", tt.status, tt.check, tt.text, of(r, tt.check))
			}
			if f := r.Findings[i]; f.Advice == "" && tt.check != "config" {
				t.Errorf("no advice: %+v", f)
			}
			if r.Status == OK || tt.status == Failure && r.Status != Failure {
				t.Errorf("the report is %s", r.Status)
			}
		})
	}
}

// rule returns a rule of the kernel: each field is a field, a comparison and a
// value (struct audit_rule_data in uapi/linux/audit.h).
func rule(t *testing.T, list, action uint32, fields ...[3]uint32) host.AuditRule {
	t.Helper()
	var words [260]uint32
	words[0], words[1], words[2] = list, action, uint32(len(fields))
	for i, f := range fields {
		words[67+i], words[195+i], words[131+i] = f[0], f[1], f[2]
	}
	var data []byte
	for _, w := range words {
		data = binary.NativeEndian.AppendUint32(data, w)
	}
	r, err := host.ParseAuditRule(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// of returns the findings of one check.
func of(r Report, check string) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Check != check })
}

// TestMoreThatIsWell has facts that look like trouble and are none.
func TestMoreThatIsWell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		check, name string
		change      func(f *facts)
	}{
		{"audit", "not enabled", func(f *facts) { f.audit.status.value.Enabled = 0 }},
		{"audit", "immutable", func(f *facts) { f.audit.status.value.Enabled = 2 }},
		{"audit", "no right to ask", func(f *facts) { f.audit.status.err = errNo }},
		{"audit_backlog_limit", "none", func(f *facts) { f.audit.status.value.BacklogLimit = 0 }},
		{"auditd", "reads", func(f *facts) {
			f.audit.status.value.PID, f.audit.auditd = 5, []auditdLook{{state: 'S', queued: 9, backlog: 3}, {state: 'R', queued: 5, backlog: 2}, {state: 'S', queued: 7, backlog: 9}}
		}},
		{"kernel_losses", "not asked yet", func(f *facts) {
			f.Daemon.KernelLosses = &api.KernelLosses{Source: "pending", Accuracy: "unknown"}
		}},
		{"audit_socket", "own", func(f *facts) { socketOf(f) }},
		{"audit_socket", "no daemon", alone},
		{"receive_buffer", "no daemon", alone},
		{"network_namespace", "own", func(f *facts) { socketOf(f) }},
		{"network_namespace", "no daemon", alone},
		{"listeners", "nobody, and no daemon", func(f *facts) { alone(f); f.listeners.value = nil }},
		{"kernel_log", "auditd", func(f *facts) { f.audit.status.value.PID, f.journal.console = 5, 7 }},
		{"kernel_log", "journald copies it", func(f *facts) { f.journal.runs = true }},
		{"spool", "in memory, as configured", func(f *facts) { f.Daemon.Spool.Form, f.Daemon.Spool.Dir = api.FormMemory, "" }},
		{"spool", "no daemon", alone},
		{"feed", "not yet", func(f *facts) { alone(f); f.Config.API.Path += "x" }},
		{"feed", "a numeric group", func(f *facts) { alone(f); f.Config.API.Path += "x"; f.Config.API.Group = "54321" }},
	} {
		f := well(t)
		tt.change(f)
		if found := of(report(f), tt.check); len(found) != 1 || found[0].Status != OK {
			t.Errorf("%s %s: %+v", tt.check, tt.name, found)
		}
	}
}

func TestWithoutIPEOnlyThatIsSaid(t *testing.T) {
	t.Parallel()
	f := well(t)
	f.ipe.state = host.IPE{Status: host.StatusAbsent}
	for _, check := range []string{"ipe_policy", "ipe_enforce", "ipe_success_audit"} {
		if found := of(report(f), check); len(found) != 0 {
			t.Errorf("found %+v on a kernel without IPE", found)
		}
	}
}

func TestASinkThatCannotBeTriedIsJudgedByTheDaemon(t *testing.T) {
	t.Parallel()
	f := well(t)
	f.sinks[0].found = cannotTell("whether it can be reached", "root", nil)[0]
	if found := of(report(f), "sink"); len(found) != 1 || found[0].Status != OK {
		t.Errorf("with a daemon that delivers: %+v", found)
	}
	f.sinks[0].found = failure("look", "connection refused")[0]
	f.Daemon.Sinks[0].LagSeconds = 100
	if found := of(report(f), "sink"); len(found) != 1 || found[0].Text != "connection refused" {
		t.Errorf("out of reach, and so behind: %+v", found)
	}
	f.sinks[0].found = cannotTell("whether it can be reached", "root", nil)[0]
	alone(f)
	if found := of(report(f), "sink"); len(found) != 1 || !found[0].unknown {
		t.Errorf("without a daemon: %+v", found)
	}
}

func TestASpoolThatIsNotThereYetIsSaidOnce(t *testing.T) {
	t.Parallel()
	f := well(t)
	alone(f)
	f.Config.Spool.Dir += "/gone"
	if found := of(report(f), "spool"); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	if found := of(report(f), "free_space"); len(found) != 1 || found[0].Status != OK {
		t.Errorf("room for it: %+v", found)
	}
}

func journaldListens(f *facts) {
	f.listeners.value = append(f.listeners.value, listener{holders: []process{{1, "systemd"}, {300, "systemd-journal"}}})
	f.sinks = append(f.sinks, sinkFacts{config: config.Sink{Name: "journald", Type: journald.Type}})
}

func TestJournaldBesideOtherSinksIsNoTrouble(t *testing.T) {
	t.Parallel()
	f := well(t)
	journaldListens(f)
	f.sinks = f.sinks[:1]
	if found := of(report(f), "journald_audit"); len(found) != 1 || found[0].Status != OK {
		t.Errorf("%+v", found)
	}
}

func TestSpaceForTheSpool(t *testing.T) {
	t.Parallel()
	disk := func(change func(*unix.Statfs_t)) *unix.Statfs_t {
		st := &unix.Statfs_t{Bsize: 1, Bavail: 1 << 20, Files: 10, Ffree: 5}
		change(st)
		return st
	}
	for _, tt := range []struct {
		name       string
		st         *unix.Statfs_t
		size, want int64
		status     Status
		text       string
	}{
		{"enough", disk(func(*unix.Statfs_t) {}), 1 << 20, 1 << 20, OK, "1MiB free"},
		{"no count of files", disk(func(st *unix.Statfs_t) { st.Files, st.Ffree = 0, 0 }), 1 << 20, 1 << 20, OK, ""},
		{"less than it may take", disk(func(*unix.Statfs_t) {}), 2 << 20, 2 << 20, Warning, "may grow by 2MiB"},
		{"not one segment", disk(func(*unix.Statfs_t) {}), 9 << 20, 9 << 20, Failure, "is full"},
		{"the rest of a full spool", disk(func(*unix.Statfs_t) {}), 9 << 20, 1 << 19, OK, ""},
		{"no more files", disk(func(st *unix.Statfs_t) { st.Ffree = 0 }), 1, 1, Failure, "no more files"},
		{"read-only", disk(func(st *unix.Statfs_t) { st.Flags = unix.ST_RDONLY }), 1, 1, Failure, "read-only"},
	} {
		if f := judgeSpace("/x", tt.st, tt.size, tt.want)[0]; f.Status != tt.status || !strings.Contains(f.Text, tt.text) {
			t.Errorf("%s: got %+v, want %s that says %q", tt.name, f, tt.status, tt.text)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// onTmpfs returns a folder that is on one.
func onTmpfs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "doctor")
	if err != nil || !volatile(dir) {
		t.Skipf("needs a tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

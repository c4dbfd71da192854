package doctor

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// Options is what the caller of Examine found out already.
type Options struct {
	Version string // of this program, as a daemon would say it

	// Config is nil where Err says why it is broken.
	Config   *config.Config
	Warnings []schema.Problem
	Err      error

	// Socket is where the daemon was asked, and Daemon what it answered; nil
	// where DaemonErr says why it did not.
	Socket    string
	Daemon    *api.Status
	DaemonErr error
}

// facts are what the checks look at.
type facts struct {
	Options
	root string // of the file system, where a check looks itself
	euid int
	now  time.Time

	ipe       ipeFacts
	audit     auditFacts
	helper    known[auditstate.State]
	own       ownSocket
	initial   known[bool] // whether we are in the initial network namespace
	same      known[bool] // whether the daemon is where we are
	listeners known[[]listener]
	journal   journalFacts
	account   known[account]
	sinks     []sinkFacts
	clock     clockFacts
}

// ownSocket is what became of an audit socket that doctor opened for a moment.
type ownSocket struct {
	buffer int // granted, in bytes
	met    bool
	err    error
}

// source is where facts come from: the host, or in tests something else.
type source struct {
	root   string // of the file system
	euid   int
	status func() (host.AuditStatus, error)
	rules  func() ([]host.AuditRule, error)
	helper func(context.Context) (auditstate.State, error)
	exists func() error // nil if the kernel has audit
	listen func(buffer int) ownSocket
	inInit func() (initial, known bool) // the network namespace
	synced func() (bool, error)         // the clock
	pause  func()                       // between two looks at a queue
}

func realHost() source {
	return source{
		root:   "/",
		euid:   os.Geteuid(),
		status: host.QueryAudit,
		rules:  host.AuditRules,
		helper: askHelper,
		exists: openAudit,
		listen: tryListening,
		inInit: netlinkaudit.InInitialNamespace,
		synced: clockSynced,
		pause:  func() { time.Sleep(150 * time.Millisecond) },
	}
}

// openAudit opens an audit socket, which needs no right.
func openAudit() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// tryListening does what a daemon with a socket of its own does first.
func tryListening(buffer int) ownSocket {
	c, err := netlinkaudit.Listen(&netlinkaudit.Config{Types: ipe.Types(), ReadBuffer: buffer, Batch: 1})
	if err != nil {
		return ownSocket{err: err}
	}
	defer c.Close()
	granted := c.ReadBuffer()
	return ownSocket{buffer: granted, met: granted >= buffer}
}

// gather collects all facts. What depends on a configuration that is broken is
// taken from the defaults, or left out.
func gather(ctx context.Context, o Options, s source) *facts {
	f := &facts{Options: o, root: s.root, euid: s.euid, now: time.Now()}
	sys := host.Securityfs{Root: filepath.Join(s.root, "sys")}
	f.ipe = ipeFacts{state: sys.IPE(), mounted: readable(filepath.Join(s.root, "sys/kernel/security/lsm"))}
	f.listeners = know(auditListeners(s.root)) // before we are one ourselves
	f.audit = s.auditFacts()
	f.helper = know(s.helper(ctx))
	buffer := config.Defaults().Source.ReceiveBuffer
	if o.Config != nil {
		buffer = o.Config.Source.ReceiveBuffer
	}
	f.own = s.listen(int(buffer))
	f.initial, f.same = s.namespaces(o.Daemon)
	f.journal = s.journal()
	f.account = know(serviceAccount(s, o.Daemon, f.stateDirectory()))
	f.sinks = f.trySinks(ctx)
	f.clock = s.clock(o.Daemon, f.now)
	return f
}

// stateDirectory returns where the spool is or should be; empty for memory.
func (f *facts) stateDirectory() string {
	switch {
	case f.Daemon != nil:
		return f.Daemon.Spool.Dir
	case f.Config != nil:
		return f.Config.Spool.Dir
	}
	return ""
}

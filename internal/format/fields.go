package format

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// fields writes what ev has, key by key, as the table of the keys says; every form
// with keys comes out of it.
//
// It is straight code and does not go through the table because an indirect call
// for each key makes the JSON form several times as slow where the processor
// may not predict them (retpolines and their like). A key stands here as it
// stands in JSON, the form that is written most often: see encoder.
func (e *encoder) fields(ev *ipe.Event, c *Context) {
	e.clock = &c.clock
	// What is counted stands in the spool, the event that tells it does not.
	e.hex64(`,"spool":`, c.Spool, c.Seq != 0 || ev.Kind == ipe.KindRepeated)
	e.number(`,"seq":`, c.Seq, c.Seq != 0)
	e.instant(`,"time":`, ev.Time, ev.Has&ipe.HasStamp != 0)
	// The daemon's own events have a time, but no serial of the kernel.
	e.number(`,"serial":`, ev.Serial, ev.Has&ipe.HasStamp != 0 && ev.HasRecord())
	e.number(`,"type":`, uint64(ev.Type), ev.Type != 0)
	e.word(`,"event":`, ev.Kind.String())
	e.word(`,"dialect":`, ev.Dialect.String())
	e.word(`,"verdict":`, ev.Verdict.String())
	e.text(`,"ipe_op":`, ev.Op)
	e.text(`,"ipe_hook":`, ev.Hook)
	e.text(`,"comm":`, ev.Comm)
	e.text(`,"path":`, ev.Path)
	e.text(`,"dev":`, ev.Dev)
	e.text(`,"rule":`, ev.Rule)
	e.boolean(`,"enforcing":`, ev.Enforcing)
	e.boolean(`,"old_enforcing":`, ev.OldEnforcing)
	e.number(`,"pid":`, ev.PID, ev.Has&ipe.HasPID != 0)
	e.number(`,"ino":`, ev.Ino, ev.Has&ipe.HasIno != 0)
	if ev.CallerKnown() || e.form == formNames {
		e.caller(ev)
	}
	e.word(`,"rule_kind":`, ev.RuleKind.String())
	e.word(`,"action":`, ev.Action.String())
	e.list(`,"rule_properties":`, ev.RuleProperties)
	e.text(`,"active_policy_name":`, ev.ActivePolicy.Name)
	e.text(`,"active_policy_version":`, ev.ActivePolicy.Version)
	e.text(`,"active_policy_digest":`, ev.ActivePolicy.Digest)
	if ev.Kind != ipe.KindAccess {
		e.policies(ev)
	}
	e.number(`,"auid":`, uint64(ev.AUID), ev.Has&ipe.HasAUID != 0)
	e.number(`,"uid":`, uint64(ev.UID), ev.Has&ipe.HasUID != 0)
	e.number(`,"ses":`, uint64(ev.SES), ev.Has&ipe.HasSES != 0)
	e.text(`,"lsm":`, ev.LSM)
	e.boolean(`,"res":`, ev.Res)
	e.errno(`,"errno":`, ev.Errno, ev.Has&ipe.HasErrno != 0)
	e.word(`,"error":`, errorName(ev))
	e.extra(`,"extra":`, ev.Extra)
	e.text(`,"raw":`, rawText(ev, c))
	if !ev.Kind.FromKernel() || e.form == formNames {
		e.own(ev)
	}
	if !e.sameOrigin(c) {
		start := len(e.dst)
		e.name(`,"host":`, c.Host)
		e.name(`,"boot_id":`, c.BootID)
		e.keepOrigin(c, start)
	}
	e.number(`,"prev_seq":`, c.PrevSeq, c.Partial && c.Seq != 0)
}

// caller is the part of fields that says who asked, where that is known.
func (e *encoder) caller(ev *ipe.Event) {
	e.number(`,"euid":`, uint64(ev.EUID), ev.Has&ipe.HasEUID != 0)
	e.number(`,"ppid":`, ev.PPID, ev.Has&ipe.HasPPID != 0)
	e.signed(`,"exit":`, ev.Exit, ev.Has&ipe.HasExit != 0)
	e.boolean(`,"success":`, ev.Success)
	e.text(`,"syscall":`, ev.Syscall)
	e.text(`,"tty":`, ev.TTY)
	e.text(`,"exe":`, ev.Exe)
	e.text(`,"proctitle":`, ev.Proctitle)
	e.text(`,"cgroup":`, ev.Cgroup)
	e.text(`,"unit":`, ev.Unit)
	e.text(`,"user_unit":`, ev.UserUnit)
	e.text(`,"container":`, ev.Container)
	e.text(`,"pod":`, ev.Pod)
	e.contexts(`,"context":`, ev.Context)
}

// policies is the part of fields that an access does not have. To ask for each
// of these keys, and for those of own, is a seventh of the time of its JSON.
func (e *encoder) policies(ev *ipe.Event) {
	e.text(`,"policy_name":`, ev.Policy.Name)
	e.text(`,"policy_version":`, ev.Policy.Version)
	e.text(`,"policy_digest":`, ev.Policy.Digest)
	e.text(`,"old_policy_name":`, ev.OldPolicy.Name)
	e.text(`,"old_policy_version":`, ev.OldPolicy.Version)
	e.text(`,"old_policy_digest":`, ev.OldPolicy.Digest)
}

// own is the part of fields that only the daemon's own events have.
func (e *encoder) own(ev *ipe.Event) {
	e.number(`,"count":`, ev.Count, ev.Has&ipe.HasCount != 0)
	e.word(`,"accuracy":`, ev.Accuracy.String())
	e.text(`,"stage":`, ev.Stage)
	e.text(`,"sink":`, ev.Sink)
	e.instant(`,"since":`, ev.Since, ev.Has&ipe.HasSince != 0)
	e.instant(`,"until":`, ev.Until, ev.Has&ipe.HasUntil != 0)
	e.number(`,"first_seq":`, ev.FirstSeq, ev.Has&ipe.HasSeqRange != 0)
	e.number(`,"last_seq":`, ev.LastSeq, ev.Has&ipe.HasSeqRange != 0)
	e.number(`,"pids":`, ev.PIDs, ev.PIDs != 0)
	e.number(`,"comms":`, ev.Comms, ev.Comms != 0)
	e.text(`,"what":`, ev.What)
	e.text(`,"old":`, ev.Old)
	e.text(`,"new":`, ev.New)
	e.text(`,"effect":`, ev.Effect)
	e.text(`,"version":`, ev.Version)
	e.text(`,"kernel":`, ev.Kernel)
	e.text(`,"ipe_status":`, ev.IPEStatus)
	e.boolean(`,"success_audit":`, ev.SuccessAudit)
}

// rawText is the record as received, where it is asked for or all there is.
func rawText(ev *ipe.Event, c *Context) []byte {
	if c.Raw || ev.Kind == ipe.KindUnparsed {
		return ev.Raw
	}
	return nil
}

// errorName returns the name of a failure, such as EBADMSG. It is empty when
// there was none, and for numbers that Linux has no name for. The kernel prints
// the number with a minus sign; a tree that leaves it out means the same.
func errorName(ev *ipe.Event) string {
	if ev.Has&ipe.HasErrno == 0 {
		return ""
	}
	n := ev.Errno
	if n < 0 {
		n = -n
	}
	if syscall.Errno(n) == unix.EOPNOTSUPP {
		return "EOPNOTSUPP" // and not ENOTSUP, which the kernel does not know
	}
	return unix.ErrnoName(syscall.Errno(n))
}

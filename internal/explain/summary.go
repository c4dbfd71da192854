package explain

import (
	"fmt"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// summary says in sentences what happened.
func summary(ev *ipe.Event) []string {
	switch ev.Kind {
	case ipe.KindAccess:
		return access(ev)
	case ipe.KindPolicyLoad:
		return load(ev)
	case ipe.KindPolicyActivate:
		what := "The kernel judges by " + policyName(&ev.Policy) + " from now on"
		if ev.OldPolicy.Known() {
			what += ", instead of " + policyName(&ev.OldPolicy)
		}
		return []string{what + by(ev) + "."}
	case ipe.KindEnforcement:
		if ev.Enforcing == ipe.True {
			return []string{"Enforcement was switched on" + by(ev) + ": what the policy denies does not happen."}
		}
		return []string{"Enforcement was switched off" + by(ev) + ": what the policy denies is recorded, but happens."}
	case ipe.KindStarted:
		return []string{"The daemon started. On this host IPE was: " + text.Name(ev.IPEStatus) + "."}
	case ipe.KindHeartbeat:
		return []string{"The daemon says that it runs. On this host IPE was: " + text.Name(ev.IPEStatus) + "."}
	case ipe.KindCheckpoint:
		return []string{"The daemon signed for the events in its spool: ipe-auditd verify finds out whether any of them was altered or removed since."}
	case ipe.KindStopped:
		return []string{"The daemon stopped in order."}
	case ipe.KindLost:
		if !ev.IsLoss() {
			return []string{"Nothing is lost yet: the disk of the spool failed, and events are kept in memory only until it is back. They would be lost with the daemon's process."}
		}
		if string(ev.Stage) == ipe.StageSink {
			return []string{"The receiver of the sink " + text.Name(ev.Sink) + " refused " + text.Count(max(ev.Count, 1), "event") + " for good. That is no loss but for this sink: the spool has what it refused."}
		}
		return lost(ev)
	case ipe.KindForged:
		return []string{fmt.Sprintf("A process other than the kernel sent %d records that look like the kernel's. It has CAP_NET_ADMIN. They were thrown away.", ev.Count)}
	case ipe.KindUnparsed:
		return []string{"This is a record of IPE that cannot be read: it is damaged, or of a kernel that is not known yet. Its text: " + string(text.AppendEscaped(nil, ev.Raw))}
	}
	if ev.Action != ipe.ActionNone {
		return append(access(ev), fmt.Sprintf("This event stands for %d of that kind, which were counted instead of told.", tally.Times(ev)))
	}
	return []string{"Nothing is known of events of the kind " + ev.Kind.String() + "."}
}

// access says who did what to what, and what became of it.
func access(ev *ipe.Event) []string {
	who := "A process"
	if len(ev.Comm) > 0 {
		who = text.Name(ev.Comm)
	}
	if ev.Has&ipe.HasPID != 0 {
		who += " (pid " + strconv.FormatUint(ev.PID, 10) + ")"
	}
	what := ev.Object().String()
	switch {
	case len(ev.Path) > 0:
		what = text.Name(ev.Path)
	case ev.Path != nil:
		what = "a file without a name"
	case ev.Object() == ipe.ObjectFile:
		what = "a " + what
	case ev.Object() == ipe.ObjectUnknown:
		what = "an " + what
	}
	sentences := []string{fmt.Sprintf("%s wanted to %s.", who, wish(ev, what))}
	switch ev.Verdict {
	case ipe.VerdictDenied:
		sentences = append(sentences, "The kernel did not let it (EACCES).")
	case ipe.VerdictWouldDeny:
		sentences = append(sentences, "The kernel let it, because IPE is permissive; enforcing, it would not have.")
	case ipe.VerdictAllowed:
		sentences = append(sentences, "The kernel let it, as the policy says.")
	default:
		sentences = append(sentences, "The policy denies it; whether the kernel let it, the record does not tell.")
	}
	if string(ev.Hook) == "BPRM_CREDS_FOR_EXEC" {
		sentences = append(sentences, "Nothing was executed: an interpreter asked whether it may (AT_EXECVE_CHECK).")
	}
	return sentences
}

// wish says what a process wants by the operation and hook of a record.
func wish(ev *ipe.Event, what string) string {
	switch op := string(ev.Op); op {
	case "EXECUTE":
		switch string(ev.Hook) {
		case "BPRM_CHECK":
			return "execute " + what
		case "BPRM_CREDS_FOR_EXEC":
			return "know whether it may execute " + what
		case "MMAP":
			return "map " + what + " as executable code"
		case "MPROTECT":
			return "make its mapping of " + what + " executable"
		}
		return "execute " + what
	case "KMODULE":
		return "load " + what + " as a kernel module"
	case "FIRMWARE":
		return "load " + what + " as firmware"
	case "KEXEC_IMAGE":
		return "load " + what + " as the next kernel (kexec)"
	case "KEXEC_INITRAMFS":
		return "load " + what + " as the initramfs of the next kernel (kexec)"
	case "POLICY":
		return "load " + what + " as a policy of another security module"
	case "READ": // Azure Linux
		return "read " + what
	case "BPF_PROG_LOAD": // pending
		return "load " + what + " as a BPF program"
	case "X509_CERT":
		return "load " + what + " as a certificate"
	default:
		return "do with " + what + " what IPE calls " + text.Name(op)
	}
}

// load says what became of a policy that was to be loaded.
func load(ev *ipe.Event) []string {
	if ev.Res != ipe.False {
		return []string{"The kernel took " + policyName(&ev.Policy) + by(ev) + ". It judges by it once it is activated, or at once if it is an update of the active one."}
	}
	sentences := []string{"The kernel refused a policy" + by(ev) + ". Which one, the record does not tell."}
	if why, ok := policy.RefusalOf(ev.Errno); ok && ev.Has&ipe.HasErrno != 0 {
		sentences = append(sentences, why.Name+": "+why.Long+".")
	}
	return sentences
}

func lost(ev *ipe.Event) []string {
	n := "An unknown number of records or events"
	if ev.Has&ipe.HasCount != 0 {
		n = strconv.FormatUint(ev.Count, 10) + " records or events"
		if ev.Accuracy == ipe.AccuracyAtLeast {
			n = "At least " + n
		}
	}
	where := ""
	if len(ev.Stage) > 0 {
		where = ", at the stage " + text.Name(ev.Stage) + " (see ipe-events(7))"
	}
	return []string{n + " were lost" + where + ". What was in them cannot be known."}
}

// by names the user who did it, as far as the record does.
func by(ev *ipe.Event) string {
	switch {
	case ev.Has&ipe.HasAUID != 0:
		return fmt.Sprintf(", by the user who logged in as uid %d", ev.AUID)
	case ev.Has&ipe.HasUID != 0:
		return fmt.Sprintf(", by uid %d", ev.UID)
	}
	return ""
}

func policyName(p *ipe.Policy) string {
	if p.Name == nil && p.Version == nil {
		return "a policy"
	}
	return "the policy " + text.Policy(p)
}

package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// enoughBacklog is the audit_backlog_limit with which nothing was lost at 18,000
// denials in a second.
const enoughBacklog = 8192

// needsControl is what AUDIT_GET and AUDIT_LIST_RULES need (kernel/audit.c,
// audit_netlink_ok).
const needsControl = "CAP_AUDIT_CONTROL"

// auditFacts are what the kernel's audit subsystem says of itself.
type auditFacts struct {
	missing error // why there is no audit socket; nil if there is
	status  known[host.AuditStatus]
	rules   known[[]host.AuditRule]
	atBoot  bool // audit=1
	auditd  []auditdLook
}

// auditdLook is one look at how much waits for auditd.
type auditdLook struct {
	name    string // of the process
	state   byte   // of it, as in proc(5); 0 if not known
	backlog uint32 // records in the kernel's queue
	queued  uint64 // bytes in the buffer of its socket
}

// looks is how often is looked at a queue that is not empty.
const looks = 3

func (s source) auditFacts() auditFacts {
	a := auditFacts{
		missing: s.exists(),
		status:  know(s.status()),
		rules:   know(s.rules()),
		atBoot:  host.AuditAtBoot(filepath.Join(s.root, "proc/cmdline")),
	}
	if a.status.err != nil || a.status.value.PID == 0 {
		return a
	}
	status := a.status.value
	for range looks {
		look := s.lookAtAuditd(status)
		a.auditd = append(a.auditd, look)
		if look.backlog == 0 && look.queued == 0 {
			break
		}
		s.pause()
		next, err := s.status()
		if err != nil || next.PID != status.PID {
			break
		}
		status = next
	}
	return a
}

// lookAtAuditd looks at the process and at the socket that the kernel sends to.
func (s source) lookAtAuditd(status host.AuditStatus) auditdLook {
	look := auditdLook{backlog: status.Backlog}
	look.name, look.state = processState(s.root, status.PID)
	sockets, err := auditSockets(s.root)
	if err != nil {
		return look
	}
	for _, socket := range sockets {
		// The first netlink socket of a process has its id as the port id.
		if socket.portID == int64(status.PID) {
			look.queued = socket.queued
		}
	}
	return look
}

// processState returns the name and the state of a process (proc_pid_stat(5)).
func processState(root string, pid uint32) (name string, state byte) {
	text, err := os.ReadFile(filepath.Join(root, "proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return "", 0
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open || end+2 >= len(text) {
		return "", 0
	}
	return string(text[open+1 : end]), text[end+2]
}

// checkAudit looks whether the kernel has audit.
func checkAudit(f *facts) []Finding {
	switch {
	case errors.Is(f.audit.missing, unix.EPROTONOSUPPORT):
		return failure("boot without audit=0, and with CONFIG_AUDIT", "this kernel has no audit: IPE decides, and nobody is told")
	case f.audit.missing != nil:
		return cannotTell("whether this kernel has audit", "the right to open a netlink socket", f.audit.missing)
	case f.audit.status.err != nil:
		return ok("the kernel has audit")
	case f.audit.status.value.Enabled == 0:
		return ok("the kernel has audit; it is not enabled, which IPE's records do not need")
	case f.audit.status.value.Enabled == 2:
		return ok("the kernel has audit, enabled and immutable until the next boot")
	}
	return ok("the kernel has audit, enabled")
}

// checkBacklogLimit looks whether the kernel's queue is long enough: IPE may not
// sleep (GFP_ATOMIC), so audit_log_start drops its records when the queue is
// full, before any listener could see them.
func checkBacklogLimit(f *facts) []Finding {
	st := f.audit.status
	if st.err != nil {
		return cannotTell("how many records the kernel queues", needsControl, st.err)
	}
	limit := st.value.BacklogLimit
	if limit != 0 && limit < enoughBacklog {
		more := ""
		if st.value.Enabled != 0 {
			more = "; and with audit enabled each denial takes up to four places"
		}
		return warning("boot with audit_backlog_limit=8192, or auditctl -b 8192",
			"the kernel queues %d records at most and IPE never waits, so in a burst denials are dropped before anybody could hear of them%s", limit, more)
	}
	if limit == 0 {
		return ok("the kernel's queue has no limit")
	}
	return ok("the kernel queues up to %d records", limit)
}

// checkRateLimit looks whether records are dropped by request.
func checkRateLimit(f *facts) []Finding {
	st := f.audit.status
	switch {
	case st.err != nil:
		return cannotTell("whether there is a rate limit", needsControl, st.err)
	case st.value.RateLimit > 0:
		return warning("auditctl -r 0", "the kernel drops every record beyond %d in a second, denials too", st.value.RateLimit)
	}
	return ok("no rate limit")
}

// checkAuditLost looks at the kernel's own count.
func checkAuditLost(f *facts) []Finding {
	st := f.audit.status
	switch {
	case st.err != nil:
		return cannotTell("whether the kernel lost records", needsControl, st.err)
	case st.value.Lost > 0 && st.value.PID == 0 && f.audit.atBoot:
		return warning("run auditd, or boot without audit=1",
			"the kernel counts %d records as lost, but with audit=1 and no auditd it counts those too that were heard: nobody can tell", st.value.Lost)
	case st.value.Lost > 0:
		return warning("raise audit_backlog_limit; auditctl --reset-lost begins to count anew",
			"the kernel has lost %d audit records, of any type, since it booted or the count was reset", st.value.Lost)
	}
	return ok("the kernel has lost no audit record")
}

// recordTypes returns the types that IPE of the mainline kernel writes.
func recordTypes() []uint16 {
	return []uint16{ipe.TypeMACStatus, ipe.TypeAccess, ipe.TypeConfigChange, ipe.TypePolicyLoad}
}

// companionTypes are those of the records that say who caused a denial: SYSCALL,
// EXECVE, EOE and PROCTITLE.
func companionTypes() []uint16 { return []uint16{1300, 1309, 1320, 1327} }

// excluded returns which of the types exclude rules take away: all records, or
// some.
func excluded(rules []host.AuditRule, types []uint16) (all, some string) {
	var lists [2][]string
	for _, t := range types {
		takesAll, takesSome := false, false
		for _, r := range rules {
			s, a := r.Excludes(t)
			takesSome, takesAll = takesSome || s, takesAll || a
		}
		switch {
		case takesAll:
			lists[0] = append(lists[0], fmt.Sprint(t))
		case takesSome:
			lists[1] = append(lists[1], fmt.Sprint(t))
		}
	}
	return strings.Join(lists[0], ", "), strings.Join(lists[1], ", ")
}

// checkRules looks for filters of the audit rules that take records away.
func checkRules(f *facts) []Finding {
	rules := f.audit.rules
	if rules.err != nil {
		return cannotTell("whether audit rules take records away", needsControl, rules.err)
	}
	var found []Finding
	const advice = "remove the rule: auditctl -l shows it, /etc/audit/rules.d may bring it back"
	all, some := excluded(rules.value, recordTypes())
	if all != "" {
		found = append(found, failure(advice, "an exclude rule takes away every record of type %s, for all listeners and without a count", all)...)
	}
	if some != "" {
		found = append(found, warning(advice, "an exclude rule takes away some records of type %s, for all listeners and without a count", some)...)
	}
	for _, other := range []struct {
		types []uint16
		what  string
	}{
		{[]uint16{ipe.TypeAuditConfigChange, ipe.TypeEventListener}, "which say who changes audit and who listens"},
		{companionTypes(), "which say who caused a denial"},
	} {
		all, some := excluded(rules.value, other.types)
		if types := strings.Trim(all+", "+some, ", "); types != "" {
			found = append(found, warning(advice, "an exclude rule takes away records of type %s, %s", types, other.what)...)
		}
	}
	for _, r := range rules.value {
		if r.SkipsTasks() {
			return append(found, warning("remove -a never,task from the audit rules if you want to know the user",
				"a task,never rule: IPE's records come, but not the SYSCALL records that name the user and the program")...)
		}
	}
	if found == nil {
		return ok("no audit rule takes IPE's records away; rules: %d", len(rules.value))
	}
	return found
}

// checkAuditChanges says what the daemon has seen to be taken away.
func checkAuditChanges(f *facts) []Finding {
	if f.Daemon == nil || f.Daemon.Audit == nil {
		return nil
	}
	a := f.Daemon.Audit
	if a.Kernel == nil || a.Error != "" {
		return warning("systemctl enable --now ipe-auditd-lost.socket",
			"the daemon cannot ask how audit stands, so while audit is not enabled it does not hear of rules and limits that take denials away: %s", text.Printable(a.Error))
	}
	var found []Finding
	for _, g := range a.Degraded {
		since := ""
		if !g.Since.IsZero() {
			since = " since " + text.Time(g.Since.UnixMilli(), nil)
		}
		say := warning
		ev := ipe.Event{Kind: ipe.KindAuditConfig, What: []byte(g.What), Old: []byte(g.Old), New: []byte(g.New)}
		if ipe.AuditImpact(&ev) == ipe.ImpactAll {
			say = failure
		}
		found = append(found, say("ipe-auditd tail --events audit_config shows who changed it, as far as that is recorded; auditctl(8) gives it back",
			"%s is %s%s: %s", text.Printable(g.What), text.Printable(g.New), since, text.Printable(g.Effect))...)
	}
	if found == nil {
		return ok("nothing was taken away from what is recorded since the daemon watches")
	}
	return found
}

// checkAuditd looks whether auditd, if there is one, reads what it is sent: the
// kernel waits a tenth of a second for each record that it does not take, and
// everybody else waits with it (kernel/audit.c, kauditd_send_queue and the send
// timeout of its socket).
func checkAuditd(f *facts) []Finding {
	st := f.audit.status
	if st.err != nil {
		return cannotTell("whether auditd runs, and reads", needsControl, st.err)
	}
	if st.value.PID == 0 {
		if f.audit.atBoot {
			return warning("run auditd, or boot without audit=1",
				"audit=1, but no auditd: the kernel keeps records for it, and its count of lost ones becomes meaningless")
		}
		return ok("no auditd, and none is needed")
	}
	name := fmt.Sprintf("auditd (pid %d)", st.value.PID)
	if len(f.audit.auditd) > 0 && f.audit.auditd[0].name != "" {
		name = fmt.Sprintf("%s (pid %d)", text.Name(f.audit.auditd[0].name), st.value.PID)
	}
	if why := stuck(f.audit.auditd); why != "" {
		return failure("restart it, or stop it: records of everybody wait for it", "%s is registered as auditd but %s, so the kernel waits a tenth of a second for each record, and denials are lost meanwhile", name, why)
	}
	if len(f.audit.auditd) > 0 && f.audit.auditd[0].state == 0 {
		return warning("start auditd again, if it is wanted", "%s is registered, but there is no such process: the kernel finds out with the next record", name)
	}
	return ok("%s takes its records", name)
}

// stuck says how one can see that auditd does not read, or nothing.
func stuck(all []auditdLook) string {
	for _, look := range all {
		if look.state == 'T' || look.state == 't' {
			return "is stopped"
		}
	}
	if len(all) < looks {
		return "" // a queue was empty
	}
	stands := func(queue func(auditdLook) uint64) bool {
		for i, look := range all {
			if n := queue(look); n == 0 || i > 0 && n < queue(all[i-1]) {
				return false
			}
		}
		return true
	}
	switch last := all[len(all)-1]; {
	case stands(func(l auditdLook) uint64 { return l.queued }):
		return fmt.Sprintf("does not read: %d bytes stay in its socket", last.queued)
	case stands(func(l auditdLook) uint64 { return uint64(l.backlog) }):
		return fmt.Sprintf("does not keep up: %d records stay in the kernel's queue", last.backlog)
	}
	return ""
}

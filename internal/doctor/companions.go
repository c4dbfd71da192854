package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// enableAudit is what makes the kernel say who asked, and what that costs. Each
// denial then is some four records, and takes as many places in the kernel's queue
// (audit_log_exit, kernel/auditsc.c).
const enableAudit = "boot with audit=1, or auditctl -e 1, which reaches processes that start afterwards; each denial then is four records in place of one, as is every other system call that anything is recorded about"

// checkCompanions looks whether denials will say who asked for them.
func checkCompanions(f *facts) []Finding {
	return append(f.companions(), f.placeFindings()...)
}

func (f *facts) companions() []Finding {
	var seen string
	var joined uint64
	if f.Daemon != nil && f.Daemon.Companions != nil {
		seen, joined = f.Daemon.Companions.State, f.Daemon.Companions.Joined
	}
	st := f.audit.status
	if h := f.helper.value.Status; st.err != nil && f.helper.err == nil && h != nil {
		st.value.Enabled, st.err = h.Enabled, nil
	}
	switch {
	case seen == "disabled", seen == "" && f.Config != nil && f.Config.Source.Companions == config.CompanionsOff:
		return ok("denials do not say which user and program asked, as source.companions is off")
	case seen == "off":
		return warning("have audit rules that match less; source.companions: off ends the attempts",
			"the daemon has shut out the records that say who asked for a denial, %d times since its start: more than 2000 within a second were about other things", f.Daemon.Companions.ShutOut)
	case st.err == nil && st.value.Enabled == 0, st.err != nil && seen == "none":
		return ok("denials do not say which program asked, as audit is not enabled; to have that, %s", enableAudit)
	case st.err == nil:
		return ok("denials say which user and program asked, but for kernel threads, workers of io_uring and processes older than audit")
	case joined > 0:
		return ok("denials say which user and program asked: the daemon has received %d such records", joined)
	}
	return cannotTell("whether denials say which user and program asked", needsControl, st.err)
}

// placeFindings are about units and containers, which /proc tells.
func (f *facts) placeFindings() []Finding {
	if hides, err := hidesProcesses(f.root); err == nil && hides {
		return warning("mount /proc without hidepid=, or with gid= of a group that the daemon is in",
			"/proc is mounted with hidepid=, which no setting of the service lifts, so denials do not name their unit and container")
	}
	if d := f.Daemon; d != nil && d.Companions != nil && d.Companions.Proc == nil {
		return warning("run the daemon with ProtectProc=default, as its unit does",
			"the daemon does not see the processes of others in /proc, so denials do not name their unit and container")
	}
	return nil
}

// hidesProcesses reports whether /proc is mounted so that users see their own
// processes only: hidepid=1 or more, or by name (proc(5)).
func hidesProcesses(root string) (bool, error) {
	mounts, err := os.ReadFile(filepath.Join(root, "proc/mounts"))
	if err != nil {
		return false, err
	}
	hides := false
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[1] != "/proc" || fields[2] != "proc" {
			continue
		}
		hides = false // the last mount is on top
		for _, option := range strings.Split(fields[3], ",") {
			value, ok := strings.CutPrefix(option, "hidepid=")
			hides = hides || ok && !slices.Contains([]string{"0", "off"}, value)
		}
	}
	return hides, nil
}

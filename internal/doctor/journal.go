package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// journalFacts are about journald.
type journalFacts struct {
	runs     bool
	audit    string // Audit= of journald.conf(5); empty: its default
	readKmsg string // ReadKMsg=; empty: its default, yes
	console  int    // the console's log level; 0 if not known
}

func (s source) journal() journalFacts {
	j := journalFacts{audit: journaldSetting(s.root, "Audit"), readKmsg: journaldSetting(s.root, "ReadKMsg")}
	_, err := os.Stat(filepath.Join(s.root, "run/systemd/journal/socket"))
	j.runs = err == nil
	if text, err := os.ReadFile(filepath.Join(s.root, "proc/sys/kernel/printk")); err == nil {
		level, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\t")
		j.console, _ = strconv.Atoi(level)
	}
	return j
}

// journaldSetting returns what journald.conf and its drop-ins say of a key, in
// the order of systemd.syntax(7): the first main file there is, then the
// drop-ins by name, of which one in /etc hides others of its name.
func journaldSetting(root, key string) string {
	dirs := []string{"etc", "run", "usr/local/lib", "usr/lib"}
	var files []string
	dropIns := make(map[string]string)
	for _, dir := range dirs {
		main := filepath.Join(root, dir, "systemd/journald.conf")
		if _, err := os.Stat(main); err == nil && files == nil {
			files = []string{main}
		}
		entries, _ := os.ReadDir(main + ".d")
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") && dropIns[e.Name()] == "" {
				dropIns[e.Name()] = filepath.Join(main+".d", e.Name())
			}
		}
	}
	var names []string
	for name := range dropIns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		files = append(files, dropIns[name])
	}
	value := ""
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			k, v, found := strings.Cut(line, "=")
			if found && strings.TrimSpace(k) == key {
				value = strings.TrimSpace(v)
			}
		}
	}
	return value
}

// isNo reports whether s is false in the sense of systemd.syntax(7).
func isNo(s string) bool {
	return slices.Contains([]string{"0", "no", "n", "false", "f", "off"}, strings.ToLower(s))
}

// wantsJournal reports whether events go to the journal.
func (f *facts) wantsJournal() bool {
	for _, s := range f.sinks {
		if s.config.Type == journald.Type {
			return true
		}
	}
	return false
}

// checkJournaldAudit looks whether journald takes the records as well: it has a
// socket in the audit group if systemd-journald-audit.socket is enabled.
func checkJournaldAudit(f *facts) []Finding {
	if f.listeners.err != nil || f.initial.err == nil && !f.initial.value {
		return cannotTell("whether journald listens to the audit group", "/proc/net/netlink of the initial network namespace", f.listeners.err)
	}
	listens, nameless := false, false
	for _, l := range f.listeners.value {
		reader, seen := l.reader()
		nameless = nameless || !seen
		listens = listens || strings.HasPrefix(reader.name, "systemd-journal")
	}
	const advice = "systemctl mask --now systemd-journald-audit.socket, and restart systemd-journald; or leave out the sink of type journald"
	switch {
	case listens && f.wantsJournal():
		what := "journald listens to the audit group itself, so each event is in the journal twice"
		if f.journal.audit != "" && !isNo(f.journal.audit) && f.journal.audit != "keep" {
			what += "; and Audit=" + text.Name(f.journal.audit) + " of journald.conf enables audit, which adds up to three records to each denial"
		}
		return warning(advice, "%s", what)
	case listens:
		return ok("journald listens to the audit group too, and no sink writes to the journal")
	case nameless && f.journal.runs:
		return cannotTell("whether journald listens to the audit group", "the right to look at other users' processes", nil)
	}
	return ok("journald does not listen to the audit group")
}

// kernNotice is the level at which records are printed (kauditd_printk_skb,
// kernel/audit.c).
const kernNotice = 5

// checkKernelLog looks whether the kernel prints records, as it does while no
// auditd takes them: at most ten in five seconds, cut at some 1000 bytes.
func checkKernelLog(f *facts) []Finding {
	st := f.audit.status
	switch {
	case st.err != nil:
		return cannotTell("whether the kernel prints records to its log", needsControl, st.err)
	case st.value.PID != 0:
		return ok("records go to auditd, and not to the kernel log")
	case f.journal.console > kernNotice:
		return warning("sysctl kernel.printk=4, or boot with loglevel=4 or quiet",
			"without auditd the kernel prints up to ten records in five seconds to its log and, at log level %d, to the console, which can be slow", f.journal.console)
	case f.journal.runs && !isNo(f.journal.readKmsg):
		return ok("without auditd the kernel prints up to ten records in five seconds to its log, and journald copies them: journalctl -t ipe-auditd leaves them out")
	}
	return ok("without auditd the kernel prints up to ten records in five seconds to its log")
}

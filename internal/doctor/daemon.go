package doctor

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// checkConfig says what check-config would say.
func checkConfig(f *facts) []Finding {
	var found []Finding
	var broken *schema.Error
	switch {
	case errors.As(f.Err, &broken):
		for _, p := range broken.Problems {
			found = append(found, failure("ipe-auditd check-config shows the line", "%v", p)...)
		}
	case f.Err != nil:
		found = failure("ipe-auditd check-config says more", "%v", f.Err)
	}
	for _, p := range f.Warnings {
		found = append(found, warning("", "%v", p)...)
	}
	if found == nil {
		return ok("the configuration is good")
	}
	return found
}

// checkDaemon looks whether a daemon runs and is well.
func checkDaemon(f *facts) []Finding {
	switch err := f.DaemonErr; {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return warning("systemctl start ipe-auditd; if it runs, name its socket with --socket", "no daemon answers at %s", f.Socket)
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("how the daemon fares", "the right to connect to "+f.Socket, err)
	default:
		return failure("look into its log: journalctl -u ipe-auditd", "the daemon does not answer at %s: %v", f.Socket, err)
	}
	st := f.Daemon
	switch {
	case !st.Healthy:
		return warning("see the findings below, and ipe-auditd status", "the daemon (pid %d) is degraded: %s", st.PID, strings.Join(st.Reasons, "; "))
	case st.Version != f.Version:
		return warning("systemctl restart ipe-auditd", "the daemon (pid %d) is of version %s, and this program of %s", st.PID, text.Name(st.Version), text.Name(f.Version))
	}
	return ok("the daemon (pid %d) is well", st.PID)
}

// checkFeed looks at the socket of tail, status and scripts.
func checkFeed(f *facts) []Finding {
	if f.Daemon != nil {
		info, err := os.Stat(f.Socket)
		switch {
		case err != nil:
			return cannotTell("who may read the feed", "the right to look at "+f.Socket, err)
		case info.Mode().Perm()&0o002 != 0:
			return warning("set api.mode to 0660 and api.group to the group that may", "every user of this host may read all events at %s", f.Socket)
		case f.Daemon.Feed.Refused > 0:
			return warning("see who reads it; at most "+strconv.Itoa(f.Daemon.Feed.MaxClients)+" may at once", "the feed refused %d clients", f.Daemon.Feed.Refused)
		}
		return ok("the feed is at %s, mode %04o", f.Socket, info.Mode().Perm())
	}
	if f.Config == nil {
		return nil
	}
	api := f.Config.API
	if api.Path == "" {
		return warning("set api.path", "there is no feed: tail and status will not work")
	}
	if err := probe.Group(api.Group); err != nil {
		return failure("make the group, or correct api.group", "the feed cannot be opened: %v", err)
	}
	info, err := os.Lstat(api.Path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("whether the feed can be opened", "the right to look into the folders above", err)
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return failure("remove it, or set api.path", "the feed cannot be opened: %s is there, and is no socket", api.Path)
	}
	return ok("the feed will be at %s", api.Path)
}

// checkLosses looks at what the daemon knows to be lost, or refused.
func checkLosses(f *facts) []Finding {
	if f.Daemon == nil {
		return nil
	}
	advice := map[string]string{
		"kernel":    "raise audit_backlog_limit",
		"socket":    "raise source.receive_buffer, or ReceiveBuffer= of the socket unit, and see what keeps the daemon from the processor",
		"truncated": "report it: the kernel does not produce such records",
	}
	var found []Finding
	for _, l := range f.Daemon.Lost {
		switch {
		case l.Count > 0 && l.Accuracy == "exact":
			found = append(found, warning(advice[l.Stage], "since the daemon started, %d records were lost at stage %s", l.Count, text.Name(l.Stage))...)
		case l.Count > 0 || l.Accuracy != "exact" && !l.Last.IsZero():
			found = append(found, warning(advice[l.Stage], "since the daemon started, records were lost at stage %s, at least %d", text.Name(l.Stage), l.Count)...)
		}
	}
	if f.Daemon.Forged > 0 {
		found = append(found, warning("find the process: it has CAP_NET_ADMIN in the network namespace of the host", "%d messages in the audit group were forged, and refused", f.Daemon.Forged)...)
	}
	if found == nil {
		return ok("since the daemon started, nothing was lost")
	}
	return found
}

package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// netlinkSocket is a row of /proc/net/netlink (netlink_native_seq_show,
// net/netlink/af_netlink.c).
type netlinkSocket struct {
	inode  uint64
	portID int64
	groups uint64 // the first 32
	queued uint64 // bytes
	drops  uint64
}

// listener is a socket in the audit group, and who holds it; nobody where that
// cannot be seen.
type listener struct {
	netlinkSocket
	holders []process
}

type process struct {
	pid  int
	name string
}

// auditSockets returns the audit sockets of this network namespace.
func auditSockets(root string) ([]netlinkSocket, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/net/netlink"))
	if err != nil {
		return nil, err
	}
	var all []netlinkSocket
	for line := range strings.Lines(string(text)) {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(line)
		if len(f) != 10 || f[1] != strconv.Itoa(unix.NETLINK_AUDIT) {
			continue
		}
		port, err1 := strconv.ParseInt(f[2], 10, 64)
		groups, err2 := strconv.ParseUint(f[3], 16, 64)
		queued, err3 := strconv.ParseUint(f[4], 10, 64)
		drops, err4 := strconv.ParseUint(f[8], 10, 64)
		inode, err5 := strconv.ParseUint(f[9], 10, 64)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return nil, fmt.Errorf("/proc/net/netlink: %w", err)
		}
		all = append(all, netlinkSocket{inode, port, groups, queued, drops})
	}
	return all, nil
}

// auditListeners returns the sockets in the group, in the order of the kernel.
func auditListeners(root string) ([]listener, error) {
	sockets, err := auditSockets(root)
	if err != nil {
		return nil, err
	}
	var all []listener
	byLink := make(map[string]int)
	for _, s := range sockets {
		if s.groups&(1<<(unix.AUDIT_NLGRP_READLOG-1)) != 0 {
			byLink[fmt.Sprintf("socket:[%d]", s.inode)] = len(all)
			all = append(all, listener{netlinkSocket: s})
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	processes, err := os.ReadDir(filepath.Join(root, "proc"))
	if err != nil {
		return nil, err
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(root, "proc", p.Name(), "fd")
		fds, _ := os.ReadDir(dir) // of a process that is another's, or gone: nothing
		for _, fd := range fds {
			link, _ := os.Readlink(filepath.Join(dir, fd.Name()))
			i, found := byLink[link]
			if !found || slices.ContainsFunc(all[i].holders, func(h process) bool { return h.pid == pid }) {
				continue
			}
			name, _ := processState(root, uint32(pid))
			all[i].holders = append(all[i].holders, process{pid, name})
		}
	}
	return all, nil
}

// reader returns the process that reads the socket: the service manager holds
// those that it passes on too.
func (l listener) reader() (process, bool) {
	for _, h := range l.holders {
		if h.pid != 1 {
			return h, true
		}
	}
	if len(l.holders) > 0 {
		return l.holders[0], true
	}
	return process{}, false
}

// isOurs reports whether the name is that of this program.
func (p process) isOurs() bool { return p.name == "ipe-auditd" }

// checkListeners looks who is in the audit group.
func checkListeners(f *facts) []Finding {
	switch {
	case f.initial.err == nil && !f.initial.value:
		return cannotTell("who listens to the audit group", "the initial network namespace", nil)
	case f.listeners.err != nil:
		return cannotTell("who listens to the audit group", "/proc/net/netlink", f.listeners.err)
	}
	var names []string
	var ours []process
	nameless, daemonThere := 0, false
	for _, l := range f.listeners.value {
		reader, seen := l.reader()
		if !seen {
			nameless++
			continue
		}
		name := fmt.Sprintf("%s (pid %d)", text.Name(reader.name), reader.pid)
		if l.drops > 0 {
			name += fmt.Sprintf(", which lost %d", l.drops)
		}
		names = append(names, name)
		if reader.isOurs() {
			ours = append(ours, reader)
		}
		daemonThere = daemonThere || f.Daemon != nil && slices.ContainsFunc(l.holders, func(h process) bool { return h.pid == f.Daemon.PID })
	}
	list := "nobody listens to the audit group"
	if names != nil {
		list = "listening: " + strings.Join(names, "; ")
	}
	switch {
	case nameless > 0:
		return cannotTell(fmt.Sprintf("who has %d of %d sockets in the audit group", nameless, len(f.listeners.value)), "the right to look at other users' processes", nil)
	case f.socket() != nil && !daemonThere:
		return failure("restart the daemon, and its socket unit if there is one", "no socket of the daemon (pid %d) is in the audit group: it hears nothing; %s", f.Daemon.PID, list)
	case len(ours) > 1:
		return warning("stop all but one, unless that is meant", "%d ipe-auditd listen, so that events are told more than once; %s", len(ours), list)
	}
	return ok("%s", list)
}

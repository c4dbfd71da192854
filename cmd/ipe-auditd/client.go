package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// The folders that the service unit gives to the daemon, and where it has the
// socket of its api there.
const (
	serviceState   = "/var/lib/ipe-auditd"
	serviceRuntime = "/run/ipe-auditd"
	defaultSocket  = serviceRuntime + "/api.sock"
)

// socketOr returns path, or without one the socket that the daemon has by the
// configuration, if that may be read, or by the service unit.
func socketOr(path string) string {
	if path != "" {
		return path
	}
	if cfg, _, err := config.Load(""); err == nil {
		path = cfg.API.Path
	}
	return cmp.Or(path, defaultSocket)
}

// noAnswer says why the daemon at socket could not be asked, and what to do.
func noAnswer(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon answers at %s: start it (systemctl start ipe-auditd), or name its socket with --socket", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to ask the daemon at %s: it answers to root%s", socket, andGroup(socket))
	}
	return fmt.Errorf("ask the daemon at %s: %w", socket, err)
}

// andGroup names the group that may connect, if it can be found out.
func andGroup(socket string) string {
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm()&0o020 == 0 {
		return ""
	}
	gid := strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Gid), 10)
	if g, err := user.LookupGroupId(gid); err == nil {
		return fmt.Sprintf(" and to members of group %s", g.Name)
	}
	return fmt.Sprintf(" and to members of group %s", gid)
}

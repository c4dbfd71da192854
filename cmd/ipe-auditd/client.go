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

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
)

// The folders that the service unit gives to the daemon, and where it has the
// socket of its api there.
const (
	serviceState   = "/var/lib/ipe-auditd"
	serviceRuntime = "/run/ipe-auditd"
	defaultSocket  = serviceRuntime + "/api.sock"
)

// socketVariable is the environment variable that names the socket of the daemon.
const socketVariable = "IPE_AUDITD_SOCKET"

// clientOptions are the flags of the commands that ask the daemon, or read its
// spool.
type clientOptions struct {
	config string
	socket string
}

func (o *clientOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.config, "config", "", "take the socket and the spool from this configuration `FILE`")
	cmd.Flags().StringVar(&o.socket, "socket", "", "ask the daemon at this `PATH` instead of the one configured")
}

// places returns the socket of the daemon and its spool directory: by the flags,
// the environment, the configuration, if that may be read, and else by the service
// unit. Only a configuration that was asked for must be readable.
func (o *clientOptions) places() (socket, dir string, err error) {
	socket, dir = cmp.Or(os.Getenv(socketVariable), defaultSocket), serviceState
	cfg, _, err := config.LoadIn(o.config, serviceEnvironment)
	switch {
	case err != nil && o.config != "":
		return "", "", err
	case err == nil:
		dir = cmp.Or(cfg.Spool.Dir, serviceState)
		if o.config != "" || os.Getenv(socketVariable) == "" {
			socket = cmp.Or(cfg.API.Path, socket)
		}
	}
	return cmp.Or(o.socket, socket), dir, nil
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

package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
)

// newLost is the helper that ipe-auditd-lost.socket starts. It is hidden: nobody
// has a reason to start it by hand.
func newLost() *cobra.Command {
	return &cobra.Command{
		Use:    "lost",
		Short:  "Answer what the kernel's audit says of itself, for ipe-auditd-lost.socket",
		Hidden: true,
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			l, err := inheritedListener()
			if err != nil {
				return err
			}
			defer l.Close()
			return auditstate.Serve(l, auditstate.Collect, auditstate.DefaultPace())
		},
	}
}

// inheritedListener returns the one listening socket that a service manager
// passed.
func inheritedListener() (*net.UnixListener, error) {
	files := activation.Files(true)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if len(files) != 1 {
		return nil, usageError{fmt.Errorf("lost is started by ipe-auditd-lost.socket, with one listening socket, and got %d", len(files))}
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return nil, usageError{fmt.Errorf("lost is started by ipe-auditd-lost.socket: %w", err)}
	}
	unix, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, usageError{errors.New("lost is started by ipe-auditd-lost.socket: it answers on a unix socket only")}
	}
	return unix, nil
}

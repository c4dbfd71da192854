package doctor

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// helperTimeout is how long the helper may take: it may have to be started.
const helperTimeout = 10 * time.Second

// askHelper asks as the daemon does.
func askHelper(ctx context.Context) (auditstate.State, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	return auditstate.Ask(ctx, auditstate.Socket)
}

// checkKernelLosses looks how well the daemon can know what the kernel loses
// before any socket, and with which accuracy it will tell that.
func checkKernelLosses(f *facts) []Finding {
	if f.audit.missing != nil {
		return nil
	}
	source := ""
	if f.Daemon != nil && f.Daemon.KernelLosses != nil {
		source = f.Daemon.KernelLosses.Source
	}
	const without = "so of what the kernel loses before any socket only a lower bound is known (at_least), or no number (unknown)"
	switch err := f.helper.err; {
	case source == "own":
		return ok("the daemon asks the kernel itself what it loses, with CAP_AUDIT_CONTROL")
	case errors.Is(err, fs.ErrPermission) && source == "helper":
		return ok("ipe-auditd-lost answers the daemon: what the kernel loses before any socket is told with accuracy %s", text.Name(f.Daemon.KernelLosses.Accuracy))
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("whether ipe-auditd-lost answers", "the right to connect to "+auditstate.Socket, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return warning("systemctl enable --now ipe-auditd-lost.socket", "nobody listens at %s, %s", auditstate.Socket, without)
	case err != nil:
		return warning("journalctl -u ipe-auditd-lost shows why; systemctl restart ipe-auditd-lost.socket", "ipe-auditd-lost does not answer, %s: %v", without, err)
	case f.helper.value.Status.PID == 0 && f.audit.atBoot:
		return warning("run auditd, or boot without audit=1",
			"ipe-auditd-lost answers, but with audit=1 and no auditd the kernel's number means nothing: losses before any socket are told without one (unknown)")
	case source == "pending":
		return ok("ipe-auditd-lost answers; the daemon has just started and is asking it")
	case source != "" && source != "helper":
		return warning("systemctl restart ipe-auditd", "ipe-auditd-lost answers, but it did not answer the daemon, %s: %s", without, text.Printable(f.Daemon.KernelLosses.Error))
	}
	return ok("ipe-auditd-lost answers: what the kernel loses before any socket is told exactly")
}

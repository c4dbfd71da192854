package host

import (
	"fmt"
	"os"
	"strings"

	libaudit "github.com/elastic/go-libaudit/v2"
)

// AuditStatus is the state of the kernel's audit subsystem (struct
// audit_status in uapi/linux/audit.h).
type AuditStatus = libaudit.AuditStatus

// QueryAudit asks the kernel for its audit status with AUDIT_GET. It needs
// CAP_AUDIT_CONTROL, the initial user namespace and the initial pid namespace
// (kernel/audit.c, audit_netlink_ok).
func QueryAudit() (AuditStatus, error) {
	client, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return AuditStatus{}, fmt.Errorf("open an audit socket: %w", err)
	}
	defer client.Close()
	status, err := client.GetStatus()
	if err != nil {
		return AuditStatus{}, fmt.Errorf("ask for the audit status: %w", err)
	}
	return *status, nil
}

// AuditAtBoot reports whether the kernel's command line, in the file cmdline,
// switches audit on. Only then has the kernel a hold queue for records that no
// auditd takes (kernel/audit.c, audit_default), and counts those as lost that it
// has no room for, although other listeners got them.
func AuditAtBoot(cmdline string) bool {
	text, err := os.ReadFile(cmdline)
	if err != nil {
		return false
	}
	on := false
	for _, word := range strings.Fields(string(text)) {
		switch word {
		case "audit=1", "audit=on":
			on = true
		case "audit=0", "audit=off":
			on = false
		}
	}
	return on
}

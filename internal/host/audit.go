package host

import (
	"fmt"

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

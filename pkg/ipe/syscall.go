package ipe

import "github.com/elastic/go-libaudit/v2/auparse"

// syscallName returns the name of a system call on an architecture as audit numbers
// them (AUDIT_ARCH_X86_64), empty where that is not known.
func syscallName(arch uint32, number uint64) string {
	if number > 1<<16 {
		return ""
	}
	table := auparse.AuditArchNames[auparse.AuditArch(arch)]
	return auparse.AuditSyscalls[table][int(number)]
}

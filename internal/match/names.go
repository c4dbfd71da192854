package match

import (
	"fmt"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Error is one wrong value of a selection.
type Error struct {
	Index  int    // of the selection in the list, from 0
	Key    string // as written, not.paths inside not; empty for the selection as a whole
	Value  string // empty if no single value is at fault
	Reason string
}

// Error returns the mistake in one line, with the selections counted from 1.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "match %d: ", e.Index+1)
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "%q: ", e.Value)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Events returns the values of the JSON key "event", by Kind.
func Events() []string {
	var names []string
	for k := ipe.Kind(0); k <= lastKind; k++ {
		names = append(names, k.String())
	}
	return names
}

// Verdicts returns the values of the JSON key "verdict", from VerdictDenied on.
func Verdicts() []string {
	var names []string
	for v := ipe.VerdictDenied; v <= lastVerdict; v++ {
		names = append(names, v.String())
	}
	return names
}

// Ops returns the operations of Linux 6.12 to 7.3 (security/ipe/audit.c,
// audit_op_names), then those that only the forms from before the merge have.
// Kernels may learn new ones.
func Ops() []string {
	return []string{"EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS",
		"POLICY", "X509_CERT", "UNKNOWN", "IMA_POLICY", "IMA_X509_CERT"}
}

// Hooks returns the hooks of Linux 6.12 to 7.3 (security/ipe/audit.c,
// audit_hook_names; BPRM_CREDS_FOR_EXEC came with 6.19), then that of the forms
// from before the merge. Kernels may learn new ones.
func Hooks() []string {
	return []string{"BPRM_CHECK", "BPRM_CREDS_FOR_EXEC", "MMAP", "MPROTECT", "KERNEL_READ",
		"KERNEL_LOAD", "UNKNOWN", "EXECVE"}
}

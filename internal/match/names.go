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

// kindNames returns the values of the JSON key "event", by Kind.
func kindNames() []string {
	var names []string
	for k := ipe.Kind(0); k <= lastKind; k++ {
		names = append(names, k.String())
	}
	return names
}

// verdictNames returns the values of the JSON key "verdict", from
// VerdictDenied on.
func verdictNames() []string {
	var names []string
	for v := ipe.VerdictDenied; v <= lastVerdict; v++ {
		names = append(names, v.String())
	}
	return names
}

// knownOps returns the operations of Linux 6.12 to 7.3 (security/ipe/audit.c,
// audit_op_names), then those that only the forms from before the merge have.
func knownOps() []string {
	return []string{"EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS",
		"POLICY", "X509_CERT", "UNKNOWN", "IMA_POLICY", "IMA_X509_CERT"}
}

// knownHooks returns the hooks of Linux 6.12 to 7.3 (security/ipe/audit.c,
// audit_hook_names; BPRM_CREDS_FOR_EXEC came with 6.19), then that of the forms
// from before the merge.
func knownHooks() []string {
	return []string{"BPRM_CHECK", "BPRM_CREDS_FOR_EXEC", "MMAP", "MPROTECT", "KERNEL_READ",
		"KERNEL_LOAD", "EXECVE"}
}

// suggest names the one of known that was probably meant, or all of them.
func suggest(v string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(v), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance returns the Levenshtein distance of a and b in bytes, or 3 for
// strings whose lengths alone differ by as much.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

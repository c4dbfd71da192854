package host

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Watched is what the kernel makes no record of, or one that may be lost.
type Watched struct {
	Enforcing, SuccessAudit ipe.Bool

	// Policies are the names of the policies that the kernel has, sorted; nil where
	// they cannot be read. Every user may, where securityfs is mounted.
	Policies []string
}

// Watched reads it. It never fails: what cannot be read is unknown.
func (s *Securityfs) Watched() Watched {
	dir := filepath.Join(s.Root, "kernel/security/ipe")
	w := Watched{
		Enforcing:    readBool(s.Enforce, filepath.Join(dir, "enforce")),
		SuccessAudit: readBool(s.SuccessAudit, filepath.Join(dir, "success_audit")),
	}
	entries, err := os.ReadDir(filepath.Join(dir, "policies"))
	if err != nil {
		return w
	}
	w.Policies = []string{}
	for _, e := range entries {
		if e.IsDir() {
			w.Policies = append(w.Policies, e.Name())
		}
	}
	slices.Sort(w.Policies)
	return w
}

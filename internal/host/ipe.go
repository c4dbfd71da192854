package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The values of IPE.Status.
const (
	StatusAbsent     = "absent"     // the running kernel does not use IPE: there will be no records
	StatusNoPolicy   = "no_policy"  // IPE is there, but nothing is judged before a policy is active
	StatusActive     = "active"     // a policy is in force
	StatusUnreadable = "unreadable" // securityfs is not mounted, or its files may not be read
)

// IPE is how Integrity Policy Enforcement stands on this host.
type IPE struct {
	Status       string
	Enforcing    ipe.Bool
	SuccessAudit ipe.Bool
	Policy       ipe.Policy // the one in force, with StatusActive
}

// Securityfs finds the state of IPE in securityfs.
type Securityfs struct {
	// Root is the directory above kernel/security, usually "/sys".
	Root string

	// Enforce and SuccessAudit, when not nil, are the open files of the same
	// names, inherited by a process that may not open them itself: securityfs
	// gives them mode 0600 (security/ipe/fs.c).
	Enforce, SuccessAudit io.ReaderAt
}

// IPE reads the state. It never fails: what cannot be read is unknown.
func (s *Securityfs) IPE() IPE {
	security := filepath.Join(s.Root, "kernel/security")
	st := IPE{
		Enforcing:    readBool(s.Enforce, filepath.Join(security, "ipe/enforce")),
		SuccessAudit: readBool(s.SuccessAudit, filepath.Join(security, "ipe/success_audit")),
	}
	lsms, err := os.ReadFile(filepath.Join(security, "lsm"))
	switch {
	case err == nil && !slices.Contains(strings.Split(strings.TrimSpace(string(lsms)), ","), "ipe"):
		return IPE{Status: StatusAbsent}
	case errors.Is(err, fs.ErrNotExist) && s.impossible():
		return IPE{Status: StatusAbsent}
	case err != nil:
		st.Status = StatusUnreadable
		return st
	}
	st.Status, st.Policy = activePolicy(filepath.Join(security, "ipe/policies"))
	return st
}

// impossible reports whether the kernel was built without securityfs, which
// CONFIG_SECURITY_IPE depends on (security/ipe/Kconfig): then sysfs is mounted
// and lacks the mount point.
func (s *Securityfs) impossible() bool {
	_, err := os.Stat(filepath.Join(s.Root, "kernel/security"))
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Stat(filepath.Join(s.Root, "kernel"))
	return err == nil
}

// activePolicy looks for the policy whose file "active" says 1. The files of a
// policy are described in Documentation/admin-guide/LSM/ipe.rst.
func activePolicy(dir string) (status string, p ipe.Policy) {
	policies, err := os.ReadDir(dir)
	if err != nil {
		return StatusUnreadable, p
	}
	status = StatusNoPolicy
	for _, policy := range policies {
		if !policy.IsDir() {
			continue
		}
		files := filepath.Join(dir, policy.Name())
		switch readBool(nil, filepath.Join(files, "active")) {
		case ipe.True:
			p.Name = []byte(policy.Name())
			if version, err := os.ReadFile(filepath.Join(files, "version")); err == nil {
				p.Version = []byte(strings.TrimSpace(string(version)))
			}
			// The digest in the records is that of the signed blob
			// (security/ipe/audit.c, audit_policy). A policy that was built
			// into the kernel has none.
			if blob, err := os.ReadFile(filepath.Join(files, "pkcs7")); err == nil && len(blob) > 0 {
				sum := sha256.Sum256(blob)
				p.Digest = append([]byte("sha256:"), hex.EncodeToString(sum[:])...)
			}
			return StatusActive, p
		case ipe.Unknown:
			status = StatusUnreadable
		}
	}
	return status, p
}

// readBool reads a securityfs file that says "0" or "1".
func readBool(inherited io.ReaderAt, path string) ipe.Bool {
	var buf [2]byte
	if inherited == nil {
		f, err := os.Open(path)
		if err != nil {
			return ipe.Unknown
		}
		defer f.Close()
		inherited = f
	}
	if n, err := inherited.ReadAt(buf[:], 0); n == 0 && err != nil {
		return ipe.Unknown
	}
	switch buf[0] {
	case '0':
		return ipe.False
	case '1':
		return ipe.True
	}
	return ipe.Unknown
}

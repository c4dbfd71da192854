package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

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

// Mode reads whether IPE enforces.
func (s *Securityfs) Mode() ipe.Bool {
	return readBool(s.Enforce, filepath.Join(s.Root, "kernel/security/ipe/enforce"))
}

// IPE reads the state. It never fails: what cannot be read is unknown.
func (s *Securityfs) IPE() IPE {
	security := filepath.Join(s.Root, "kernel/security")
	st := IPE{
		Enforcing:    s.Mode(),
		SuccessAudit: readBool(s.SuccessAudit, filepath.Join(security, "ipe/success_audit")),
	}
	lsms, err := os.ReadFile(filepath.Join(security, "lsm"))
	switch {
	case err == nil && !slices.Contains(strings.Split(strings.TrimSpace(string(lsms)), ","), "ipe"):
		return IPE{Status: StatusAbsent}
	case err != nil && s.Root == "/sys" && !listed():
		return IPE{Status: StatusAbsent}
	case err != nil:
		st.Status = StatusUnreadable
		return st
	}
	st.Status, st.Policy = activePolicy(filepath.Join(security, "ipe/policies"))
	return st
}

// lsmIPE is LSM_ID_IPE of uapi/linux/lsm.h, since Linux 6.12.
const lsmIPE = 113

// listed reports whether IPE may be among the security modules of the running
// kernel, asked without securityfs (lsm_list_modules(2), Linux 6.8). A kernel
// that cannot be asked may have it.
func listed() bool {
	var ids [64]uint64
	size := uint32(unsafe.Sizeof(ids))
	n, _, errno := unix.Syscall(unix.SYS_LSM_LIST_MODULES, uintptr(unsafe.Pointer(&ids)), uintptr(unsafe.Pointer(&size)), 0)
	return errno != 0 || n > uintptr(len(ids)) || slices.Contains(ids[:n], lsmIPE)
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
			return StatusActive, identify(files)
		case ipe.Unknown:
			status = StatusUnreadable
		}
	}
	return status, p
}

// identify reads what a policy is called from the directory with its files.
func identify(files string) (p ipe.Policy) {
	p.Name = []byte(filepath.Base(files))
	if version, err := os.ReadFile(filepath.Join(files, "version")); err == nil {
		p.Version = []byte(strings.TrimSpace(string(version)))
	}
	// The digest in the records is that of the signed blob
	// (security/ipe/audit.c, audit_policy). A policy that was built into the
	// kernel has none, and the digest of nothing (policy_fs.c, read_pkcs7).
	if blob, err := os.ReadFile(filepath.Join(files, "pkcs7")); err == nil || errors.Is(err, fs.ErrNotExist) {
		sum := sha256.Sum256(blob)
		p.Digest = append([]byte("sha256:"), hex.EncodeToString(sum[:])...)
	}
	return p
}

// PolicyFile returns the name of the file with the text of the policy.
func (s *Securityfs) PolicyFile(name string) string {
	return filepath.Join(s.Root, "kernel/security/ipe/policies", name, "policy")
}

// PolicyText returns the text of a policy that the kernel has. Every user may
// read it where securityfs is mounted. It is an error if the kernel has another
// version under that name by now, as far as p tells, or none: fs.ErrNotExist.
func (s *Securityfs) PolicyText(p *ipe.Policy) ([]byte, error) {
	name := string(p.Name)
	if name == "" || name != filepath.Base(name) || name == "." || name == ".." {
		return nil, fmt.Errorf("no policy can be called %q: %w", name, fs.ErrNotExist)
	}
	file := s.PolicyFile(name)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	switch now := identify(filepath.Dir(file)); {
	case p.Version != nil && now.Version != nil && string(p.Version) != string(now.Version):
		return nil, fmt.Errorf("%s is version %s by now, not %s", file, now.Version, p.Version)
	case p.Digest != nil && now.Digest != nil && string(p.Digest) != string(now.Digest):
		return nil, fmt.Errorf("%s is another policy by now, though of the same version", file)
	}
	return text, nil
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

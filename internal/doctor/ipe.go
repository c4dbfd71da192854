package doctor

import (
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// ipeFacts are how IPE stands.
type ipeFacts struct {
	state   host.IPE
	mounted error // nil if securityfs says which security modules there are
}

// readable returns why a file cannot be read, or nil.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkLSM looks whether the kernel judges by IPE at all.
func checkLSM(f *facts) []Finding {
	switch {
	case f.ipe.state.Status == host.StatusAbsent:
		return failure("boot a kernel with CONFIG_SECURITY_IPE (Linux 6.12 or later), with ipe in lsm= of its command line or in CONFIG_LSM",
			"this kernel does not use IPE, so there will be no events")
	case f.ipe.mounted != nil:
		return warning("mount -t securityfs securityfs /sys/kernel/security",
			"cannot tell whether this kernel uses IPE: needs securityfs (%v)", f.ipe.mounted)
	}
	return ok("IPE is among the security modules")
}

// checkPolicy looks for the policy in force: without one, nothing is judged
// (security/ipe/eval.c, ipe_evaluate_event).
func checkPolicy(f *facts) []Finding {
	switch f.ipe.state.Status {
	case host.StatusNoPolicy:
		return warning("load a signed policy and write 1 to its file active, in /sys/kernel/security/ipe",
			"no policy is active, so nothing is judged and nothing recorded")
	case host.StatusUnreadable:
		return cannotTell("whether a policy is active", "root, and securityfs at /sys/kernel/security", nil)
	case host.StatusActive:
		p := &f.ipe.state.Policy
		return ok("policy %s is active, version %s", text.Name(string(p.Name)), text.Name(string(p.Version)))
	}
	return nil // no IPE
}

// checkEnforce looks whether IPE denies, or only records what it would deny.
func checkEnforce(f *facts) []Finding {
	switch {
	case f.ipe.state.Status == host.StatusAbsent:
		return nil
	case f.ipe.state.Enforcing == ipe.Unknown:
		return cannotTell("whether IPE enforces", "root, and securityfs at /sys/kernel/security", nil)
	case f.ipe.state.Enforcing == ipe.False:
		return warning("echo 1 > /sys/kernel/security/ipe/enforce, once would_deny events no longer come for what must run",
			"permissive: what the policy denies is recorded, and runs all the same")
	}
	return ok("enforcing")
}

// checkSuccessAudit looks for the noise of records about what was allowed.
func checkSuccessAudit(f *facts) []Finding {
	switch {
	case f.ipe.state.Status == host.StatusAbsent:
		return nil
	case f.ipe.state.SuccessAudit == ipe.Unknown:
		return cannotTell("whether successes are recorded too", "root, and securityfs at /sys/kernel/security", nil)
	case f.ipe.state.SuccessAudit == ipe.True:
		return warning("echo 0 > /sys/kernel/security/ipe/success_audit, and boot without ipe.success_audit=1",
			"success_audit is on: everything that is allowed is recorded too, which fills the kernel's queue and can crowd out denials")
	}
	return ok("only denials are recorded")
}

package vm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"testing"

	ipepolicy "github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy/policytest"
	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// TestKernelsReadPoliciesAsWeDo offers texts of policies to kernels, each one
// signed, and demands the verdict of our parser. No policy is activated.
func TestKernelsReadPoliciesAsWeDo(t *testing.T) {
	l := newLab(t)
	traps := policytest.Traps()
	for i, text := range policytest.Texts(1, 300) {
		traps = append(traps, policytest.Trap{Name: fmt.Sprintf("text %d", i), Text: text})
	}
	var input []byte
	for _, trap := range traps {
		blob, err := l.Key.Sign(string(trap.Text))
		if err != nil {
			t.Fatal(err)
		}
		input = append(binary.LittleEndian.AppendUint32(input, uint32(len(blob))), blob...)
	}
	onKernels(t, l, func(t *testing.T, k *vm.Kernel) {
		t.Parallel()
		s := &session{lab: l, guest: l.boot(t, k, "")}
		errnos := s.actCall(t, input, &wire.Call{}, "write-each", ipeDir+"new_policy").Errnos
		if len(errnos) != len(traps) {
			t.Fatalf("%d answers to %d policies", len(errnos), len(traps))
		}
		accepted := 0
		for i, trap := range traps {
			got, want := syscall.Errno(errnos[i]), verdict(trap.Text)
			if got == syscall.EEXIST {
				got = 0 // the text was read, but there is a policy of that name
			}
			if got != want {
				t.Errorf("%s: the kernel says %v, Parse says %v: %q", trap.Name, got, want, trap.Text)
			}
			if got == 0 {
				accepted++
			}
		}
		t.Logf("%d texts, %d of them accepted", len(traps), accepted)
	})
}

// verdict is what we expect of new_policy: that of the parser, then that of
// securityfs.
func verdict(text []byte) syscall.Errno {
	p, err := ipepolicy.Parse(text)
	if err == nil {
		err = ipepolicy.CheckName(p.Name)
	}
	var refused *ipepolicy.Error
	if errors.As(err, &refused) {
		return refused.Errno
	}
	return 0
}

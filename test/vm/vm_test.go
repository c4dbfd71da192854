package vm_test

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
)

var (
	enabled     = flag.Bool("vm", false, "boot real kernels in QEMU")
	versions    = flag.String("vm.kernel", "6.12", "kernels to boot, with commas between: 6.12, newest, all, the file name of an image")
	accelerator = flag.String("vm.accel", "auto", "what QEMU uses: kvm, tcg, or auto for what works")
	recordDir   = flag.String("vm.record", "", "directory to record captures in: ../captures makes goldens of them")
	daemonFile  = flag.String("vm.daemon", "", "file name of a static daemon to run in the guest; built when empty")
)

// lab is what guests of all kernels share.
type lab struct {
	*vm.Lab
	stranger *vm.Key // no kernel trusts it
}

// newLab makes a lab, or skips.
func newLab(t *testing.T) *lab {
	t.Helper()
	if !*enabled {
		t.Skip("boots kernels in QEMU: enable with go test ./test/vm -vm")
	}
	dir := t.TempDir()
	shared, err := vm.NewLab(dir, *daemonFile, *accelerator)
	if errors.Is(err, vm.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := vm.NewKey(dir, "stranger")
	if err != nil {
		t.Fatal(err)
	}
	return &lab{shared, stranger}
}

// boot starts a guest that ends with the test.
func (l *lab) boot(t *testing.T, k *vm.Kernel, commandLine string) *vm.Guest {
	t.Helper()
	g, err := l.Boot(t.Context(), k, commandLine, t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// fetchTimeout is how long the archive may take to give a kernel. It is 30
// seconds at most where the network is good.
const fetchTimeout = 3 * time.Minute

func TestDaemonOnRealKernels(t *testing.T) {
	l := newLab(t)
	list := strings.Split(*versions, ",")
	if i := slices.Index(list, "all"); i >= 0 {
		list = slices.Replace(list, i, i+1, vm.Generations()...)
	}
	for _, version := range list {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
			defer cancel()
			k, err := vm.FindKernel(ctx, l.Cache, version)
			if err != nil {
				t.Skipf("no kernel: %v", err)
			}
			t.Logf("kernel %s", k.Release)
			for _, mode := range modes {
				t.Run(mode.name, func(t *testing.T) {
					t.Parallel()
					mode.run(t, l, k)
				})
			}
		})
	}
}

// modes are the ways to boot a guest, by what the kernel's command line says of
// audit.
var modes = []struct {
	name string
	run  func(*testing.T, *lab, *vm.Kernel)
}{
	{"audit unset", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := newSession(t, l, l.boot(t, k, ""), false)
		_ = s.recorded(t, "off", policies, accesses) && s.all(t, switches, trust, floods, stopping)
	}},
	{"audit on", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := newSession(t, l, l.boot(t, k, "audit=1"), true)
		_ = s.recorded(t, "audit1", policies, accesses) && s.all(t, neighbours, uncountable, stopping)
		t.Logf("%d times the daemon said that it cannot know what the kernel lost", s.unknown)
	}},
	{"audit off", func(t *testing.T, l *lab, k *vm.Kernel) {
		s := &session{lab: l, guest: l.boot(t, k, "audit=0")}
		s.all(t, silent) // nothing else can be told there
	}},
}

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
	update      = flag.Bool("update", false, "make goldens of what the kernels say, and note the kernels in docs/kernels.md")
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

// onKernels runs a test for each kernel of the flag.
func onKernels(t *testing.T, l *lab, test func(*testing.T, *vm.Kernel)) {
	t.Helper()
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
			test(t, k)
		})
	}
}

func TestDaemonOnRealKernels(t *testing.T) {
	l := newLab(t)
	var runs []*run
	onKernels(t, l, func(t *testing.T, k *vm.Kernel) {
		r := &run{kernel: k}
		t.Cleanup(func() { // after all modes
			if !t.Failed() {
				runs = append(runs, r)
			}
		})
		for _, mode := range modes {
			t.Run(mode.name, func(t *testing.T) {
				t.Parallel()
				mode.run(t, &session{lab: l, run: r})
			})
		}
	})
	if *update {
		makeGoldens(t, runs) // of those without a failure
	}
}

// modes are the ways to boot a guest, by what the kernel's command line says of
// audit.
var modes = []struct {
	name string
	run  func(*testing.T, *session)
}{
	{"audit unset", func(t *testing.T, s *session) {
		s.begin(t, "")
		_ = s.recorded(t, "off-vm", policies, executed, accesses) && s.all(t, names, switches, trust, floods, rightless, stopping)
	}},
	{"audit on", func(t *testing.T, s *session) {
		s.holdQueue = true
		s.begin(t, "audit=1")
		_ = s.all(t, policies) && s.recorded(t, "audit1-vm", executed, neighbours) && s.all(t, whoAsked, accesses, names, uncountable, stopping)
		t.Logf("%d times the daemon said that it cannot know what the kernel lost", s.unknown)
	}},
	{"audit off", func(t *testing.T, s *session) {
		s.guest = s.lab.boot(t, s.run.kernel, "audit=0")
		s.all(t, silent) // nothing else can be told there
	}},
}

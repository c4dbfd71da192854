package debian_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/debian"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

var (
	enabled     = flag.Bool("vm", false, "boot Debian in QEMU")
	version     = flag.String("vm.kernel", "6.12", "kernel to boot: 6.12, newest, the file name of an image")
	accelerator = flag.String("vm.accel", "auto", "what QEMU uses: kvm, tcg, or auto for what works")
)

// patience is how long something in the guest may take. Under TCG on a busy
// host that can be long; a test that passes does not wait.
const patience = 5 * time.Minute

// guest is a running Debian.
type guest struct {
	*vm.Guest
	lab *vm.Lab

	policies int    // activated after the one at boot
	upgrade  string // file name of a package of a later version than the one installed

	// While the service cannot start.
	unheard *flood
	broken  time.Time
}

// boot makes and starts a guest that ends with the test, or skips.
func boot(t *testing.T) *guest {
	t.Helper()
	if !*enabled {
		t.Skip("boots Debian in QEMU: enable with go test ./test/vm/debian -vm")
	}
	dir := t.TempDir()
	lab, err := vm.NewLab(dir, "", *accelerator)
	if err == nil {
		err = debian.Missing(lab)
	}
	if errors.Is(err, vm.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	k, err := vm.FindKernel(ctx, lab.Cache, *version)
	if err != nil {
		t.Skipf("no kernel: %v", err)
	}
	archive, err := debian.Base(ctx, lab.Cache)
	if err != nil {
		t.Skipf("no Debian: %v", err)
	}
	dir = t.TempDir()
	root := filepath.Join(dir, "root")
	if err := debian.Root(ctx, archive, root, packages(t, "0.1.0~vm1")); err != nil {
		t.Fatal(err)
	}
	image, err := debian.Seal(lab, root, dir)
	if err != nil {
		t.Fatal(err)
	}
	later := packages(t, "0.1.0~vm2")
	g, err := debian.Boot(ctx, lab, k, image, dir)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the archive has not all modules of this kernel: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return &guest{Guest: g, lab: lab, upgrade: later}
}

// environment is that of programs in the guest.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/vm/bin", "HOME=/root", "LC_ALL=C.UTF-8"}

// start starts a script in the guest.
func (g *guest) start(t *testing.T, script string, stdin []byte) *vm.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := g.Start(ctx, &wire.Call{Argv: [][]byte{[]byte("/bin/sh"), []byte("-c"), []byte(script)}, Env: environment, Stdin: stdin})
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return p
}

// wait waits for the end of a program and returns its exit status.
func wait(t *testing.T, p *vm.Process) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exit, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

// try runs a script in the guest.
func (g *guest) try(t *testing.T, script string) (stdout, stderr string, exit int) {
	t.Helper()
	p := g.start(t, script, nil)
	exit = wait(t, p)
	return string(p.Stdout()), p.Stderr(), exit
}

// sh runs a script in the guest that must succeed, and returns what it printed.
func (g *guest) sh(t *testing.T, script string) string {
	t.Helper()
	stdout, stderr, exit := g.try(t, script)
	if exit != 0 {
		t.Fatalf("%s: exit status %d\n%s%s", script, exit, stdout, stderr)
	}
	return stdout
}

// write makes a file in the guest, and its folder.
func (g *guest) write(t *testing.T, path, text string) {
	t.Helper()
	p := g.start(t, fmt.Sprintf("mkdir -p $(dirname %[1]s) && cat >%[1]s", path), []byte(text))
	if exit := wait(t, p); exit != 0 {
		t.Fatalf("write %s: exit status %d: %s", path, exit, p.Stderr())
	}
}

// packages builds the package for Debian as this version, and returns the name
// of its file.
func packages(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./deploy/packages", "-out", dir, "-arch", "amd64", "-format", "deb", "-version", version)
	cmd.Dir = "../../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("%d packages: %v", len(debs), err)
	}
	return debs[0]
}

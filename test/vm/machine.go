package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// Machine says what to boot.
type Machine struct {
	Kernel    *Kernel
	Initramfs string // file name
	Firmware  Firmware
	Append    string   // kernel command line, added to what the guest needs
	Disks     []string // file names of raw images; their base names are the disks' serial numbers
	Dir       string   // for the console's log

	// Terminal puts the guest's console on standard input and output.
	Terminal bool
}

// Firmware is UEFI and its variables.
type Firmware struct {
	Code      string // file name, read only
	Variables string // file name; every guest gets a copy in its Dir
}

// bootTimeout is how long a guest may take until init speaks. An idle host needs
// six seconds.
const bootTimeout = 3 * time.Minute

// commandLine is what every guest needs. no_timer_check: a busy host delays
// timer interrupts that QEMU emulates, and the kernel would panic because of
// it (arch/x86/kernel/apic/io_apic.c, check_timer). panic=-1 and -no-reboot end
// QEMU when the kernel panics.
const commandLine = "console=ttyS0 loglevel=5 no_timer_check panic=-1"

// BoardAddress is the PCI address of a board with 1 MiB of memory that no driver
// knows, for those that are told to take it.
const BoardAddress = "0000:00:1e.0"

// accelerators are the names of accelerators and what QEMU is told. With a
// thread for each CPU, QEMU 7.2 lets a CPU meet a breakpoint of text_poke_bp
// (arch/x86/kernel/alternative.c) that another CPU has taken back already, and
// the kernel panics.
var accelerators = map[string]string{"kvm": "kvm", "tcg": "tcg,thread=single"}

// Guest is a running machine.
type Guest struct {
	Kernel *Kernel

	console string // file name
	port    io.WriteCloser
	ended   chan struct{} // closed when QEMU has ended
	up      chan struct{} // closed when init has spoken
	group   int           // QEMU's process group

	mu    sync.Mutex // guards what follows and writing to port
	last  uint64
	procs map[uint64]*Process
}

// Boot starts the machine with the accelerator, "kvm" or "tcg", and waits
// until its init answers.
func Boot(ctx context.Context, m *Machine, accelerator string) (*Guest, error) {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return nil, err
	}
	variables := filepath.Join(m.Dir, "variables.fd")
	text, err := os.ReadFile(m.Firmware.Variables)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(variables, text, 0o600); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()

	g := &Guest{
		Kernel:  m.Kernel,
		console: filepath.Join(m.Dir, "console.log"),
		port:    ours,
		ended:   make(chan struct{}),
		up:      make(chan struct{}),
		procs:   make(map[uint64]*Process),
	}
	args := []string{
		"-machine", "q35", "-accel", accelerators[accelerator], "-cpu", "max", "-m", "1G", "-smp", "2",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + m.Firmware.Code,
		"-drive", "if=pflash,format=raw,file=" + variables,
		"-kernel", m.Kernel.Image, "-initrd", m.Initramfs,
		"-append", strings.TrimSpace(commandLine + " " + m.Append),
		"-chardev", "socket,id=port,fd=3", "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=port,name=" + wire.Port,
		"-device", "edu,addr=" + strings.TrimPrefix(BoardAddress, "0000:00:"),
	}
	if m.Terminal {
		args = append(args, "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
	} else {
		args = append(args, "-serial", "file:"+g.console)
	}
	for i, disk := range m.Disks {
		id := fmt.Sprintf("disk%d", i)
		args = append(args, "-drive", "if=none,format=raw,id="+id+",file="+disk, "-device", "nvme,drive="+id+",serial="+filepath.Base(disk))
	}
	cmd := exec.Command("qemu-system-x86_64", args...)
	cmd.ExtraFiles = []*os.File{theirs}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// A group of its own, so that everything QEMU may start goes with it; and
	// it goes when we go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if m.Terminal {
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		cmd.SysProcAttr.Foreground = isTerminal(os.Stdin) // Ctty is 0, standard input
	}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started QEMU, so that one
		// has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended, its output and the console tell
		}
		close(g.ended)
	}()
	if err := <-started; err != nil {
		ours.Close()
		return nil, err
	}
	g.group = cmd.Process.Pid
	go g.read(ours)

	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	select {
	case <-g.up:
		return g, nil
	case <-g.ended:
		err = errors.New("QEMU ended")
	case <-ctx.Done():
		err = fmt.Errorf("init did not answer: %w", ctx.Err())
	}
	g.Close()
	return nil, fmt.Errorf("boot %s (%s): %w\n%s%s", m.Kernel.Release, accelerator, err, output.String(), g.Console())
}

// isTerminal reports whether the file is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// socketPair returns two ends of a connection.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that Close ends a Read
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "guest"), os.NewFile(uintptr(fds[1]), "qemu"), nil
}

// closeTimeout is how long QEMU may take to put the terminal in order.
const closeTimeout = 5 * time.Second

// Close ends the machine and waits until it has ended.
func (g *Guest) Close() {
	g.kill(unix.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(closeTimeout):
		g.kill(unix.SIGKILL)
		<-g.ended
	}
	g.port.Close()
}

// kill signals QEMU and what it may have started.
func (g *Guest) kill(signal unix.Signal) {
	select {
	case <-g.ended: // the number may be another's by now
	default:
		_ = unix.Kill(-g.group, signal)
	}
}

// Console returns the end of what the guest printed on its console.
func (g *Guest) Console() string {
	text, err := os.ReadFile(g.console)
	if err != nil {
		return err.Error()
	}
	const most = 8 << 10
	return string(text[max(0, len(text)-most):])
}

// read hands the replies of init to the processes that they are of.
func (g *Guest) read(port io.Reader) {
	err := g.dispatch(json.NewDecoder(port))
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.procs {
		p.end(-1, fmt.Errorf("the guest has gone: %w", err))
	}
	g.procs = nil
}

func (g *Guest) dispatch(dec *json.Decoder) error {
	up := sync.OnceFunc(func() { close(g.up) })
	for {
		var r wire.Reply
		if err := dec.Decode(&r); err != nil {
			return err
		}
		if r.ID == 0 {
			up()
			continue
		}
		g.mu.Lock()
		p := g.procs[r.ID]
		if r.Exit != nil || r.Error != "" {
			delete(g.procs, r.ID)
		}
		g.mu.Unlock()
		if p != nil {
			p.take(&r)
		}
	}
}

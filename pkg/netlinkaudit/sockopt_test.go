package netlinkaudit

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func TestTypeFilterAcceptsTheWholeMessageOrNothing(t *testing.T) {
	t.Parallel()
	types := []uint16{1404, 1420, 1421, 1422, 1423}
	vm, err := bpf.NewVM(typeFilter(types))
	must(t, err)
	wanted := map[uint16]bool{}
	for _, typ := range types {
		wanted[typ] = true
	}
	msg := make([]byte, 9000)
	for typ := range 1 << 16 {
		binary.NativeEndian.PutUint16(msg[4:], uint16(typ))
		n, err := vm.Run(msg)
		must(t, err)
		want := 0
		if wanted[uint16(typ)] {
			want = len(msg)
		}
		if min(n, len(msg)) != want && !(n == -1 && want > 0) { // the VM makes an int of 2^32-1
			t.Fatalf("type %d: got %d, want %d", typ, n, want)
		}
	}
	for n := range 6 { // the type is not there
		if got, err := vm.Run(msg[:n]); err != nil || got != 0 {
			t.Errorf("%d bytes: got %d, %v, want 0", n, got, err)
		}
	}
}

func TestInitialNetNSByWhatIsInProc(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		files          []string
		initial, known bool
	}{
		{"initial", []string{"somaxconn", "netdev_max_backlog", "rmem_max"}, true, true},
		{"foreign", []string{"somaxconn", "xfrm_acq_expires"}, false, true},
		{"no proc", nil, false, false},
		{"something else in its place", []string{"netdev_max_backlog"}, false, false},
	} {
		dir := t.TempDir()
		for _, f := range tt.files {
			must(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
		}
		if initial, known := initialNetNS(dir); initial != tt.initial || known != tt.known {
			t.Errorf("%s: got initial %v, known %v, want %v, %v", tt.name, initial, known, tt.initial, tt.known)
		}
	}
}

func TestDropCounterGoesOnBeyond32Bits(t *testing.T) {
	t.Parallel()
	var d dropCounter
	for _, step := range []struct {
		now  uint32
		want uint64
	}{
		{5, 5}, {5, 5}, {1<<32 - 1, 1<<32 - 1}, {0, 1 << 32}, {7, 1<<32 + 7}, {7, 1<<32 + 7}, {6, 2<<32 + 6},
	} {
		if got := d.extend(step.now); got != step.want {
			t.Errorf("counter at %d: got %d, want %d", step.now, got, step.want)
		}
	}
}

func TestErrorsSayWhatToDoAndKeepTheSystemCall(t *testing.T) {
	t.Parallel()
	sys := func(call string, errno unix.Errno) error { return os.NewSyscallError(call, errno) }
	for _, tt := range []struct {
		name string
		err  error
		is   []error
		text string
	}{
		{"no audit", openError(sys("socket", unix.EPROTONOSUPPORT)), []error{ErrUnavailable, unix.EPROTONOSUPPORT}, "audit=0"},
		{"no files left", openError(sys("socket", unix.EMFILE)), []error{unix.EMFILE}, "open: socket: too many open files"},
		{"no capability", joinError(sys("setsockopt", unix.EPERM)), []error{ErrPermission, unix.EPERM, os.ErrPermission}, "CAP_AUDIT_READ"},
		{"odd failure", joinError(sys("setsockopt", unix.EINVAL)), []error{unix.EINVAL}, "join group: setsockopt: invalid argument"},
	} {
		for _, want := range tt.is {
			if !errors.Is(tt.err, want) {
				t.Errorf("%s: %v is not %v", tt.name, tt.err, want)
			}
		}
		if text := tt.err.Error(); !strings.Contains(text, tt.text) || !strings.HasPrefix(text, "audit socket: ") {
			t.Errorf("%s: got %q, want %q in it", tt.name, text, tt.text)
		}
		if call, ok := errors.AsType[*os.SyscallError](tt.err); !ok || call.Syscall == "" {
			t.Errorf("%s: no *os.SyscallError in %#v", tt.name, tt.err)
		}
	}
	if openError(nil) != nil || joinError(nil) != nil || opError("x", nil) != nil {
		t.Error("an error was made of nil")
	}
}

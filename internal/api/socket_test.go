package api

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534 // has no rights of a group or of root

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestSocketHasModeAndGroup(t *testing.T) {
	t.Parallel()
	group := os.Getegid()
	if os.Geteuid() == 0 {
		group = nobody
	}
	for _, want := range []os.FileMode{0o600, 0o660, 0o666} {
		path := socketPath(t)
		s, err := bind(path, want, strconv.Itoa(group))
		if err != nil {
			t.Fatal(err)
		}
		defer s.listener.Close()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode %04o, want %04o", got, want)
		}
		if got := int(info.Sys().(*syscall.Stat_t).Gid); got != group {
			t.Errorf("group %d, want %d", got, group)
		}
	}
}

// Before it has its group and mode, nobody else can connect.
func TestSocketIsMadeClosed(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	l, err := bindClosed(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %04o, want 0600", got)
	}
}

func TestModeSaysWhoMayConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		mode  os.FileMode
		group string
		want  error
	}{
		{0o600, "65534", unix.EACCES},
		{0o660, "1", unix.EACCES},
		{0o660, "65534", nil},
		{0o666, "1", nil},
	} {
		s, err := bind(path, tt.mode, tt.group)
		if err != nil {
			t.Fatal(err)
		}
		if err := connectAs(t, nobody, path); !errors.Is(err, tt.want) {
			t.Errorf("mode %04o, group %s: got %v, want %v", tt.mode, tt.group, err, tt.want)
		}
		s.listener.Close()
		if err := s.remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// connectAs connects with the rights that a user and its group have in the file
// system, which setfsuid(2) and setfsgid(2) give to one thread.
func connectAs(t *testing.T, id int, path string) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, set := range []func(int) (int, error){unix.SetfsgidRetGid, unix.SetfsuidRetUid} {
		if _, err := set(id); err != nil {
			t.Fatal(err)
		}
		defer set(0) //nolint:errcheck // back to root works
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

func TestSocketOfADeadDaemonIsReplaced(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	dead, err := bindClosed(path)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close() // but the file stays
	s, err := bind(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSocketOfALivingDaemonIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := Listen(Options{Path: w.path, Mode: 0o600})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), w.path) {
		t.Errorf("got %v", err)
	}
	if code, _ := w.page("GET", "/healthz"); code != 200 {
		t.Errorf("the living one says %d", code)
	}
}

func TestOnlyASocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := path + "l"
	if err := os.Symlink(path+"dead", link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link, filepath.Dir(path)} {
		if s, err := bind(p, 0o600, ""); err == nil {
			s.listener.Close()
			t.Errorf("%s was replaced", p)
		}
	}
	if text, err := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestSocketErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(socketPath(t))
	for _, tt := range []struct{ path, group, want string }{
		{dir + "/s", "no-such-group", `group "no-such-group": no such group`},
		{dir + "/none/s", "", "/none/s: bind: no such file or directory"},
		{dir + "/" + strings.Repeat("x", 108), "", "longer than 107 bytes"},
	} {
		_, err := Listen(Options{Path: tt.path, Group: tt.group, Mode: 0o600})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), tt.path) != 1 {
			t.Errorf("got %q, want %q", err, tt.want)
		}
	}
}

func TestCloseRemovesOnlyItsOwnSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	first, err := Listen(Options{Path: path, Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(Options{Path: path, Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if mode(t, path) != 0o600 {
		t.Error("the socket of another was changed")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own is still there: %v", err)
	}
}

package file

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

func TestOpenRefusesWhatSomebodyElsePlaced(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		root  bool // needs to give files away
		place func(t *testing.T, dir string)
		path  string
		want  string // part of the error; empty for none
	}{
		{"symbolic link", false, func(t *testing.T, dir string) {
			check(t, os.WriteFile(dir+"/target", []byte("precious\n"), 0o600))
			check(t, os.Symlink("target", dir+"/events"))
		}, "events", "symbolic link"},
		{"dangling symbolic link", false, func(t *testing.T, dir string) {
			check(t, os.Symlink("target", dir+"/events"))
		}, "events", "symbolic link"},
		{"own link on the way", false, func(t *testing.T, dir string) {
			check(t, os.Mkdir(dir+"/real", 0o700))
			check(t, os.Symlink("real", dir+"/a"))
			check(t, os.Symlink(dir+"/a/../a", dir+"/link"))
		}, "link/events", ""},
		{"loop on the way", false, func(t *testing.T, dir string) {
			check(t, os.Symlink("link", dir+"/link"))
		}, "link/events", "too many levels"},
		{"foreign link on the way", true, func(t *testing.T, dir string) {
			check(t, os.Mkdir(dir+"/real", 0o700))
			check(t, os.Symlink("real", dir+"/link"))
			check(t, os.Lchown(dir+"/link", nobody, nobody))
		}, "link/events", "symbolic link of user 65534"},
		{"FIFO", false, func(t *testing.T, dir string) {
			check(t, unix.Mkfifo(dir+"/events", 0o600))
		}, "events", "not a regular file"},
		{"directory", false, func(t *testing.T, dir string) {
			check(t, os.Mkdir(dir+"/events", 0o700))
		}, "events", "is a directory"},
		{"foreign file in a directory open to all", true, func(t *testing.T, dir string) {
			check(t, os.Mkdir(dir+"/open", 0o700))
			check(t, os.Chmod(dir+"/open", 0o777))
			check(t, os.WriteFile(dir+"/open/events", nil, 0o666))
			check(t, os.Chown(dir+"/open/events", nobody, nobody))
		}, "open/events", "belongs to user 65534"},
		{"second name in a directory open to all", false, func(t *testing.T, dir string) {
			check(t, os.Mkdir(dir+"/open", 0o700))
			check(t, os.Chmod(dir+"/open", 0o777))
			check(t, os.WriteFile(dir+"/precious", nil, 0o600))
			check(t, os.Link(dir+"/precious", dir+"/open/events"))
		}, "open/events", "second name"},
		{"second name in our directory", false, func(t *testing.T, dir string) {
			check(t, os.WriteFile(dir+"/snapshot", nil, 0o600))
			check(t, os.Link(dir+"/snapshot", dir+"/events"))
		}, "events", ""},
		{"no directory", false, func(*testing.T, string) {}, "none/events", "no such file"},
		{"file on the way", false, func(t *testing.T, dir string) {
			check(t, os.WriteFile(dir+"/file", nil, 0o600))
		}, "file/events", "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.root && os.Geteuid() != 0 {
				t.Skip("needs CAP_CHOWN to give a file away")
			}
			dir := t.TempDir()
			check(t, os.Chmod(dir, 0o700))
			tt.place(t, dir)
			s := newSink(t, Config{Path: filepath.Join(dir, tt.path)})
			err := deliver(s, "one\n")
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
			if b, err := os.ReadFile(dir + "/target"); err == nil && string(b) != "precious\n" {
				t.Errorf("the target of the link is now %q", b)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Not parallel: the umask belongs to the process.
func TestCreatesWithModeAndGroup(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	group := strconv.Itoa(os.Getegid())
	if os.Geteuid() == 0 {
		group = strconv.Itoa(nobody)
		if _, err := user.LookupGroupId(group); err != nil {
			t.Skip("needs a group", group)
		}
	}
	for _, mode := range []os.FileMode{0, 0o600, 0o664} {
		path := filepath.Join(t.TempDir(), "events")
		mustDeliver(t, newSink(t, Config{Path: path, Mode: mode, Group: group}), "one\n")
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode == 0 {
			mode = 0o640
		}
		gid := strconv.Itoa(int(st.Sys().(*syscall.Stat_t).Gid))
		if st.Mode() != mode || gid != group {
			t.Errorf("got %v of group %s, want %v of %s", st.Mode(), gid, mode, group)
		}
	}
}

// An administrator may have changed the mode of a file that exists.
func TestOpenLeavesTheModeOfAnExistingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events")
	check(t, os.WriteFile(path, nil, 0o600))
	mustDeliver(t, newSink(t, Config{Path: path, Mode: 0o644}), "one\n")
	st, err := os.Stat(path)
	check(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("got %v, want 0600", st.Mode())
	}
}

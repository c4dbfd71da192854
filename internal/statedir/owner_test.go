package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// TestOwners wants everything that somebody else could have written found, and
// nothing else.
func TestOwners(t *testing.T) {
	t.Parallel()
	const (
		other   = 54321
		segment = "0000000000000001.seg"
	)
	root := os.Geteuid() == 0
	inside := func(name string) func(string) string {
		return func(dir string) string { return filepath.Join(dir, name) }
	}
	itself := func(dir string) string { return dir }
	chmod := func(path func(string) string, mode os.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(path(dir), mode) }
	}
	chown := func(path func(string) string) func(string) error {
		return func(dir string) error { return os.Lchown(path(dir), other, other) }
	}
	replace := func(path func(string) string, with func(string) error) func(string) error {
		return func(dir string) error {
			return errors.Join(os.RemoveAll(path(dir)), with(path(dir)))
		}
	}
	link := func(path string) error { return os.Symlink("/dev/null", path) }
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o600) }
	write := func(path string) error { return os.WriteFile(path, nil, 0o600) }
	tests := []struct {
		name   string
		change func(dir string) error
		uid    int // of the daemon; -1: ours
		path   func(string) string
		says   string // "" if it is good
	}{
		{"as the daemon makes it", func(string) error { return nil }, -1, itself, ""},
		{"readable for all", chmod(itself, 0o755), -1, itself, ""},
		{"writable for the group", chmod(itself, 0o770), -1, itself, "has mode 0770"},
		{"writable for all", chmod(itself, 0o702), -1, itself, "has mode 0702"},
		{"sticky and writable for all", chmod(itself, 0o777|os.ModeSticky), -1, itself, "has mode 0777"},
		{"the folder above is writable for all", chmod(filepath.Dir, 0o777), -1, filepath.Dir, "another directory"},
		{"the folder above is writable for all, but sticky", chmod(filepath.Dir, 0o777|os.ModeSticky), -1, itself, ""},
		{"the folder above is writable for its group", chmod(filepath.Dir, 0o770), -1, itself, ""},
		{"not there", os.RemoveAll, -1, itself, ""},
		{"a file", replace(itself, write), -1, itself, "is not a folder"},
		{"a pipe", replace(itself, pipe), -1, itself, "is not a folder"},
		{"a segment writable for the group", chmod(inside(segment), 0o660), -1, inside(segment), "has mode 0660"},
		{"the mark writable for all", chmod(inside("end"), 0o606), -1, inside("end"), "has mode 0606"},
		{"the folder of cursors writable for the group", chmod(inside(Cursors), 0o770), -1, inside(Cursors), "has mode 0770"},
		{"a cursor writable for all", chmod(inside("cursors/x.cursor"), 0o666), -1, inside("cursors/x.cursor"), "has mode 0666"},
		{"a segment that is a link", replace(inside("0000000000000009.seg"), link), -1, inside("0000000000000009.seg"), "is not a regular file"},
		{"a segment set aside that is a pipe", replace(inside("0000000000000009.seg.aside"), pipe), -1, inside("0000000000000009.seg.aside"), "is not a regular file"},
		{"the mark is a pipe", replace(inside("end"), pipe), -1, inside("end"), "is not a regular file"},
		{"a link where the mark is made", replace(inside("end.new"), link), -1, inside("end.new"), "is not a regular file"},
		{"the policies are a link", replace(inside("policies.json"), link), -1, inside("policies.json"), "is not a regular file"},
		{"the ledger is a folder", replace(inside("ledger.json"), func(p string) error { return os.Mkdir(p, 0o700) }), -1, inside("ledger.json"), "is not a regular file"},
		{"a cursor is a pipe", replace(inside("cursors/x.cursor"), pipe), -1, inside("cursors/x.cursor"), "is not a regular file"},
		{"the folder of cursors is a link", replace(inside(Cursors), link), -1, inside(Cursors), "is not a folder"},
		{"the folder of cursors is a file", replace(inside(Cursors), write), -1, inside(Cursors), "is not a folder"},
		{"a link of another name", replace(inside("x"), link), -1, itself, ""},
	}
	if root {
		tests = append(tests, []struct {
			name   string
			change func(dir string) error
			uid    int
			path   func(string) string
			says   string
		}{
			{"another user's, for root", chown(itself), 0, itself, "runuser -u 54321 -- ipe-auditd"},
			{"a file of another user, who must not run the daemon", chown(inside(segment)), 0, inside(segment), "run chown root "},
			{"another user's, for a third one", chown(itself), 54322, itself, "belongs to 54321"},
			{"another user's, for that one", chown(itself), other, itself, ""},
			{"root's, for another user", func(string) error { return nil }, other, itself, ""},
			{"a segment of another user", chown(inside(segment)), 0, inside(segment), "belongs to 54321"},
			{"the mark of another user", chown(inside("end")), 54322, inside("end"), "belongs to 54321"},
			{"a cursor of another user", chown(inside("cursors/x.cursor")), 0, inside("cursors/x.cursor"), "belongs to 54321"},
			{"the policies of another user", replace(inside("policies.json"), func(p string) error {
				return errors.Join(write(p), os.Chown(p, other, other))
			}), 0, inside("policies.json"), "belongs to 54321"},
		}...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			above := filepath.Join(t.TempDir(), "above")
			dir := filepath.Join(above, "spool")
			cursors := filepath.Join(dir, Cursors)
			if err := errors.Join(os.Mkdir(above, 0o700), os.Mkdir(dir, 0o700), os.Mkdir(cursors, 0o700)); err != nil {
				t.Fatal(err)
			}
			s, err := spool.Open(spool.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			c := s.Append([]spool.Record{{Data: []byte("x")}})
			if err := errors.Join(s.Close(), spool.SaveCursor(cursors, "x", c, false), tt.change(dir)); err != nil {
				t.Fatal(err)
			}
			uid := tt.uid
			if uid < 0 {
				uid = os.Geteuid()
			}
			err = CheckOwner(dir, uid)
			if tt.says == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			var owner *OwnerError
			if !errors.As(err, &owner) || owner.Path != tt.path(dir) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want of %s that it %s", err, tt.path(dir), tt.says)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// A link to the directory is as good as the directory only if nobody can have it
// lead elsewhere.
func TestLinksToTheDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a link to another user")
	}
	const other = 54321
	tests := []struct {
		name   string
		change func(base string) error
		says   string // "" if it is good
	}{
		{"all ours", func(string) error { return nil }, ""},
		{"the link of another user", func(base string) error { return os.Lchown(base+"/links/spool", other, other) }, "/way/spool is a link of 54321"},
		{"a link of another user on the way", func(base string) error { return os.Lchown(base+"/way", other, other) }, "/way is a link of 54321"},
		{"the folder of the link is writable for all", func(base string) error { return os.Chmod(base+"/links", 0o777) }, "/links has mode 0777"},
		{"that folder is sticky", func(base string) error { return os.Chmod(base+"/links", 0o777|os.ModeSticky) }, ""},
		{"the folder of the directory is writable for all", func(base string) error { return os.Chmod(base+"/real", 0o777) }, "/real has mode 0777"},
		{"links in a circle", func(base string) error {
			return errors.Join(os.Remove(base+"/links/spool"), os.Symlink("spool", base+"/links/spool"))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			// way/spool leads to links/spool, and that to real/spool.
			if err := errors.Join(os.MkdirAll(base+"/real/spool", 0o700), os.Mkdir(base+"/links", 0o700),
				os.Symlink("../real/spool", base+"/links/spool"), os.Symlink("links", base+"/way"), tt.change(base)); err != nil {
				t.Fatal(err)
			}
			err := CheckOwner(base+"/way/spool", 0)
			if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
)

// nobody is an account that is in group 54321 too.
func nobody() account { return account{uid: 65534, gid: 65534, groups: []int{54321}} }

func TestWhatAnotherUserMayDoIsAskedOfTheKernel(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if err := nobody().May(unix.R_OK, "/"); os.Geteuid() != 65534 && !errors.Is(err, probe.ErrOtherUser) {
			t.Errorf("got %v, want probe.ErrOtherUser", err)
		}
		t.Skip("needs root, to be another user")
	}
	base, err := os.MkdirTemp("", "doctor") // t.TempDir's parents may be closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	chmod(t, base, 0o755)
	for _, tt := range []struct {
		name     string
		uid, gid int
		mode     os.FileMode
		may      bool
	}{
		{"root's", 0, 0, 0o700, false},
		{"root's, open to all", 0, 0, 0o777, true},
		{"its own", 65534, 0, 0o700, true},
		{"its own, but closed", 65534, 0, 0o500, false},
		{"of its group", 0, 65534, 0o770, true},
		{"of another group of it", 0, 54321, 0o770, true},
		{"of a group that it is not in", 0, 54322, 0o770, false},
	} {
		dir := filepath.Join(base, tt.name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, tt.uid, tt.gid), os.Chmod(dir, tt.mode)); err != nil {
			t.Fatal(err)
		}
		err := nobody().May(unix.W_OK|unix.X_OK, dir)
		if (err == nil) != tt.may || err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v, want that it may: %v", tt.name, err, tt.may)
		}
		if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
			t.Errorf("%s: we are root no more: %v", tt.name, err)
		}
	}
}

func TestTheUserOfTheDaemonIsItsProcesss(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"proc/7/status": "Name:\tx\nUid:\t0\t1\t2\t3\nGid:\t4\t5\t6\t7\nGroups:\t8 9 \n",
		"proc/8/status": "Name:\tx\n",
	})
	got, err := serviceAccount(source{root: root}, &api.Status{PID: 7}, "")
	want := account{uid: 3, gid: 7, groups: []int{8, 9}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(account{})); diff != "" || err != nil {
		t.Errorf("(-want +got) %v:\n%s", err, diff)
	}
	for _, pid := range []int{8, 9} {
		if a, err := serviceAccount(source{root: root}, &api.Status{PID: pid}, ""); err == nil {
			t.Errorf("process %d: got %+v, want an error", pid, a)
		}
	}
}

func TestGroupsOfTheUserAreFound(t *testing.T) {
	t.Parallel()
	us, err := user.Current()
	if err != nil {
		t.Skipf("needs a user that is known here: %v", err)
	}
	ids, err := us.GroupIds()
	if err != nil {
		t.Skipf("needs groups: %v", err)
	}
	a, err := lookupAccount(us.Uid)
	if err != nil || fmt.Sprint(a.uid) != us.Uid || fmt.Sprint(a.gid) != us.Gid || len(a.groups) != len(ids) {
		t.Errorf("got %+v, %v, want user %s, group %s and %v", a, err, us.Uid, us.Gid, ids)
	}
	if a, err := lookupAccount("54321"); err != nil || a.uid != 54321 || a.gid != 54321 || a.groups != nil {
		t.Errorf("an unknown user: got %+v, %v", a, err)
	}
}

func TestWithoutADaemonTheUserOwnsTheStateDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := os.Geteuid()
	if want == 0 {
		want = 54321
		if err := os.Chown(dir, want, want); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := serviceAccount(source{root: "/"}, nil, dir); err != nil || a.uid != want {
		t.Errorf("got %+v, %v, want user %d", a, err, want)
	}
}

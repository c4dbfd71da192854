package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Package statedir has the names of the state files in a list of its own, so this
// asks it about every file that a daemon has made.
func TestEveryStateFileIsChecked(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	o.Inherited.Audit = join(t, group)
	d := start(t, o)
	send(t, group, ipe.TypeAccess, denial(1))
	eventually(t, "the record is delivered", func() bool {
		return len(of(events(t, filepath.Join(dir, "a.json")), ipe.KindAccess)) == 1
	})
	d.end()

	state, files := filepath.Join(dir, "state"), 0
	if err := statedir.CheckOwner(state, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
		var refused *statedir.OwnerError
		if err := statedir.CheckOwner(state, os.Geteuid()); !errors.As(err, &refused) || refused.Path != path {
			t.Errorf("%s with mode 0666: %v", path, err)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 3 {
		t.Errorf("%d files, want a segment, the mark and a cursor at least", files)
	}
}

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// checkStateDirectory looks at the folder of spool and cursors.
func checkStateDirectory(f *facts) []Finding {
	dir := f.stateDirectory()
	if dir == "" && f.Daemon != nil {
		return warning("set spool.dir, or StateDirectory= in the unit, and restart the daemon",
			"the daemon has no state directory: what is not delivered when it stops is gone")
	}
	if dir == "" {
		return nil // check-config warns of it, or the configuration is broken
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.Daemon == nil:
		return warning("start the service once: systemctl start ipe-auditd", "%s is not there yet: the service makes it", dir)
	case errors.Is(err, fs.ErrNotExist):
		return failure("restart the daemon", "%s was removed while the daemon runs", dir)
	case errors.Is(err, fs.ErrPermission):
		return cannotTell("how "+dir+" stands", "the right to look into the folders above", err)
	case err != nil:
		return failure("see what is wrong with the disk", "%v", err)
	case !info.IsDir():
		return failure("move it away, or set spool.dir", "%s is not a folder", dir)
	}
	uid := statedir.DaemonUID(dir)
	if f.Daemon != nil && f.account.err == nil {
		uid = f.account.value.uid
	}
	if f.Daemon != nil || f.euid == 0 || uid != f.euid { // else the daemon may be of anybody
		var other *statedir.OwnerError
		if err := statedir.CheckOwner(dir, uid); errors.As(err, &other) {
			return failure(other.Advice, "%s %s; the daemon does not start on it", other.Path, other.Problem)
		}
	}
	if f.account.err != nil {
		return cannotTell("whether the service may write to "+dir, "the right to look at its process", f.account.err)
	}
	user := f.account.value
	switch err := user.May(unix.W_OK|unix.X_OK, dir); {
	case errors.Is(err, probe.ErrOtherUser):
		return cannotTell("whether the service may write to "+dir, "root", nil)
	case err != nil:
		return failure(fmt.Sprintf("give it to the user of the service: chown %v %s", user, dir), "%v may not write to the state directory: %v", user, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return warning("chmod 0700 "+dir+", and StateDirectoryMode=0700 in the unit", "%s has mode %04o: others may see what ran on this host", dir, mode)
	}
	if volatile(dir) {
		return warning("put it on a disk: spool.dir", "%s is in memory (tmpfs), so that a reboot loses what was not delivered", dir)
	}
	return ok("%s belongs to the service (%v), and to nobody else", dir, user)
}

// volatile reports whether a folder is gone after a reboot.
func volatile(dir string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	magic := uint32(st.Type) // of 32 bits everywhere, in a word of the architecture
	return err == nil && (magic == unix.TMPFS_MAGIC || magic == unix.RAMFS_MAGIC)
}

// segments is into how many files a full spool is divided.
const segments = 8

// checkFreeSpace looks whether the spool can grow to the size it may have.
func checkFreeSpace(f *facts) []Finding {
	dir := f.stateDirectory()
	if dir == "" {
		return nil
	}
	size := int64(config.Defaults().Spool.Size)
	if f.Config != nil {
		size = int64(f.Config.Spool.Size)
	}
	var used int64
	if f.Daemon != nil {
		used = f.Daemon.Spool.Disk
		if f.Daemon.Spool.Form == api.FormDisk {
			size = f.Daemon.Spool.Limit
		}
	} else if files, err := lookAtSpool(dir); err == nil {
		used = files.bytes
	}
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for errors.Is(err, unix.ENOENT) && dir != "/" { // it is made later
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		return cannotTell("how much room "+dir+" has", "the right to look into it", err)
	}
	return judgeSpace(dir, &st, size, max(size-used, 0))
}

// judgeSpace says whether a spool that may become size bytes large, and so grow
// by want, has the room.
func judgeSpace(dir string, st *unix.Statfs_t, size, want int64) []Finding {
	free := int64(st.Bavail) * int64(st.Bsize)
	const advice = "make room, or give spool.size a smaller value; while the disk is full, events are kept in memory (spool.memory)"
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		return failure("mount it for writing, or set spool.dir", "the file system of %s is read-only", dir)
	case st.Files > 0 && st.Ffree == 0: // some have no number of files
		return failure(advice, "the disk of %s takes no more files", dir)
	case free < min(want, size/segments):
		return failure(advice, "the disk of %s is full: %s free", dir, units.Size(free).Short())
	case free < want:
		return warning(advice, "the disk of %s has %s free, but the spool may grow by %s", dir, units.Size(free).Short(), units.Size(want).Short())
	}
	return ok("the disk of %s has %s free, and the spool may grow by %s", dir, units.Size(free).Short(), units.Size(want).Short())
}

// spoolFiles is what a spool looks like from outside.
type spoolFiles struct {
	aside int // files of what could not be read
	bytes int64
}

// lookAtSpool counts the files of a spool (internal/spool has their names).
func lookAtSpool(dir string) (spoolFiles, error) {
	var s spoolFiles
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // it went meanwhile
		}
		switch filepath.Ext(e.Name()) {
		case ".seg":
			s.bytes += info.Size()
		case ".aside":
			s.aside, s.bytes = s.aside+1, s.bytes+info.Size()
		}
	}
	return s, err
}

// checkSpool looks whether events are kept, and where.
func checkSpool(f *facts) []Finding {
	dir := f.stateDirectory()
	if f.Daemon == nil {
		if dir == "" {
			return nil
		}
		return checkSpoolFiles(dir)
	}
	switch s := &f.Daemon.Spool; {
	case s.Form == api.FormMemory && s.Dir != "":
		return failure("see what is wrong with the disk; until then "+units.Size(s.Limit).Short()+" of events are kept, and lost with the process",
			"the spool is in memory, because its disk failed: %s", s.LastError)
	case s.Form == api.FormMemory:
		return ok("the spool is in memory, as configured: %s of %s, events: %d", units.Size(s.Memory).Short(), units.Size(s.Limit).Short(), s.Entries)
	case s.Failures > 0:
		return warning("look after the disk", "the spool is on disk, but that has failed %d times, the last time: %s", s.Failures, s.LastError)
	default:
		return ok("the spool is on disk: %s of %s, events: %d", units.Size(s.Disk).Short(), units.Size(s.Limit).Short(), s.Entries)
	}
}

// checkSpoolFiles looks at a spool that no daemon has.
func checkSpoolFiles(dir string) []Finding {
	s, err := lookAtSpool(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the state directory is not there, which is said already
	case err != nil:
		return cannotTell("what the spool holds", "the right to read "+dir, err)
	case s.aside > 0:
		return warning("keep them for the author of a bug report, or remove them: "+strings.TrimSuffix(dir, "/")+"/*.aside",
			"%d parts of the spool could not be read and were put aside", s.aside)
	}
	return ok("the spool has %s on disk", units.Size(s.bytes).Short())
}

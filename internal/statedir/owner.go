package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// OwnerError says who else could have written to a state directory: what is in
// it, or in one of its files, may then be anybody's and no record of the
// kernel's.
type OwnerError struct {
	Path    string
	Problem string // whose it is, or what is wrong with it
	Advice  string // what to do
}

// Error returns one line.
func (e *OwnerError) Error() string { return fmt.Sprintf("%s %s: %s", e.Path, e.Problem, e.Advice) }

// serviceUser is the user as whom the service runs.
const serviceUser = "ipe-auditd"

// Cursors is the folder in the directory where the cursors of the sinks are.
const Cursors = "cursors"

// CheckOwner returns an [OwnerError] if somebody else than the user uid, or than
// root, may have written to dir or to a file of the state in it. Everything
// belongs to that user or to root and has no write bit for group and others;
// files are regular ones, not links. Of the folders above, also above links that
// lead to dir, none may be writable for everybody, unless it is sticky, as /tmp is:
// whoever owns one of them, or is in its group, is trusted. Such links belong to
// that user or to root, too. It returns nil as well for what is not there, or
// cannot be looked at: opening the spool says that.
func CheckOwner(dir string, uid int) error {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &OwnerError{dir, "is not a folder", "move it away, or set spool.dir"}
		}
		if err := checkDirectory(dir, info, uid); err != nil {
			return err
		}
	}
	if err := checkAbove(dir, uid); err != nil {
		return err
	}
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		switch {
		case n.Name() == Cursors:
			err = checkFolder(path, uid)
		case isState(n.Name()):
			err = checkFile(path, uid)
		}
		if errors.As(err, new(*OwnerError)) {
			return err
		}
	}
	return nil
}

// isState reports whether the daemon keeps something in a file of that name, or
// in one that gets such a name: the spool its segments and its mark, which are
// made as .new and set aside as .aside, and beside it what is known of policies,
// losses and audit, and what was fetched from the kernel log.
func isState(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".new"), ".aside")
	switch name {
	case "end", "policies.json", "ledger.json", "audit.json", "backfill.json":
		return true
	}
	return strings.HasSuffix(name, ".seg")
}

// checkFolder checks the folder of the cursors.
func checkFolder(path string, uid int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &OwnerError{path, "is not a folder", "move it away; the daemon makes a new one"}
	}
	if err := checkEntry(path, info, uid); err != nil {
		return err
	}
	names, _ := os.ReadDir(path)
	for _, n := range names {
		if err := checkFile(filepath.Join(path, n.Name()), uid); errors.As(err, new(*OwnerError)) {
			return err
		}
	}
	return nil
}

func checkFile(path string, uid int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &OwnerError{path, "is not a regular file", "move it away; the daemon did not make it"}
	}
	return checkEntry(path, info, uid)
}

// checkDirectory checks the directory itself. To root, that of another user is
// most likely the service's.
func checkDirectory(path string, info fs.FileInfo, uid int) error {
	err := checkEntry(path, info, uid)
	st, ok := info.Sys().(*syscall.Stat_t)
	if other := (*OwnerError)(nil); errors.As(err, &other) && ok && st.Uid != 0 && uid == 0 {
		other.Advice = fmt.Sprintf("run the daemon as that user (runuser -u %s -- ipe-auditd ...), or set spool.dir to a directory that belongs to root", userName(int(st.Uid)))
	}
	return err
}

// checkEntry checks owner and mode.
func checkEntry(path string, info fs.FileInfo, uid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if owner := int(st.Uid); owner != uid && owner != 0 {
		return &OwnerError{path, "belongs to " + userName(owner) + ", who may have forged its events",
			fmt.Sprintf("move it away, or check its events and then run chown %s %s", userName(uid), path)}
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return &OwnerError{path, fmt.Sprintf("has mode %04o, so others may have forged its events", mode),
			"check them, then run chmod go-w " + path}
	}
	return nil
}

// maxLinks is how many links the kernel follows in a path (MAXSYMLINKS of
// include/linux/namei.h).
const maxLinks = 40

// checkAbove checks the folders that dir is in, and the links that lead to it.
func checkAbove(dir string, uid int) error {
	path, link := dir, ""
	for range maxLinks {
		link = ""
		for above := path; ; above = filepath.Dir(above) {
			info, err := os.Lstat(above)
			if err == nil && info.Mode()&fs.ModeSymlink != 0 {
				if err := checkLink(above, info, uid); err != nil {
					return err
				}
				link = above // the highest one is followed first
			}
			if err == nil && above != path && info.IsDir() && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
				return &OwnerError{above, fmt.Sprintf("has mode %04o, so that anybody could put another directory in the place of %s", info.Mode().Perm(), dir),
					"chmod o-w, or set spool.dir"}
			}
			if above == filepath.Dir(above) {
				break
			}
		}
		if link == "" {
			return nil
		}
		target, err := os.Readlink(link)
		if err != nil {
			return nil // it went meanwhile; opening the spool says that
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, strings.TrimPrefix(path, link))
	}
	return nil
}

// checkLink checks the owner of a link.
func checkLink(path string, info fs.FileInfo, uid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == uid || st.Uid == 0 {
		return nil
	}
	return &OwnerError{path, "is a link of " + userName(int(st.Uid)) + ", who could have it lead to another directory",
		"set spool.dir to the directory itself"}
}

// DaemonUID returns as whom a daemon on dir has to run, for a command that is
// not that daemon: the user of the service, where dir belongs to that, else
// ours.
func DaemonUID(dir string) int {
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && userName(int(st.Uid)) == serviceUser {
			return int(st.Uid)
		}
	}
	return os.Geteuid()
}

// userName returns the name of a user, or the number if there is none.
func userName(uid int) string {
	n := strconv.Itoa(uid)
	if u, err := user.LookupId(n); err == nil && u.Username != "" {
		return u.Username
	}
	return n
}

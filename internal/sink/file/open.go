package file

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead through, as in the
// kernel (MAXSYMLINKS in include/linux/namei.h).
const maxLinks = 40

// dir is an open directory. It is O_PATH: good for names, not for listing.
type dir struct {
	fd   int
	path string

	// exposed: somebody who is neither root nor we may put files here.
	exposed bool
}

// openDir opens the directory at path, which is absolute. A symbolic link on
// the way is followed only if root or we own it: the administrator's
// /var/log -> /srv/log is fine, the link that somebody left in a directory
// open to all is not.
func openDir(path string) (*dir, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fail := func(err error) (*dir, error) {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	fd, err := unix.Open("/", flags, 0)
	if err != nil {
		return fail(err)
	}
	var st unix.Stat_t
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		next, err := unix.Openat(fd, name, flags, 0)
		if err == nil {
			if err = unix.Fstat(next, &st); err != nil {
				unix.Close(next)
			}
		}
		if err != nil {
			unix.Close(fd)
			return fail(err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			unix.Close(fd)
			fd = next
			continue
		}
		target, err := readlink(next)
		unix.Close(next)
		if links++; err == nil && links > maxLinks {
			err = unix.ELOOP
		}
		if err == nil && !trusted(st.Uid) {
			err = fmt.Errorf("%s is a symbolic link of user %d, which is not followed", name, st.Uid)
		}
		if err == nil && strings.HasPrefix(target, "/") {
			var root int
			if root, err = unix.Open("/", flags, 0); err == nil {
				unix.Close(fd)
				fd = root
			}
		}
		if err != nil {
			unix.Close(fd)
			return fail(err)
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		unix.Close(fd)
		return fail(err)
	}
	return &dir{fd: fd, path: path, exposed: st.Mode&0o022 != 0 || !trusted(st.Uid)}, nil
}

func (d *dir) close() { unix.Close(d.fd) }

// readlink returns where the symbolic link that fd is open on points to.
func readlink(fd int) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	return string(b[:max(n, 0)]), err
}

// trusted reports whether we do as user uid wants anyway.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// open opens the file called name in d for appending, and creates it if need
// be. created tells which.
func (d *dir) open(name string, mode os.FileMode, gid int) (f *os.File, created bool, err error) {
	for range 10 { // somebody may create and remove it again and again
		f, err = d.openat(name, unix.O_RDWR|unix.O_APPEND)
		switch {
		case err == nil:
			if err = d.check(f); err != nil {
				f.Close()
				return nil, false, err
			}
			return f, false, nil
		case errors.Is(err, unix.ELOOP):
			return nil, false, d.error("open", name, errors.New("is a symbolic link, which is not followed"))
		case !errors.Is(err, unix.ENOENT):
			return nil, false, err
		}
		f, err = d.create(name, mode, gid)
		if !errors.Is(err, unix.EEXIST) {
			return f, err == nil, err
		}
	}
	return nil, false, err
}

// create creates the file called name. Nobody else can read it before it has
// its group.
func (d *dir) create(name string, mode os.FileMode, gid int) (*os.File, error) {
	f, err := d.openat(name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = f.Chown(-1, gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err != nil {
		f.Close()
		unix.Unlinkat(d.fd, name, 0) // else it would be found later, with the wrong group
		return nil, d.error("create", name, err)
	}
	return f, nil
}

// openat opens name in d and never blocks, follows or creates more than asked.
func (d *dir) openat(name string, flags int) (*os.File, error) {
	const always = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	fd, err := unix.Openat(d.fd, name, flags|always, 0o600)
	if err != nil {
		return nil, d.error("open", name, err)
	}
	// O_NONBLOCK was for FIFOs and devices, which check refuses; a regular file
	// would only be offered to the poller in vain.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, d.error("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.path+"/"+name), nil
}

// check refuses a file that is not ours to append to.
func (d *dir) check(f *os.File) error {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = errors.New("is not a regular file")
	case d.exposed && !trusted(st.Uid):
		err = fmt.Errorf("belongs to user %d, in a directory that others may write to", st.Uid)
	case d.exposed && st.Nlink > 1:
		err = errors.New("has a second name, in a directory that others may write to")
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return nil
}

func (d *dir) error(op, name string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &os.PathError{Op: op, Path: d.path + "/" + name, Err: err}
}

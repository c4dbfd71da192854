package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Listen when somebody answers at the socket.
var ErrInUse = errors.New("another process answers there; is ipe-auditd running already?")

// maxPath is how long the path of a socket may be in bytes (sun_path in
// unix(7), less the NUL).
const maxPath = 107

// socket is the socket in the file system.
type socket struct {
	listener *net.UnixListener
	path     string
	info     fs.FileInfo // of what we made at path
}

// bind makes a socket at path, which nobody can connect to before it has its
// group and mode.
func bind(path string, mode fs.FileMode, group string) (*socket, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path is longer than %d bytes, which the kernel does not take (unix(7))", maxPath)
	}
	gid := -1
	if group != "" {
		var err error
		if gid, err = lookupGroup(group); err != nil {
			return nil, err
		}
	}
	if err := makeWay(path); err != nil {
		return nil, err
	}
	l, err := bindClosed(path)
	if err != nil {
		return nil, errors.Unwrap(err) // net.OpError names the path again
	}
	s := &socket{listener: l, path: path}
	if s.info, err = os.Lstat(path); err == nil && gid >= 0 {
		err = os.Lchown(path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		l.Close()
		_ = s.remove()
		return nil, errors.Unwrap(err)
	}
	return s, nil
}

// bindClosed makes a socket of mode 0600, for nobody but ourselves; with less, an
// ordinary user could not find out whether a socket that was left is dead. The
// file of a socket gets the mode of the socket's own inode, less the umask
// (unix_bind_bsd, net/unix/af_unix.c), so what fchmod does before bind is there
// from the start; umask(2) would be one for all threads.
func bindClosed(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); cerr != nil {
			return cerr
		}
		return os.NewSyscallError("fchmod", err)
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false) // it might be another daemon's by then
	return ul, nil
}

// makeWay removes the socket of a process that is gone. Nothing else is removed.
func makeWay(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.Unwrap(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file that is no socket; remove it, or set api.path to another one")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return ErrInUse
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("find out whether somebody answers: %w", errors.Unwrap(err))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the socket of a process that is gone: %w", errors.Unwrap(err))
	}
	return nil
}

// remove removes the file, if it is still the one that bind made.
func (s *socket) remove() error {
	info, err := os.Lstat(s.path)
	if err != nil || !os.SameFile(info, s.info) {
		return nil // gone with its directory, or another daemon's
	}
	return os.Remove(s.path)
}

// lookupGroup returns the number of a group that is given by name or number.
func lookupGroup(group string) (int, error) {
	g, err := user.LookupGroup(group)
	if err == nil {
		group = g.Gid
	}
	n, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("group %q: no such group", group)
	}
	return int(n), nil
}

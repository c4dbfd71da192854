package journald

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// journaldSeals are the seals journald asks for before it maps a file that
// others gave it. Until it learned of F_SEAL_EXEC, which is younger, it asked for
// exactly these (memfd_get_sealed, src/basic/memfd-util.c of systemd).
const journaldSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL

// sendFile sends data as the contents of a sealed memfd.
func (c *conn) sendFile(ctx context.Context, data []byte) error {
	f, err := newSealed(data)
	if err != nil {
		return err
	}
	defer f.Close() // the message in the queue holds its own reference
	return c.send(ctx, nil, unix.UnixRights(int(f.Fd())))
}

// newSealed returns a memfd with the contents data that nobody can change.
func newSealed(data []byte) (*os.File, error) {
	fd, err := memfdCreate()
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "journal-entry")
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, journaldSeals); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	return f, nil
}

// memfdCreate creates a memfd that can be sealed. The order of its attempts
// looks upside down: MFD_NOEXEC_SEAL is the better flag, but adds F_SEAL_EXEC,
// which an older journald takes for "not sealed", and then drops the entry
// without a word to us. So that flag comes last, for vm.memfd_noexec=2, which
// allows nothing else. Zero is for kernels before 6.3, which know neither flag
// (mm/memfd.c).
func memfdCreate() (fd int, err error) {
	for _, flag := range [...]int{unix.MFD_EXEC, 0, unix.MFD_NOEXEC_SEAL} {
		fd, err = unix.MemfdCreate("ipe-auditd-journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|flag)
		if err == nil {
			return fd, nil
		}
	}
	return -1, err
}

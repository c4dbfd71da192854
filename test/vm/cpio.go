package vm

import (
	"fmt"
	"io"
)

// archive writes a cpio archive in the "newc" form, which is what the kernel
// unpacks as an initramfs (Documentation/driver-api/early-userspace/
// buffer-format.rst).
type archive struct {
	w   io.Writer
	ino int
	err error
}

// File types, as in st_mode.
const (
	modeDir     = 0o040000
	modeFile    = 0o100000
	modeSymlink = 0o120000
	modeChar    = 0o020000
)

// entry is one file of an archive.
type entry struct {
	name         string
	mode         uint32
	major, minor uint32 // of a device
	data         []byte // of a file or symbolic link
}

func (a *archive) dir(name string) { a.add(entry{name: name, mode: modeDir | 0o755}) }

func (a *archive) file(name string, mode uint32, data []byte) {
	a.add(entry{name: name, mode: modeFile | mode, data: data})
}

func (a *archive) symlink(name, target string) {
	a.add(entry{name: name, mode: modeSymlink | 0o777, data: []byte(target)})
}

func (a *archive) device(name string, major, minor uint32) {
	a.add(entry{name: name, mode: modeChar | 0o600, major: major, minor: minor})
}

func (a *archive) add(e entry) {
	a.ino++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, e.mode, 0, 0, 1, 0, len(e.data), 0, 0, e.major, e.minor, len(e.name)+1, 0)
	a.write([]byte(header + e.name + "\x00"))
	a.pad(len(header) + len(e.name) + 1)
	a.write(e.data)
	a.pad(len(e.data))
}

// pad fills up to a multiple of four bytes.
func (a *archive) pad(n int) { a.write(make([]byte, -n&3)) }

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}

// close writes the end of the archive.
func (a *archive) close() error {
	a.add(entry{name: "TRAILER!!!"})
	return a.err
}

package host

import (
	"bytes"
	"sync"

	"golang.org/x/sys/unix"
)

// Hostname is the name of this host, which may change while a process runs. The
// zero value is ready to use, by any goroutine.
type Hostname struct {
	mu   sync.Mutex
	name []byte // never changed
}

// Bytes asks the kernel for the name (uname(2)), which takes less than a
// microsecond and allocates only where the name has changed. It is nil when it is
// not known. The caller may keep it, and must not change it.
func (h *Hostname) Bytes() []byte {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil
	}
	name := u.Nodename[:]
	if n := bytes.IndexByte(name, 0); n >= 0 {
		name = name[:n]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !bytes.Equal(h.name, name) {
		h.name = bytes.Clone(name)
	}
	if len(h.name) == 0 {
		return nil
	}
	return h.name
}

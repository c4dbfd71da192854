package host

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// BootID identifies one boot of a kernel. The zero BootID is unknown.
type BootID [16]byte

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// CurrentBootID returns the id of the running boot (random(4)).
func CurrentBootID() (BootID, error) {
	text, err := os.ReadFile(bootIDFile)
	if err != nil {
		return BootID{}, fmt.Errorf("read the boot id: %w", err)
	}
	id, err := ParseBootID(strings.TrimSpace(string(text)))
	if err != nil {
		return BootID{}, fmt.Errorf("%s: %w", bootIDFile, err)
	}
	return id, nil
}

// ParseBootID reads the form that String writes.
func ParseBootID(s string) (BootID, error) {
	var id BootID
	digits := strings.ReplaceAll(s, "-", "")
	if n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))])); err != nil || n != len(id) || len(digits) != 2*len(id) {
		return BootID{}, fmt.Errorf("not a boot id: %q", s)
	}
	return id, nil
}

// String returns the id as the kernel writes it, or the empty string when it
// is unknown.
func (id BootID) String() string {
	if id == (BootID{}) {
		return ""
	}
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// KernelRelease returns the release of the running kernel, as uname -r prints
// it; empty if uname(2) fails.
func KernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Name returns the host name, or the empty string when it is unknown.
func Name() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

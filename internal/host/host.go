package host

import (
	"os"

	"golang.org/x/sys/unix"
)

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

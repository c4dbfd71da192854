package schema

import (
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// maxSocketPath is the size of the path of a unix socket in bytes, its NUL
// included: unix(7), sun_path.
const maxSocketPath = 108

// Absolute checks that a text is an absolute path.
func Absolute(s string) error {
	switch {
	case s == "":
		return errors.New("an empty text is not a path; give an absolute one")
	case !path.IsAbs(s):
		return fmt.Errorf("%s is not an absolute path; begin it with /", text.Quote(s))
	}
	return PrintableText(s)
}

// AbsoluteFile checks that a text is the absolute path of something that is not
// a directory.
func AbsoluteFile(s string) error {
	if strings.HasSuffix(s, "/") {
		return fmt.Errorf("%s is a directory; name a file in it", text.Quote(s))
	}
	return Absolute(s)
}

// OrEmpty allows an empty text too, which turns something off.
func OrEmpty(c Check) Check {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return c(s)
	}
}

// SocketPath checks that a path fits the address of a unix socket.
func SocketPath(s string) error {
	if len(s) >= maxSocketPath {
		return fmt.Errorf("%s is too long for a socket; the kernel allows %d bytes", text.Quote(s), maxSocketPath-1)
	}
	return nil
}

// PrintableText checks that a text has no control characters.
func PrintableText(s string) error {
	if strings.ContainsFunc(s, NotText) {
		return fmt.Errorf("%s has control characters in it", text.Quote(s))
	}
	return nil
}

// NoNUL checks that a text has no NUL, which would end an argument.
func NoNUL(s string) error {
	if strings.ContainsRune(s, 0) {
		return fmt.Errorf("%s has a NUL in it", text.Quote(s))
	}
	return nil
}

// HostPort takes HOST or HOST:PORT for a host with a port, which is the default
// where none is given. The result is fit for net.Dial.
func HostPort(s, defaultPort string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if e := (*net.AddrError)(nil); errors.As(err, &e) && e.Err == "missing port in address" {
		port = defaultPort
		host, err = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), nil
	}
	switch n, portErr := strconv.ParseUint(port, 10, 16); {
	case err != nil:
		return "", fmt.Errorf("%s is not host:port; put an IPv6 address in brackets, as in [2001:db8::1]:514", text.Quote(s))
	case host == "" || strings.ContainsAny(host, "/@?#[] ") || strings.ContainsFunc(host, NotText):
		return "", fmt.Errorf("%s has no plain host name or address; write host:port and nothing else", text.Quote(s))
	case portErr != nil || n == 0:
		return "", fmt.Errorf("%s is not a port; use 1 to 65535", text.Quote(port))
	}
	return net.JoinHostPort(host, port), nil
}

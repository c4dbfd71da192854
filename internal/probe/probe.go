// Package probe words what was found out by trying something, without changing
// it: whether a sink can deliver, or whether the host lets the daemon hear.
package probe

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// Status is how grave a finding is.
type Status string

// The statuses, from the best to the worst.
const (
	OK      Status = "ok"
	Warning Status = "warning" // events may be lost or misread, or it is not known whether they are
	Failure Status = "failure" // events are lost, not heard, or not delivered
)

// Finding is what was found out about one thing.
type Finding struct {
	Status  Status
	Text    string // in one line, fit for a terminal
	Advice  string // what to do, unless all is well
	Unknown bool   // it could not be found out; Text says what that needs
}

// Good says that all is well.
func Good(format string, args ...any) Finding {
	return Finding{Status: OK, Text: fmt.Sprintf(format, args...)}
}

// Dubious says what is dubious, and what to do about it.
func Dubious(advice, format string, args ...any) Finding {
	return Finding{Status: Warning, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// Bad says what is wrong, and what to do about it.
func Bad(advice, format string, args ...any) Finding {
	return Finding{Status: Failure, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// CannotTell says that something could not be found out, and what that needs.
func CannotTell(what, needs string, err error) Finding {
	text := "cannot tell " + what + ": needs " + needs
	if err != nil {
		text += fmt.Sprintf(" (%v)", err)
	}
	return Finding{Status: Warning, Text: text, Advice: "run doctor as root, in the initial namespaces", Unknown: true}
}

// Account is the user as whom the daemon runs.
type Account interface {
	// May returns why the user may not do what mode says (unix.R_OK and others)
	// with a file or folder. The error is ErrOtherUser where only root can find
	// that out.
	May(mode uint32, path string) error

	// String returns the user for a Finding.
	String() string
}

// ErrOtherUser says that only root can find out what another user may do.
var ErrOtherUser = errors.New("needs root")

// Group returns an error unless there is a group of that name or number. An empty
// name asks for none.
func Group(name string) error {
	if name == "" {
		return nil
	}
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return nil // it need not have a name
	}
	if _, err := user.LookupGroup(name); err != nil {
		return fmt.Errorf("no group %s", name)
	}
	return nil
}

package main

import (
	"errors"

	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// The exit codes. Those from 64 on are of sysexits(3head), so that systemd
// gives them a name.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitDoctor      = 2   // doctor found a failure
	exitNotReady    = 1   // readiness: something would be denied
	exitCannotSay   = 2   // readiness: nobody knows
	exitInterrupted = 130 // by SIGINT, 128+2 as shells have it
	exitUnavailable = 69  // EX_UNAVAILABLE: the audit group cannot be heard here
	exitPermission  = 77  // EX_NOPERM
	exitConfig      = 78  // EX_CONFIG
)

// usageError is a mistake in the command line. What is printed of it ends with
// where the command is described.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// exitCode returns the exit code that tells err to a script or to systemd.
func exitCode(err error) int {
	var usage usageError
	var sick findings
	var conf *schema.Error
	var answer answered
	var owner *statedir.OwnerError
	var key *seal.KeyError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &answer):
		return answer.code
	case errors.As(err, &sick):
		return sick.code()
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &conf), errors.As(err, &owner), errors.As(err, &key):
		return exitConfig
	case errors.Is(err, netlinkaudit.ErrPermission):
		return exitPermission
	case errors.Is(err, netlinkaudit.ErrUnavailable), errors.Is(err, netlinkaudit.ErrForeignNamespace),
		errors.Is(err, netlinkaudit.ErrNotAudit), errors.Is(err, netlinkaudit.ErrNotJoined):
		return exitUnavailable
	}
	return exitFailure
}

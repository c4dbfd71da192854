package main

import (
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts the program into the PATH of the tests as ipe-auditd.
func TestMain(m *testing.M) {
	syscall.Umask(0o022) // a state directory that others may write to is refused
	testscript.Main(m, map[string]func(){"ipe-auditd": main})
}

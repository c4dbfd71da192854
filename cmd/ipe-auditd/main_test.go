package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts the program into the PATH of the tests as ipe-auditd.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ipe-auditd": main})
}

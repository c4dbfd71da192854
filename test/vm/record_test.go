package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// recorded runs the scenarios and keeps every datagram of the audit group, if
// that is wanted. It reports whether all went well.
func (s *session) recorded(t *testing.T, name string, lists ...[]scenario) bool {
	t.Helper()
	if *recordDir == "" {
		return s.all(t, lists...)
	}
	recorder := s.start(t, &wire.Call{Argv: words("/bin/act", "record")})
	if !s.all(t, lists...) {
		return false
	}
	if err := recorder.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if exit, err := recorder.Wait(ctx); exit != 0 || err != nil {
		t.Fatalf("the recorder ended with %d, %v: %s", exit, err, recorder.Stderr())
	}
	generation := strings.Join(strings.SplitN(s.guest.Kernel.Release, ".", 3)[:2], ".")
	file := filepath.Join(*recordDir, generation, name+"-vm")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	capture := recorder.Stdout()
	if err := os.WriteFile(file+".nlcap", capture, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".txt", lines(t, capture), 0o644); err != nil {
		t.Fatal(err)
	}
	return true
}

// lines returns the records of a capture, one a line.
func lines(t *testing.T, capture []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	r := input.NewReader(bytes.NewReader(capture))
	for rec := (input.Record{}); r.Next(&rec) == nil; {
		fmt.Fprintf(&text, "type=%d %s\n", rec.Type, rec.Text)
	}
	return text.Bytes()
}

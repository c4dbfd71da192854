package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// recorded runs the scenarios and keeps every datagram of the audit group, if
// goldens are to be made. It reports whether all went well.
func (s *session) recorded(t *testing.T, name string, lists ...[]scenario) bool {
	t.Helper()
	if !*update {
		return s.all(t, lists...)
	}
	ok := false
	capture := s.capture(t, func() { ok = s.all(t, lists...) })
	if ok {
		s.run.keep(name, capture)
	}
	return ok
}

// capture returns every datagram that came to the audit group while do ran.
func (s *session) capture(t *testing.T, do func()) []byte {
	t.Helper()
	s.files++
	file := fmt.Sprintf("/run/capture-%d", s.files) // captures may be nested
	recorder := s.start(t, &wire.Call{Argv: words("/bin/act", "record", file)})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, ok := recorder.Line(ctx, 0); !ok {
		t.Fatalf("the recorder does not begin: %s", recorder.Stderr())
	}
	do()
	if err := recorder.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	if exit, err := recorder.Wait(ctx); exit != 0 || err != nil {
		t.Fatalf("the recorder ended with %d, %v: %s", exit, err, recorder.Stderr())
	}
	p, _ := s.finish(t, &wire.Call{Argv: words("/bin/busybox", "cat", file)})
	return p.Stdout()
}

// wireRecord is a record as it was on the wire.
type wireRecord struct {
	typ    uint16
	serial string
	body   string
}

// records returns the records of a capture.
func records(t *testing.T, capture []byte) []wireRecord {
	t.Helper()
	var all []wireRecord
	r := input.NewReader(bytes.NewReader(capture))
	for rec := (input.Record{}); r.Next(&rec) == nil; {
		stamp, body, ok := strings.Cut(string(rec.Text), "): ")
		if !ok {
			t.Fatalf("no stamp: %q", rec.Text)
		}
		all = append(all, wireRecord{rec.Type, stamp[strings.LastIndexByte(stamp, ':')+1:], body})
	}
	return all
}

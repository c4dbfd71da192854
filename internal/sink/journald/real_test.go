package journald

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald/journaltest"
)

const test = "SYSLOG_IDENTIFIER=journald-test"

func testEntry(pairs ...string) []string {
	return append([]string{"SYSLOG_IDENTIFIER", "journald-test"}, pairs...)
}

func write(t *testing.T, s *Sink, pairs ...string) {
	t.Helper()
	if err := s.Write(context.Background(), entry(testEntry(pairs...)...)); err != nil {
		t.Fatal(err)
	}
}

func TestJournaldKeepsEveryByte(t *testing.T) {
	j := journaltest.Start(t)
	s := open(t, j.Socket())
	tests := []struct{ name, value string }{
		{"plain", "/usr/bin/true"},
		{"newline", "/tmp/a\nIPE_VERDICT=allowed"},
		{"control bytes", "/tmp/\x1b[2J\x00\x01"},
		{"not UTF-8", "/tmp/\xff\xfe"},
		{"empty", ""},
		{"datagram", strings.Repeat("d", 100_000)},
		{"memfd", strings.Repeat("m", 1_000_000)},
		{"memfd with any byte", strings.Repeat("\x00\n\xff", 300_000)},
	}
	for _, tt := range tests {
		write(t, s, "MESSAGE", tt.name, "IPE_PATH", tt.value)
	}
	got := j.Entries(t, test)
	if len(got) != len(tests) {
		t.Fatalf("got %d entries, want %d", len(got), len(tests))
	}
	for i, tt := range tests {
		if m := got[i].Get("MESSAGE"); m != tt.name {
			t.Errorf("entry %d is %q, want %q", i, m, tt.name)
		}
		if got[i].Get("IPE_PATH") != tt.value {
			t.Errorf("%s: got %d bytes, differing from the %d sent", tt.name, len(got[i].Get("IPE_PATH")), len(tt.value))
		}
		if v := got[i].Get("IPE_VERDICT"); v != "" {
			t.Errorf("%s: forged IPE_VERDICT=%s", tt.name, v)
		}
	}
}

// As on a host: the service manager holds the socket, journald is restarted
// again and again in the middle of a flood.
func TestRestartOfJournaldLosesNothing(t *testing.T) {
	j := journaltest.Start(t)
	s := open(t, j.Socket())
	const n, restarts = 3000, 3
	at := make(chan int)
	failed := make(chan error, 1)
	go func() {
		defer close(at)
		for i := range n {
			e := entry(testEntry("MESSAGE", "flood", "N", fmt.Sprint(i))...)
			if err := s.Write(context.Background(), e); err != nil {
				failed <- err
				return
			}
			if (i+1)%(n/(restarts+1)) == 0 {
				at <- i
			}
		}
	}()
	count := 0
	for range at {
		if count++; count <= restarts {
			j.Stop(t)
			j.Restart(t)
		}
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	var got, want []string
	for _, e := range j.Entries(t, test) {
		got = append(got, e.Get("N"))
	}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	diff(t, "entries in the journal", want, got)
}

// Without a service manager the socket goes and comes with journald.
func TestWriteFailsUntilReopenedAfterARestart(t *testing.T) {
	j := journaltest.Start(t, journaltest.Standalone())
	s := open(t, j.Socket())
	write(t, s, "N", "1")
	j.Stop(t)
	err := s.Write(context.Background(), entry(testEntry("N", "2")...))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Write to a stopped journald: %v, want connection refused", err)
	}
	s.Close()
	if err := s.Open(context.Background()); err == nil {
		t.Fatal("Open connects to a stopped journald")
	}
	j.Restart(t)
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	write(t, s, "N", "2")
	var got []string
	for _, e := range j.Entries(t, test) {
		got = append(got, e.Get("N"))
	}
	diff(t, "entries in the journal", []string{"1", "2"}, got)
}

func TestWriteWaitsForAFrozenJournald(t *testing.T) {
	j := journaltest.Start(t)
	s := open(t, j.Socket())
	j.Freeze(t)
	full := fill(t, s)
	done := make(chan error)
	go func() {
		done <- s.Write(context.Background(), entry(testEntry("MESSAGE", "patient")...))
	}()
	j.Thaw(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(j.Entries(t, "MESSAGE=patient")); n != 1 {
		t.Errorf("got %d entries, want 1", n)
	}
	if n := len(j.Entries(t, fmt.Sprintf("N=%d", full-1))); n != 1 {
		t.Errorf("got the last of the queued entries %d times, want once", n)
	}
}

func BenchmarkRealJournald(b *testing.B) {
	j := journaltest.Start(b)
	s := open(b, j.Socket())
	e := entry(testEntry("MESSAGE", "IPE denied execution of /usr/bin/true", "PRIORITY", "4",
		"MESSAGE_ID", "0123456789abcdef0123456789abcdef", "IPE_PATH", "/usr/bin/true", "IPE_OP", "EXECUTE",
		"IPE_HOOK", "BPRM_CHECK", "IPE_COMM", "bash", "IPE_DEV", "vda", "IPE_INO", "12345", "IPE_PID", "4711",
		"IPE_RULE", "DEFAULT action=DENY", "IPE_ACTION", "DENY", "IPE_VERDICT", "denied")...)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Write(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
}

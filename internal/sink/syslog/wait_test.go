package syslog

import (
	"context"
	"net"
	"testing"
	"time"
)

// patience is how long a test waits for what should come soon. Every wait ends
// after it and says what did not come.
const patience = 20 * time.Second

// await returns what comes from c, or its zero value once c is closed.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case v = <-c:
	case <-timeout.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}

// limited returns a context for calls that should return soon.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// listen returns a listener on loopback that is patient, until the test ends.
func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	t.Cleanup(func() { l.Close() })
	check(t, l.SetDeadline(time.Now().Add(patience)))
	return l
}

// accept returns the next connection of l, whose calls are limited too.
func accept(t testing.TB, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	c, err := l.AcceptTCP()
	check(t, err)
	t.Cleanup(func() { c.Close() })
	check(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package syslog

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func TestTLSVerifiesTheServer(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t), newPKI(t)
	r := newReceiver(t, TLS)
	r.tls = p.server(t)
	r.begin()
	_, port, err := net.SplitHostPort(r.address)
	check(t, err)
	tests := []struct {
		name string
		in   Config
		want string
	}{
		{"another authority", Config{Target: r.address, CA: other.ca}, "unknown authority"},
		{"the system's authorities", Config{Target: r.address}, "unknown authority"},
		{"another name", Config{Target: "localhost:" + port, CA: p.ca}, "localhost"},
		{"no authority in the file", Config{Target: r.address, CA: os.DevNull}, "no certificate in"},
		{"no file", Config{Target: r.address, CA: p.ca + "x"}, "no such file"},
		{"no own certificate", Config{Target: r.address, CA: p.ca, Cert: p.ca + "x", Key: p.ca}, "own certificate"},
	}
	for _, tt := range tests {
		tt.in.Network = TLS
		s := newSink(t, tt.in)
		if err := s.Open(limited(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error that says %q", tt.name, err, tt.want)
		}
		if err := s.Write(limited(t), &sink.Entry{Bytes: []byte("x")}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: Write returned %v, want os.ErrClosed", tt.name, err)
		}
	}
}

func TestTLSRefusesOldVersions(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r := newReceiver(t, TLS)
	r.tls = p.server(t)
	r.tls.MaxVersion = tls.VersionTLS11
	r.begin()
	s := newSink(t, Config{Network: TLS, Target: r.address, CA: p.ca})
	if err := s.Open(limited(t)); err == nil {
		t.Error("opened with TLS 1.1")
	}
}

// TLS 1.3 lets a client write before the server has looked at its certificate.
func TestTLSRefusedClientIsTold(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r := newReceiver(t, TLS)
	r.tls = p.strict(t)
	r.begin()
	s := newSink(t, Config{Network: TLS, Target: r.address, CA: p.ca})
	s.settle = settleTime
	open(t, s)
	if err := deliver(s, "one"); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("got %v, want the server's alert", err)
	}
}

func TestTLSReadsItsFilesAtEveryOpen(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r := newReceiver(t, TLS)
	r.tls = p.strict(t)
	names := make(chan string, 2)
	r.tls.VerifyConnection = func(c tls.ConnectionState) error {
		names <- c.PeerCertificates[0].Subject.CommonName
		return nil
	}
	r.begin()
	cert, key := p.issue("first.test")
	s := newSink(t, Config{Network: TLS, Target: r.address, CA: p.ca, Cert: cert, Key: key})
	for _, name := range []string{"first.test", "second.test"} {
		newCert, newKey := p.issue(name)
		check(t, os.Rename(newCert, cert))
		check(t, os.Rename(newKey, key))
		open(t, s)
		mustDeliver(t, s, name)
		check(t, s.Close())
		if got := await(t, "the server to see a certificate", names); got != name {
			t.Errorf("got the certificate of %s, want %s", got, name)
		}
	}
	checkGot(t, r, "first.test", "second.test")
}

// A write may begin after Close has seen that all was delivered.
func TestTLSCloseWaitsForNoWrite(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r := newReceiver(t, TLS)
	r.tls = p.server(t)
	r.begin()
	s := newSink(t, Config{Network: TLS, Target: r.address, CA: p.ca})
	open(t, s)
	mustDeliver(t, s, "one")
	r.wait(1)
	r.reading.Lock()
	defer r.reading.Unlock()
	c := s.conn.(*stream)
	sent := make(chan error, 1)
	go func() {
		_, err := c.io.Write(make([]byte, 32<<20)) // more than any buffer takes
		sent <- err
	}()
	select {
	case err := <-sent:
		t.Fatalf("got %v, want it to block", err)
	case <-time.After(100 * time.Millisecond): // so that it is under way; either way must pass
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	await(t, "Close to return", closed)
	if err := await(t, "the write to return", sent); err == nil {
		t.Error("got nil, want an error")
	}
}

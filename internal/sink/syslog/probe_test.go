package syslog

import (
	"context"
	"strings"
	"testing"
)

func TestProbeSaysWhetherTheReceiverCanBeReached(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	serving := func(network string, strict bool) *receiver {
		r := newReceiver(t, network)
		switch {
		case strict:
			r.tls = p.strict(t)
		case network == TLS:
			r.tls = p.server(t)
		}
		r.begin()
		return r
	}
	for _, network := range []string{Unix, UDP, TCP, TLS} {
		r := serving(network, false)
		o := Config{Network: network, Target: r.address}
		if network == TLS {
			o.CA = p.ca
		}
		s := newSink(t, o)
		if err := s.Probe(limited(t)); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		r.mu.Lock()
		n := len(r.got)
		r.mu.Unlock()
		if n != 0 {
			t.Errorf("%s: the receiver got %d messages, want none", network, n)
		}
		// It can be done again, and the sink can be used after it.
		if err := s.Open(limited(t)); err != nil {
			t.Errorf("%s: open after a probe: %v", network, err)
		}
		s.Close()
		r.end()
		if err := s.Probe(limited(t)); (err == nil) != (network == UDP) {
			t.Errorf("%s: nobody listens, and Probe returned %v", network, err)
		}
	}

	// Of TLS 1.3 the server's no comes after the handshake.
	r := serving(TLS, true)
	s := newSink(t, Config{Network: TLS, Target: r.address, CA: p.ca})
	if err := s.Probe(limited(t)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: got %v, want the server's alert", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Probe(ctx); err == nil {
		t.Error("a context that has ended ends no probe")
	}
}

package syslog

import (
	"context"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

func (r *receiver) place(s sink.Sink) *sinktest.Place {
	p := &sinktest.Place{Sink: s, Entries: r.entries, Break: r.end, Repair: r.begin,
		Hang: r.reading.Lock, Resume: r.reading.Unlock}
	if r.network == UDP {
		p.Hang, p.Resume = nil, nil // UDP drops instead
	}
	return p
}

func TestConformanceTCP(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r := begun(t, TCP)
		return r.place(r.sink())
	})
}

func TestConformanceTLS(t *testing.T) {
	pki := newPKI(t)
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r := newReceiver(t, TLS)
		r.tls = pki.server(t)
		r.begin()
		return r.place(newSink(t, Config{Network: TLS, Target: r.address, CA: pki.ca}))
	})
}

func TestConformanceUnix(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r := begun(t, Unix)
		return r.place(r.sink())
	})
}

func TestConformanceUDP(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		r := begun(t, UDP)
		return r.place(&paced{r.sink(), r})
	})
}

// paced waits for every message to arrive: a receiver may drop what it does not
// read in time.
type paced struct {
	*Sink
	r *receiver
}

func (p *paced) Write(ctx context.Context, e *sink.Entry) error {
	p.r.mu.Lock()
	n, up := len(p.r.got), p.r.socket != nil
	p.r.mu.Unlock()
	err := p.Sink.Write(ctx, e)
	if up && err == nil {
		p.r.wait(n + 1)
	}
	return err
}

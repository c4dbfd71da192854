package otlp

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

func TestConformance(t *testing.T) {
	for _, gzip := range []bool{false, true} {
		sinktest.Run(t, func(t testing.TB) *sinktest.Place {
			r := newReceiver(t)
			return &sinktest.Place{
				Sink: newSink(t, Options{Endpoint: r.url, Gzip: gzip}), Entries: r.entries,
				Entry: func(i int) *sink.Entry { return event(i+1, "web1") },
				Break: func() { r.setBroken(true) }, Repair: func() { r.setBroken(false) },
				Hang: r.hang, Resume: r.resume,
			}
		})
	}
}

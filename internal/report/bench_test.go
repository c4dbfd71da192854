package report

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
)

// BenchmarkHosts sums up what 1,000 hosts have told, in turn.
func BenchmarkHosts(b *testing.B) {
	logs := audittest.HostLogs(1000)
	var in strings.Builder
	events := 0
	for i := range 8 {
		for _, l := range logs {
			if i < len(l.Lines) {
				in.WriteString(l.Lines[i] + "\n")
				events++
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		h, err := eventsource.Open(context.Background(), eventsource.Options{Names: []string{"-"}, Stdin: strings.NewReader(in.String())})
		if err != nil {
			b.Fatal(err)
		}
		r := Report{Several: len(h.Hosts()) > 1}
		for {
			ev, err := h.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			r.Add(ev)
		}
		if h.Close(); r.total.events != uint64(events) {
			b.Fatalf("%d of %d events", r.total.events, events)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

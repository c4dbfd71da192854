package report

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestPageAndJSONHaveTheSameNumbers sums up what happened on three hosts, and on
// one of them alone, over spans of time that need bins of different widths.
func TestPageAndJSONHaveTheSameNumbers(t *testing.T) {
	t.Parallel()
	for hosts := 1; hosts <= 3; hosts += 2 {
		for _, step := range []time.Duration{time.Second, 7 * time.Minute, 40 * time.Hour, 9000 * time.Hour} {
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			var lines []string
			for i := range 400 {
				verdict := []string{`"verdict":"denied","action":"DENY","enforcing":true`, `"verdict":"would_deny","action":"DENY","enforcing":false`, `"verdict":"allowed","action":"ALLOW","enforcing":true`}[i%3]
				lines = append(lines, fmt.Sprintf(`{"spool":"%016x","seq":%d,"time":"%s","event":"access",%s,"ipe_op":"EXECUTE","path":"/p%d","rule":"DEFAULT action=DENY","host":"h%d"}`,
					i%hosts+1, i/hosts+1, at.Add(time.Duration(i)*step).UTC().Format("2006-01-02T15:04:05.000Z"), verdict, i%5, i%hosts))
			}
			lines = append(lines, fmt.Sprintf(`{"spool":"%016x","seq":%d,"time":"2026-01-02T03:04:06.000Z","event":"lost","stage":"kernel","count":7,"accuracy":"at_least","since":"2026-01-02T03:04:05.000Z","until":"2026-01-02T03:04:06.000Z","host":"h%d"}`, 400%hosts+1, 400/hosts+1, 400%hosts))
			r := sumUp(t, lines...)
			var doc struct {
				Events   uint64
				Verdicts map[string]uint64
				Denials  []struct{ Count, Hosts uint64 }
				Hosts    []struct{}
				OverTime struct {
					StepSeconds int64 `json:"step_seconds"`
					Bins        []map[string]any
				} `json:"over_time"`
			}
			if err := json.Unmarshal(r.AppendJSON(nil), &doc); err != nil {
				t.Fatal(err)
			}
			page := r.Page(&text.Page{Zone: time.UTC}, func(*ipe.Event) Explained { return Explained{Why: []string{"why"}} })
			if page.Events != doc.Events || doc.Events != 401 || page.Hosts != len(doc.Hosts) || page.Hosts != hosts {
				t.Errorf("%d events of %d hosts, in JSON %d of %d", page.Events, page.Hosts, doc.Events, len(doc.Hosts))
			}
			var sums [4]uint64
			for _, bin := range page.Histogram.Bins {
				for i, n := range bin {
					sums[i] += n
				}
			}
			inBins := make(map[string]float64)
			for _, bin := range doc.OverTime.Bins {
				for key, n := range bin {
					if n, ok := n.(float64); ok {
						inBins[key] += n
					}
				}
			}
			for i, c := range page.Verdicts {
				if c.N != doc.Verdicts[c.Class] || sums[i] != c.N || inBins[c.Class] != float64(c.N) {
					t.Errorf("%s: %d on the page, %d in its chart, %d in JSON, %v in its bins", c.Class, c.N, sums[i], doc.Verdicts[c.Class], inBins[c.Class])
				}
			}
			if n := len(page.Histogram.Bins); n < 2 || n > shownBins {
				t.Errorf("%d bins of %v", n, page.Histogram.Width)
			}
			if len(page.Denials) != len(doc.Denials) {
				t.Fatalf("%d kinds of denials, in JSON %d", len(page.Denials), len(doc.Denials))
			}
			for i, d := range page.Denials {
				if d.Count != doc.Denials[i].Count || d.Hosts != doc.Denials[i].Hosts {
					t.Errorf("denial %d: %d on %d, in JSON %d on %d", i, d.Count, d.Hosts, doc.Denials[i].Count, doc.Denials[i].Hosts)
				}
			}
			if len(page.Warnings) != 1 || len(page.Gaps) != 1 || page.Gaps[0].Until.Sub(page.Gaps[0].From) != time.Second {
				t.Errorf("the loss is not there: %q %v", page.Warnings, page.Gaps)
			}
		}
	}
}

// TestBinsHaveEveryAccess adds accesses in any order, an old clock among them.
func TestBinsHaveEveryAccess(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := range int64(5000) {
		h.add(1_700_000_000_000+(i*7919%5000)*60_000, ipe.VerdictDenied, 2)
	}
	h.add(-5, ipe.VerdictWouldDeny, 1) // before 1970
	var denied, would uint64
	list := h.list()
	for i, b := range list {
		denied, would = denied+b.verdicts[ipe.VerdictDenied], would+b.verdicts[ipe.VerdictWouldDeny]
		if b.from%h.width != 0 || i > 0 && b.from <= list[i-1].from {
			t.Errorf("bin %d begins at %d", i, b.from)
		}
	}
	if denied != 10_000 || would != 1 || list[0].from > -5 || len(list) > shownBins {
		t.Errorf("%d denied and %d would be, in %d bins from %d", denied, would, len(list), list[0].from)
	}
}

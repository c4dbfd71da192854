package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// tried returns the record of a denied access to a path, some milliseconds after
// the others.
func tried(path string, after int) spool.Record {
	return spool.Record{Type: ipe.TypeAccess, Time: time.Now().UnixNano(), Data: fmt.Appendf(nil,
		`audit(1795440937.%03d:7): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm="sh" path="%s" dev="vda" ino=7 rule="DEFAULT action=DENY"`, after, path)}
}

// toldLine is what a line tells.
type toldLine struct {
	Event, Path string
	Seq, Count  uint64
}

func readTold(t testing.TB, line string) toldLine {
	t.Helper()
	var ev toldLine
	if err := json.Unmarshal([]byte(line), &ev); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	if ev.Event == "access" {
		ev.Count = 1
	}
	return ev
}

func TestFeedCountsWhatRepeats(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append([]spool.Record{tried("/a", 0), tried("/a", 1), switched(), tried("/b", 2), tried("/a", 3), switched(), tried("/a", 900), tried("/b", 901)})
	tests := []struct {
		query string
		want  []string
	}{
		{"coalesce=1h", []string{"access /a 1 1", "enforcement  3 0", "access /b 4 1", "enforcement  6 0", "repeated /a 0 3", "repeated /b 0 1"}},
		{"coalesce=500ms", []string{"access /a 1 1", "enforcement  3 0", "access /b 4 1", "enforcement  6 0", "repeated /a 0 2", "access /a 7 1", "access /b 8 1"}},
		{"coalesce=1h&paths=/a", []string{"access /a 1 1", "repeated /a 0 3"}},
		{"coalesce=1h&last=3", []string{"enforcement  6 0", "access /a 7 1", "access /b 8 1"}},
		{"coalesce=0s&paths=/b", []string{"access /b 4 1", "access /b 8 1"}},
	}
	for _, tt := range tests {
		var got []string
		for _, line := range w.events(tt.query) {
			ev := readTold(t, line)
			got = append(got, fmt.Sprintf("%s %s %d %d", ev.Event, ev.Path, ev.Seq, ev.Count))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.query, got, tt.want)
		}
	}
}

// TestFeedTellsWhatItCountedInTime has nothing more to read when windows end.
func TestFeedTellsWhatItCountedInTime(t *testing.T) {
	t.Parallel()
	w := start(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/events?follow=true&coalesce=10ms&cursor=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(w.request(r).Body)
	for round := range 3 {
		w.spool.Append([]spool.Record{tried("/a", 0), tried("/a", 0), tried("/a", 0), tried("/a", 0)})
		for left, end := uint64(4), fmt.Sprint(":", 4*round+4); left > 0 || end != ""; {
			if !lines.Scan() {
				t.Fatal(lines.Err())
			}
			place, line, _ := strings.Cut(lines.Text(), " ")
			if line != "" {
				left -= readTold(t, line).Count
			}
			if strings.HasSuffix(place, end) {
				end = ""
			}
			if left == 0 && end != "" && line == "" {
				t.Fatalf("all is told, and the place is %s", place)
			}
		}
	}
}

// TestPlacesAreBeforeWhatIsCounted cuts a stream behind each of its lines: all that is
// not told by then is behind the place of the last one.
func TestPlacesAreBeforeWhatIsCounted(t *testing.T) {
	t.Parallel()
	w := start(t)
	var recs []spool.Record
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprint("/", int(rand.ExpFloat64()*3)))
		recs = append(recs, tried(all[i], i))
	}
	w.spool.Append(recs)
	given := make(map[string]int)
	total, last := 0, spool.Cursor{}
	for _, line := range w.events("coalesce=20ms&cursor=true") {
		text, line, _ := strings.Cut(line, " ")
		place, err := spool.ParseCursor(text)
		if err != nil || place.Seq < last.Seq {
			t.Fatalf("%s behind %v: %v", text, last, err)
		}
		last = place
		if line != "" {
			ev := readTold(t, line)
			given[ev.Path] += int(ev.Count)
			total += int(ev.Count)
		}
		before := make(map[string]int)
		for _, path := range all[:place.Seq] {
			if before[path]++; before[path] > given[path] {
				t.Fatalf("whoever goes on behind %v misses an access to %s", place, path)
			}
		}
	}
	if total != len(all) || last.Seq != uint64(len(all)) {
		t.Errorf("%d told, up to %v; want %d", total, last, len(all))
	}
}

func TestSpansThatMeanNothingAreRefused(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"coalesce=1ms":                `coalesce "1ms" is out of range; it must be between 10ms and 1h, or 0s`,
		"coalesce=2h":                 `coalesce "2h" is out of range`,
		"coalesce=-10s":               `coalesce "-10s" is out of range`,
		"coalesce=often":              `coalesce "often" is not a duration`,
		"coalesce=":                   `coalesce "" is not a duration`,
		"coalesce=1s&format=spool":    "format=spool has every record; leave out coalesce",
		"coalesce=1s&coalesce=2s":     `"coalesce" is given 2 times`,
		"coalesce=99999999999999999d": "coalesce ",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if len(values["coalesce"]) == 1 {
			err = Check(values)
		} else {
			_, err = parseQuery(query, time.Now())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
}

package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// paths returns of each line the path, or what else it is.
func paths(t testing.TB, lines []string) []string {
	t.Helper()
	got := []string{}
	for _, line := range lines {
		if line == "" {
			continue
		}
		var ev struct {
			Event, Path, Stage string
			Count              int
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		switch ev.Event {
		case "access":
			got = append(got, ev.Path)
		case "lost":
			got = append(got, fmt.Sprintf("lost %d %s", ev.Count, ev.Stage))
		default:
			got = append(got, ev.Event)
		}
	}
	return got
}

// numbered returns /tmp/FIRST to /tmp/LAST.
func numbered(first, last int) []string {
	list := []string{}
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprintf("/tmp/%d", n))
	}
	return list
}

// TestStreamSaysWhichPolicyJudged has contexts that mean something, and others.
func TestStreamSaysWhichPolicyJudged(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *Options, _ *timeouts) {
		o.Policy = func(context uint16) *ipe.Policy {
			if context != 3 {
				return nil
			}
			return &ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0")}
		}
	})
	known, none, switched := denial(1), denial(2), switched()
	known.Context, none.Context, switched.Context = 3, 4, 3
	w.spool.Append([]spool.Record{known, none, switched})
	var got []string
	for _, line := range w.events("") {
		var ev struct {
			Name    string `json:"active_policy_name"`
			Version string `json:"active_policy_version"`
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		got = append(got, ev.Name+ev.Version)
	}
	if diff := cmp.Diff([]string{"lab1.0.0", "", ""}, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestStreamBeginsWhereItIsAsked(t *testing.T) {
	t.Parallel()
	w := start(t)
	old := denials(1, 500)
	for i := range old {
		old[i].Time = time.Now().Add(-time.Hour).UnixNano()
	}
	w.spool.Append(old)
	w.spool.Append([]spool.Record{switched()})
	end := w.spool.Append(denials(501, 20))
	at := func(seq uint64) string { return spool.Cursor{ID: end.ID, Seq: seq}.String() }

	tests := []struct {
		name, query string
		want        []string
	}{
		{"the oldest without anything", "events=access", numbered(1, 520)},
		{"after an event", "after=" + at(519), numbered(519, 520)},
		{"after the first place", "after=" + at(0) + "&paths=/tmp/1", numbered(1, 1)},
		{"after the newest event", "after=" + at(521), nil},
		{"after an event that is not there any more", "after=" + at(1000), []string{"lost 0 spool"}},
		{"after the highest number there is", "after=" + at(math.MaxUint64), nil},
		{"since a while ago", "since=10m", append([]string{"enforcement"}, numbered(501, 520)...)},
		{"since a time", "since=" + url.QueryEscape(time.Now().Add(-time.Minute).Format(time.RFC3339)), append([]string{"enforcement"}, numbered(501, 520)...)},
		{"since now", "since=0s", nil},
		{"since long ago", "since=7d&paths=/tmp/3", numbered(3, 3)},
		{"last", "last=3", numbered(518, 520)},
		{"last of those that match", "last=2&paths=/tmp/1?", numbered(18, 19)},
		{"last far back", "last=1&paths=/tmp/1", numbered(1, 1)},
		{"last beyond the newest that match", "last=1&events=enforcement", []string{"enforcement"}},
		{"more last than there are", "last=10000&events=access", numbered(1, 520)},
		{"last none", "last=0", nil},
		{"last where nothing matches", "last=5&paths=/none", nil},
		{"last since", "last=600&since=10m", append([]string{"enforcement"}, numbered(501, 520)...)},
		{"last of fewer since", "last=2&since=10m", numbered(519, 520)},
		{"until a while ago", "until=10m", numbered(1, 500)},
		{"until and last", "until=10m&last=2", numbered(499, 500)},
		{"until and a selection", "until=10m&paths=/tmp/50?", numbered(500, 500)},
		{"until and following", "until=10m&follow=true&last=1", numbered(500, 500)},
		{"until before everything", "until=2h", nil},
		{"since and until", "since=2h&until=10m&last=1", numbered(500, 500)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = []string{}
			}
			if diff := cmp.Diff(tt.want, paths(t, w.events(tt.query))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.query, diff)
			}
		})
	}
}

func TestStreamSelects(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 3))
	w.spool.Append([]spool.Record{switched()})
	tests := []struct {
		query string
		want  []string
	}{
		{"events=enforcement", []string{"enforcement"}},
		{"events=enforcement,access&not.paths=/tmp/2", []string{"/tmp/1", "/tmp/3", "enforcement"}},
		{"events=enforcement&events=access", []string{"/tmp/1", "/tmp/2", "/tmp/3", "enforcement"}},
		{"verdicts=denied", []string{"/tmp/1", "/tmp/2", "/tmp/3"}},
		{"verdicts=would_deny,allowed", []string{}},
		{"ops=EXECUTE&hooks=BPRM_CHECK&paths=/tmp/1,/tmp/3", []string{"/tmp/1", "/tmp/3"}},
		{"not.verdicts=denied", []string{"enforcement"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, paths(t, w.events(tt.query))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
	}
}

func TestStreamHasTheFormThatIsAsked(t *testing.T) {
	t.Parallel()
	w := start(t)
	rec := denial(1)
	c := w.spool.Append([]spool.Record{rec})
	var ev ipe.Event
	new(ipe.Decoder).Decode(&ev, rec.Type, rec.Data)
	context := format.Context{Identity: format.Identity{Spool: uint64(c.ID), Seq: c.Seq, Host: []byte("box")}}
	withRaw := context
	withRaw.Raw = true
	tests := []struct {
		query string
		want  string
	}{
		{"", string(format.AppendJSON(nil, &ev, &context))},
		{"raw=true", string(format.AppendJSON(nil, &ev, &withRaw))},
		{"format=text", string(format.AppendText(nil, &ev, &context))},
		{"format=text&cursor=true", c.String() + " " + string(format.AppendText(nil, &ev, &context))},
		{"cursor=true&paths=/none", c.String() + "\n"},
		{"cursor=true&last=0", c.String() + "\n"},
		{"cursor=true&since=0s", c.String() + "\n"},
	}
	for _, tt := range tests {
		if _, got := w.page(http.MethodGet, "/events?"+tt.query); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.query, got, tt.want)
		}
	}
}

// follow opens a stream and returns a function for its next line.
func (w *world) follow(ctx context.Context, query string) func() string {
	w.t.Helper()
	values, err := url.ParseQuery("follow=true&" + query)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := NewClient(w.path).Events(ctx, values)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { body.Close() })
	r := bufio.NewReader(body)
	return func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSuffix(line, "\n")
	}
}

func TestFollowGoesOnUntilTheSpoolIsClosed(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 2))
	next := w.follow(t.Context(), "verdicts=denied")
	got := []string{next(), next()}
	for n := 3; n < 20; n++ {
		w.spool.Append([]spool.Record{switched(), denial(n)})
		got = append(got, next())
	}
	w.spool.Append(denials(20, 1))
	w.spool.Close()
	got = append(got, next())
	if diff := cmp.Diff(numbered(1, 20), paths(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if end := next(); end != io.EOF.Error() {
		t.Errorf("the stream ended with %q", end)
	}
}

func TestFollowTellsHowFarItLooked(t *testing.T) {
	t.Parallel()
	w := start(t)
	next := w.follow(t.Context(), "cursor=true&events=enforcement")
	got := []string{next()}
	want := []string{spool.Cursor{ID: w.spool.Stats().ID}.String()}
	for n := range 5 {
		want = append(want, w.spool.Append(denials(n, 3)).String())
		got = append(got, next())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFollowEndsWhenUntilHasCome(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 2))
	late := denial(3)
	late.Time = time.Now().Add(time.Hour).UnixNano()
	w.spool.Append([]spool.Record{late})
	until := time.Now().Add(100 * time.Millisecond).Format(time.RFC3339Nano)
	if diff := cmp.Diff(numbered(1, 2), paths(t, w.events("follow=true&until="+url.QueryEscape(until)))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCloseSendsWhatThereIsAndEnds(t *testing.T) {
	t.Parallel()
	w := start(t)
	next := w.follow(t.Context(), "last=0")
	w.spool.Append(denials(1, 100)) // fits into the buffer between us
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 100 {
		got = append(got, next())
	}
	if diff := cmp.Diff(numbered(1, 100), paths(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if end := next(); end != io.EOF.Error() {
		t.Errorf("the stream ended with %q", end)
	}
}

// A stream that does not follow ends with what was the newest event when it
// began, however fast others come.
func TestStreamThatDoesNotFollowEnds(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 1000))
	n := 1000
	out := &recorder{onWrite: func() { n++; w.spool.Append([]spool.Record{denial(n)}) }}
	for _, query := range []string{"", "last=400", "since=1h", "paths=/none"} {
		out.lines = ""
		q, err := parseQuery(query, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		last := n
		st := stream{query: q, spool: w.spool, feed: &w.feed, out: out, control: http.NewResponseController(out)}
		if err := st.run(t.Context(), w.closing); err != nil {
			t.Fatal(err)
		}
		got := paths(t, strings.Split(out.lines, "\n"))
		if query == "paths=/none" {
			if len(got) > 0 {
				t.Errorf("%s: got %q", query, got)
			}
			continue
		}
		if end := fmt.Sprintf("/tmp/%d", last); len(got) < 400 || got[len(got)-1] != end {
			t.Errorf("%s: got %d events, the last %q, want it to be %s", query, len(got), got[len(got)-1:], end)
		}
	}
}

// recorder is a ResponseWriter with deadlines.
type recorder struct {
	onWrite func()
	lines   string
	writes  int
	breaks  int // the write that fails; 0: none
}

func (r *recorder) Header() http.Header { return http.Header{} }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Write(b []byte) (int, error) {
	if r.writes++; r.writes == r.breaks {
		return 0, io.ErrClosedPipe
	}
	r.lines += string(b)
	if r.onWrite != nil {
		r.onWrite()
	}
	return len(b), nil
}
func (r *recorder) FlushError() error                { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func TestWhatWasOverwrittenIsToldToTheClientAlone(t *testing.T) {
	t.Parallel()
	w := start(t)
	begin := w.spool.Append(denials(1, 1))
	w.spool.Append(denials(2, 20_000)) // more than the spool holds
	oldest := w.spool.Stats().Oldest.Seq
	if oldest < 3 {
		t.Fatal("the spool holds everything")
	}
	missed := fmt.Sprintf("lost %d spool", oldest-2)
	for _, query := range []string{"", "&events=access", "&paths=/tmp/**"} {
		lines := w.events("after=" + begin.String() + query)
		want := append([]string{missed}, numbered(int(oldest), 20_001)...)
		if diff := cmp.Diff(want, paths(t, lines)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
		if strings.Contains(lines[0], `"seq"`) || !strings.Contains(lines[0], fmt.Sprintf(`"first_seq":2,"last_seq":%d`, oldest-1)) {
			t.Errorf("got %s", lines[0])
		}
	}
	if got := paths(t, w.events("events=access")); !slices.Equal(got, numbered(int(oldest), 20_001)) {
		t.Errorf("a client that missed nothing got %d events, first %q", len(got), got[:1])
	}
	lines := w.events("cursor=true&format=text&after=" + begin.String())
	if prefix := fmt.Sprintf("%v (no time) LOST", spool.Cursor{ID: begin.ID, Seq: oldest - 1}); !strings.HasPrefix(lines[0], prefix) {
		t.Errorf("got %q, want %q", lines[0], prefix)
	}
	if want := 3 * (oldest - 2); w.Server.Status().Feed.Lost != want+oldest-2 {
		t.Errorf("%d are counted as lost", w.Server.Status().Feed.Lost)
	}
}

func TestUnknownSpoolIsALossOfUnknownSize(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := w.spool.Append(denials(1, 2))
	lines := w.events(fmt.Sprintf("after=%v:7", c.ID^1))
	if got := paths(t, lines); !slices.Equal(got, []string{"lost 0 spool", "/tmp/1", "/tmp/2"}) || !strings.Contains(lines[0], `"accuracy":"unknown"`) {
		t.Errorf("got %q", lines)
	}
}

// A stream that breaks off must not look complete.
func TestBrokenStreamIsNoEnd(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.spool.Append(denials(1, 1))
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v", got)
		}
	}()
	w.serveEvents(&recorder{breaks: 2}, httptest.NewRequest(http.MethodGet, "/events", nil))
}

func TestEmptySpoolEndsAlthoughItFills(t *testing.T) {
	t.Parallel()
	w := start(t)
	out := &recorder{onWrite: func() { w.spool.Append(denials(1, 1)) }}
	w.serveEvents(out, httptest.NewRequest(http.MethodGet, "/events", nil))
	if out.lines != "" {
		t.Errorf("got %q", out.lines)
	}
}

func TestStreamDoesNotAllocatePerEvent(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := start(t)
	w.spool.Append(denials(1, 2000))
	q, err := parseQuery("cursor=true&events=access&paths=/tmp/**", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	st := stream{query: q, spool: w.spool, feed: &w.feed}
	if err := st.seek(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer st.reader.Close()
	st.follow = true
	step := func() {
		e, err := st.next(t.Context(), t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st.handle(t.Context(), e)
		st.buf = st.buf[:0]
	}
	step()
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFollow is the time from an append to the line at the client.
func BenchmarkFollow(b *testing.B) {
	b.ReportAllocs()
	w := start(b)
	next := w.follow(b.Context(), "")
	rec := []spool.Record{denial(1)}
	for b.Loop() {
		w.spool.Append(rec)
		next()
	}
}

// BenchmarkHistory is the time that an event of the past takes.
func BenchmarkHistory(b *testing.B) {
	b.ReportAllocs()
	w := start(b)
	w.spool.Append(denials(1, 1000))
	body, err := NewClient(w.path).Events(b.Context(), url.Values{"follow": {"true"}})
	if err != nil {
		b.Fatal(err)
	}
	defer body.Close()
	r := bufio.NewReaderSize(body, 64<<10)
	recs := denials(1, 512)
	n := 1000
	for b.Loop() {
		if n == 0 {
			w.spool.Append(recs)
			n = len(recs)
		}
		if _, err := r.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			b.Fatal(err)
		}
		n--
	}
}

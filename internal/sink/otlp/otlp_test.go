package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestARequestHasOneResourceForEachHost(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := newSink(t, Options{Endpoint: r.url, Batch: 100})
	ctx := limited(t)
	check(t, s.Open(ctx))
	for i := range 250 {
		check(t, s.Write(ctx, event(i+1, fmt.Sprint("web", i%3))))
	}
	check(t, s.Flush(ctx))
	var sizes, hosts []int
	for _, q := range r.requests {
		sizes, hosts = append(sizes, len(q.seqs)), append(hosts, q.hosts)
	}
	if !slices.Equal(sizes, []int{100, 100, 50}) || !slices.Equal(hosts, []int{3, 3, 3}) {
		t.Errorf("requests of %d records and %d resources", sizes, hosts)
	}
	seqs := r.seqs()
	slices.Sort(seqs)
	if diff := cmp.Diff(numbers(1, 250), seqs); diff != "" {
		t.Error(diff)
	}
	h := r.requests[0].headers
	if h.Get("Content-Type") != "application/x-protobuf" || r.requests[0].path != "/v1/logs" {
		t.Errorf("got %v at %s", h, r.requests[0].path)
	}
}

// A record that the receiver will not have is found and told, and everything else is
// delivered, in order.
func TestAPoisonRecordIsGivenUpAlone(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 413, 415, 422} {
		for _, poison := range [][]int{{1}, {7}, {16}, {3, 4}, {1, 8, 16}} {
			for _, n := range []int{1, 16} {
				r := newReceiver(t)
				r.answer = func(_ http.ResponseWriter, seqs []int) int {
					if slices.ContainsFunc(seqs, func(n int) bool { return slices.Contains(poison, n) }) {
						return code
					}
					return http.StatusOK
				}
				var lost told
				s := newSink(t, Options{Endpoint: r.url, Refused: lost.add})
				check(t, deliver(t, s, 1, n))
				check(t, deliver(t, s, 17, 18))
				var want []int
				var refused []sink.Refused
				for _, i := range append(numbers(1, n), 17, 18) {
					if slices.Contains(poison, i) {
						refused = append(refused, sink.Refused{Kind: ipe.KindAccess, Cursor: spool.Cursor{ID: 7, Seq: uint64(i)},
							Reason: fmt.Sprintf("it answers %d %s: no: code %d", code, http.StatusText(code), code)})
					} else {
						want = append(want, i)
					}
				}
				if diff := cmp.Diff(want, r.seqs()); diff != "" {
					t.Errorf("%d, %v of %d: -want +taken:\n%s", code, poison, n, diff)
				}
				if diff := cmp.Diff(refused, lost.list); diff != "" {
					t.Errorf("%d, %v of %d: -want +told:\n%s", code, poison, n, diff)
				}
				if got := s.Counters()[0].Count; got != uint64(len(refused)) {
					t.Errorf("%d are counted, want %d", got, len(refused))
				}
			}
		}
	}
}

// What refuses everything does not refuse an event: a wrong path, a proxy, a key that
// has expired. Nothing is given up, and everything comes when it is mended.
func TestAReceiverThatRefusesEverythingCostsNothing(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 400, 401, 403, 404, 405, 407, 408, 413, 415, 429, 500, 501, 502, 503, 504} {
		r := newReceiver(t)
		r.answer = func(http.ResponseWriter, []int) int { return code }
		var lost told
		s := newSink(t, Options{Endpoint: r.url, Refused: lost.add})
		for range 2 {
			if err := deliver(t, s, 1, 5); err == nil || !strings.Contains(err.Error(), fmt.Sprint(code)) {
				t.Errorf("%d: Flush returned %v", code, err)
			}
			check(t, s.Close())
		}
		r.answer = nil
		check(t, deliver(t, s, 1, 5))
		if diff := cmp.Diff(numbers(1, 5), r.seqs()); diff != "" || len(lost.list) > 0 {
			t.Errorf("%d: %v given up, -want +taken:\n%s", code, lost.list, diff)
		}
	}
}

func TestPartialSuccessIsCountedAndTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       uint64
	}{
		{"none", "", 0},
		{"empty, as a Collector says it", "\x0a\x00", 0},
		{"a warning", "\x0a\x04\x12\x02hm", 0},
		{"two", "\x0a\x08\x08\x02\x12\x04full", 2},
		{"all and more", "\x0a\x03\x08\xff\x01", 5},
		{"a negative number", "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0},
		{"no protobuf", "<html>ok</html>", 0},
		{"cut", "\x0a\x09\x08", 0},
	} {
		r := newReceiver(t)
		r.answer = func(w http.ResponseWriter, seqs []int) int {
			if len(seqs) == 5 {
				fmt.Fprint(w, tt.body)
			}
			return http.StatusOK
		}
		var lost told
		s := newSink(t, Options{Endpoint: r.url, Refused: lost.add})
		check(t, deliver(t, s, 1, 5))
		var n uint64
		for _, r := range lost.list {
			n += r.Count
			if r.Cursor.Seq != 0 || r.Kind == ipe.KindLost {
				t.Errorf("%s: told %+v", tt.name, r)
			}
		}
		if n != tt.want || s.Counters()[0].Count != tt.want {
			t.Errorf("%s: %d are told, want %d", tt.name, n, tt.want)
		}
		if diff := cmp.Diff(numbers(1, 5), r.seqs()); diff != "" {
			t.Errorf("%s: sent again, -want +got:\n%s", tt.name, diff)
		}
	}
}

// What tells of a loss and is not taken either must not be told again, and so on.
func TestTheTellingOfALossIsNotToldAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.answer = func(w http.ResponseWriter, seqs []int) int {
		fmt.Fprintf(w, "\x0a\x02\x08%c", len(seqs))
		return http.StatusOK
	}
	var lost told
	s := newSink(t, Options{Endpoint: r.url, Refused: lost.add})
	ctx := limited(t)
	check(t, s.Open(ctx))
	for i := range 3 {
		e := event(i+1, "web1")
		e.Event.Kind, e.Event.Stage = ipe.KindLost, []byte(ipe.StageSink)
		check(t, s.Write(ctx, e))
	}
	check(t, s.Flush(ctx))
	if len(lost.list) != 1 || lost.list[0].Kind != ipe.KindLost || lost.list[0].Stage != ipe.StageSink || lost.list[0].Count != 3 {
		t.Errorf("told %+v", lost.list)
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "1.5": 0, "99999": mostRetryAfter, "99999999999999": 0,
		"Mon, 30 Nov 2026 12:00:09 GMT": 9 * time.Second, "Mon, 30 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	r := newReceiver(t)
	r.answer = func(w http.ResponseWriter, _ []int) int {
		w.Header().Set("Retry-After", "60")
		return http.StatusServiceUnavailable
	}
	s := newSink(t, Options{Endpoint: r.url})
	if err := deliver(t, s, 1, 1); err == nil {
		t.Fatal("Flush returned nil")
	}
	check(t, s.Close())
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Open(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open within the minute: %v", err)
	}
	opened := make(chan error)
	go func() { opened <- s.Open(limited(t)) }()
	for s.isClosed() {
		time.Sleep(time.Millisecond)
	}
	check(t, s.Close())
	if err := <-opened; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Open when Close is called: %v", err)
	}
	if n := len(r.requests); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// isClosed reports whether there is neither an Open under way nor anything open.
func (s *Sink) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end == nil
}

func TestHeadersComeFromASecretFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "headers")
	put := func(text string, mode os.FileMode) {
		t.Helper()
		check(t, os.WriteFile(path, []byte(text), mode))
		check(t, os.Chmod(path, mode))
	}
	for _, tt := range []struct {
		text  string
		mode  os.FileMode
		wrong string
	}{
		{"a: b", 0o640, "others may use what is secret in it; chmod 0600"},
		{"a: b", 0o604, "chmod 0600"},
		{"secret", 0o600, ":1: no header"},
		{"# comment\n\nSe cret: x", 0o600, ":3: no header"},
		{"a: secret\x01", 0o600, ":1: the value of A has control characters"},
		{"content-type: secret", 0o600, ":1: Content-Type is set by the sink"},
		{strings.Repeat("a: secret\n", 10000), 0o600, "more than 65536 bytes"},
	} {
		put(tt.text, tt.mode)
		_, err := readHeaders(path)
		if err == nil || !strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), "secret\x01") {
			t.Errorf("%.20q: got %v, want %q", tt.text, err, tt.wrong)
		}
	}
	if _, err := readHeaders(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}

	put("Authorization: Bearer one\nX-Scope-OrgID: a\n", 0o400)
	r := newReceiver(t)
	s := newSink(t, Options{Endpoint: r.url, HeadersFile: path, Version: "1.2.3"})
	check(t, deliver(t, s, 1, 1))
	check(t, os.Chmod(path, 0o600))
	put("Authorization: Bearer two\n", 0o600)
	check(t, deliver(t, s, 2, 2)) // as before
	s.Reopen()
	check(t, deliver(t, s, 3, 3))
	var got []string
	for _, q := range r.requests {
		got = append(got, q.headers.Get("Authorization")+" "+q.headers.Get("X-Scope-OrgID")+" "+q.headers.Get("User-Agent"))
	}
	want := []string{"Bearer one a ipe-auditd/1.2.3", "Bearer one a ipe-auditd/1.2.3", "Bearer two  ipe-auditd/1.2.3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	check(t, os.Remove(path))
	s.Reopen()
	if err := deliver(t, s, 4, 4); err == nil {
		t.Error("the file is gone, and Flush returned nil")
	}
}

// No secret of the URL is in a message.
func TestErrorsDoNotShowTheQuery(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.setBroken(true)
	s := newSink(t, Options{Endpoint: r.url + "?token=secret"})
	if err := deliver(t, s, 1, 1); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "/v1/logs") {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAreFitForALog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ typ, body, want string }{
		{"text/plain", "  full \x1b[31m\nmore", "full ?[31m"},
		{"application/x-protobuf", "\x08\x03\x12\x03bad", "bad"},
		{"application/x-protobuf", "\xff\xff", ""},
		{"text/html", strings.Repeat("ä", 500), strings.Repeat("ä", 200) + "..."},
	} {
		if got := message(tt.typ, []byte(tt.body)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.body, got, tt.want)
		}
	}
}

func TestEntriesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	s := newSink(t, Options{Endpoint: "http://127.0.0.1:1/v1/logs"})
	check(t, s.Open(limited(t)))
	whole := event(1, "web1").Bytes
	for n := range whole {
		if err := s.Write(limited(t), &sink.Entry{Bytes: whole[:n]}); err == nil {
			t.Fatalf("the first %d bytes are taken", n)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	s := newSink(t, Options{Endpoint: "http://127.0.0.1:1/v1/logs"})
	ctx := limited(t)
	check(t, s.Open(ctx))
	e := event(1, "web1")
	if n := testing.AllocsPerRun(1000, func() {
		if len(s.batch.records) == 200 {
			s.request = s.batch.appendRequest(s.request[:0], s.batch.records)
			s.batch.reset()
		}
		if err := s.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per Write", n)
	}
}

func FuzzRejected(f *testing.F) {
	f.Add([]byte("\x0a\x08\x08\x02\x12\x04full"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rejected(b)
		message(contentTypeProtobuf, b)
		message("", b)
	})
}

// What is sent again because something behind it failed is refused again, and told
// once.
func TestWhatIsGivenUpIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	away := true
	r.answer = func(w http.ResponseWriter, seqs []int) int {
		switch {
		case slices.Contains(seqs, 1):
			return http.StatusBadRequest
		case slices.Contains(seqs, 4) && away:
			away = false
			return http.StatusServiceUnavailable
		case len(seqs) == 1 && seqs[0] == 2:
			fmt.Fprint(w, "\x0a\x02\x08\x01") // rejected
		}
		return http.StatusOK
	}
	var lost told
	s := newSink(t, Options{Endpoint: r.url, Refused: lost.add})
	if err := deliver(t, s, 1, 4); err == nil || len(lost.list) > 0 {
		t.Fatalf("got %v, told %+v", err, lost.list)
	}
	check(t, s.Close())
	check(t, deliver(t, s, 1, 4))
	if len(lost.list) != 2 || s.Undelivered() != 2 {
		t.Errorf("told %+v, want entries 1 and 2; %d are not delivered", lost.list, s.Undelivered())
	}
}

package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// What one client can do to others: nothing.

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func impatient(_ *Options, p *timeouts) {
	p.request, p.write = 50*time.Millisecond, 50*time.Millisecond
}

const follow = "GET /events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"

func TestClientThatNeverReadsIsDisconnected(t *testing.T) {
	t.Parallel()
	w := start(t, impatient)
	next := w.follow(t.Context(), "")
	stopped := w.dial(follow)
	eventually(t, "both are clients", func() bool { return w.Status().Feed.Clients == 2 })
	for n := 1; w.Status().Feed.Clients > 1; n++ {
		w.spool.Append([]spool.Record{denial(n)})
		if got := paths(t, []string{next()}); !slices.Equal(got, numbered(n, n)) {
			t.Fatalf("the other client got %q, want event %d", got, n)
		}
	}
	if err := stopped.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stopped); os.IsTimeout(err) {
		t.Error("the connection was not closed")
	}
}

func TestClientThatIsKilledLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range 10 {
		var conns []net.Conn
		for range 10 {
			conns = append(conns, w.dial(follow))
		}
		eventually(t, "all are clients", func() bool { return w.Status().Feed.Clients == 10 })
		for _, c := range conns {
			c.Close()
		}
		eventually(t, "none is a client", func() bool { return w.Status().Feed.Clients == 0 })
	}
}

func TestHalfARequestIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := start(t, impatient)
	for _, text := range []string{"", "GET /ev", "GET /events HTTP/1.1\r\nHost: x\r\nX: ", "GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"} {
		c := w.dial(text)
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Errorf("after %q the connection was not closed", text)
		}
	}
}

// The time for a request is not that of a stream.
func TestStreamOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	w := start(t, impatient)
	next := w.follow(t.Context(), "")
	if _, err := io.Copy(io.Discard, w.dial("GET /ev")); err != nil { // until the time is over
		t.Fatal(err)
	}
	w.spool.Append(denials(1, 1))
	if got := next(); !strings.Contains(got, "/tmp/1") {
		t.Errorf("got %q", got)
	}
}

func TestAConnectionIsForOneRequest(t *testing.T) {
	t.Parallel()
	w := start(t)
	text, err := io.ReadAll(w.dial("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err != nil || !strings.Contains(string(text), "\r\nConnection: close\r\n") {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestAThousandConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := start(t)
	next := w.follow(t.Context(), "")
	var conns []net.Conn
	for i := range 1000 {
		conns = append(conns, w.dial([]string{"", "GET /events?fol"}[i%2]))
	}
	if code, _ := w.page(http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d", code)
	}
	w.spool.Append(denials(1, 1))
	if got := paths(t, []string{next()}); !slices.Equal(got, numbered(1, 1)) {
		t.Errorf("got %q", got)
	}
	w.gate.mu.Lock()
	open := len(w.gate.open)
	w.gate.mu.Unlock()
	if open > maxConns {
		t.Errorf("%d connections are open", open)
	}
	if _, err := conns[0].Read(make([]byte, 1)); err == nil {
		t.Error("the connection that waited longest is still open")
	}
}

func TestThe65thClientIsToldToComeLater(t *testing.T) {
	t.Parallel()
	w := start(t)
	var streams []context.CancelFunc
	for range MaxClients {
		ctx, cancel := context.WithCancel(t.Context())
		w.follow(ctx, "")
		streams = append(streams, cancel)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp := w.request(r)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	if code, _ := w.page(http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d", code)
	}
	if got := w.Status().Feed; got.Clients != 64 || got.Opened != 64 || got.Refused != 1 {
		t.Errorf("got %+v", got)
	}
	streams[0]()
	eventually(t, "there is room", func() bool { return w.Status().Feed.Clients == 63 })
	w.follow(t.Context(), "")
}

// With the streams, as many other connections are busy: whoever comes then is
// told so, without a request.
func TestConnectionsBeyondAllBoundsAreRefused(t *testing.T) {
	t.Parallel()
	busy := make(chan struct{})
	w := start(t, func(o *Options, p *timeouts) {
		p.status = time.Minute
		o.Status = func() Status { <-busy; return Status{} }
	})
	defer close(busy)
	for range MaxClients {
		w.dial(follow)
		w.dial("GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "all are busy", func() bool {
		w.gate.mu.Lock()
		defer w.gate.mu.Unlock()
		return len(w.gate.open) == maxConns && len(w.gate.waiting) == 0
	})
	line, err := bufio.NewReader(w.dial("")).ReadString('\n')
	if !strings.Contains(line, "503") {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestHealthCheckDoesNotHang(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	w := start(t, func(o *Options, p *timeouts) {
		p.status = 10 * time.Millisecond
		o.Status = func() Status { <-hang; return Status{} }
	})
	defer close(hang)
	for range 3 {
		for _, page := range []string{"/healthz", "/status", "/metrics"} {
			if code, text := w.page(http.MethodGet, page); code != http.StatusServiceUnavailable || !strings.Contains(text, "does not answer") {
				t.Errorf("%s: got %d %s", page, code, text)
			}
		}
	}
}

func TestCloseDoesNotWaitForClients(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *Options, p *timeouts) { p.close, p.request = 10*time.Millisecond, time.Hour })
	w.dial("GET /ev")
	w.dial(follow)
	eventually(t, "one is a client", func() bool { return w.Status().Feed.Clients == 1 })
	w.spool.Append(denials(1, 2000)) // more than fits between us
	begin := time.Now()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	eventually(t, "nobody is a client", func() bool { return w.Status().Feed.Clients == 0 })
}

func TestWrongRequestsAreRefusedInOneLine(t *testing.T) {
	t.Parallel()
	w := start(t)
	tests := []struct {
		method, page string
		code         int
		text         string // part of the answer
	}{
		{"GET", "/", 404, "there are /events, /status, /metrics and /healthz"},
		{"GET", "/event", 404, "/events"},
		{"POST", "/events", 405, ""},
		{"DELETE", "/status", 405, ""},
		{"GET", "/status?x=1", 400, "only /events takes parameters"},
		{"GET", "/events?folow=true", 400, `unknown parameter "folow"; there are after,`},
		{"GET", "/events?follow=maybe", 400, `follow="maybe": want true or false`},
		{"GET", "/events?follow", 400, `follow="": want true or false`},
		{"GET", "/events?follow=true&follow=true", 400, `"follow" is given 2 times`},
		{"GET", "/events?after=5", 400, `after="5": cursor "5": want ID:SEQ`},
		{"GET", "/events?after=0123456789abcdef:1&last=2", 400, "leave out since and last"},
		{"GET", "/events?since=soon", 400, `since "soon" is not a time; write how long ago`},
		{"GET", "/events?until=soon", 400, `until "soon" is not a time`},
		{"GET", "/events?since=1h&until=2h", 400, "until is not later than since"},
		{"GET", "/events?since=tomorrow", 400, `since "tomorrow" lies in the future`},
		{"GET", "/events?last=-1", 400, "want a number from 0 to 10000"},
		{"GET", "/events?last=10001", 400, "want a number from 0 to 10000"},
		{"GET", "/events?format=xml", 400, `format="xml": want json, text or spool`},
		{"GET", "/events?format=spool&raw=true", 400, "leave out raw and cursor"},
		{"GET", "/events?format=spool&cursor=true", 400, "leave out raw and cursor"},
		{"GET", "/events?events=acess", 400, `events="acess": unknown; did you mean "access"?`},
		{"GET", "/events?paths=tmp", 400, `paths="tmp": `},
		{"GET", "/events?not.ops=x", 400, `not.ops="x": `},
		{"GET", "/events?events=lost&paths=/x", 400, "matches no event"},
		{"GET", "/events?paths=" + repeated("/x", 20) + "&not.paths=" + repeated("/y", 13), 400, "paths and not.paths have 33 globs, at most 32 are allowed"},
		{"GET", "/events?paths=" + repeated("**/*x*y", 33), 400, "33 globs, at most 32"},
		{"GET", "/events?paths=/" + strings.Repeat("%3Fx", 129), 400, "paths and not.paths have 129 wildcards"},
		{"GET", "/events?paths=/[" + strings.Repeat("x", 128) + "]", 400, "have 129 wildcards"},
		{"GET", "/events?ops=" + repeated("EXECUTE", 65), 400, "ops has 65 values, at most 64 are allowed"},
		{"GET", "/events?not.hooks=" + repeated("MMAP", 65), 400, "not.hooks has 65 values"},
		{"GET", "/events?events=" + repeated("access", 65), 400, "events has 65 values"},
		{"GET", "/events?a=%zz", 400, "invalid URL escape"},
	}
	for _, tt := range tests {
		code, text := w.page(tt.method, tt.page)
		if code != tt.code || !strings.Contains(text, tt.text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s %s: got %d %q, want %d %q", tt.method, tt.page, code, text, tt.code, tt.text)
		}
	}
	if line, _ := bufio.NewReader(w.dial("GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")).ReadString('\n'); !strings.Contains(line, "400") {
		t.Errorf("a body: got %q", line)
	}
	if line, _ := bufio.NewReader(w.dial("GET /" + strings.Repeat("x", 20_000))).ReadString('\n'); !strings.Contains(line, "431") {
		t.Errorf("a huge request: got %q", line)
	}
	if code, text := w.page("HEAD", "/events?follow=true"); code != 200 || text != "" {
		t.Errorf("HEAD: got %d %q", code, text)
	}
}

// repeated returns a list of a value n times.
func repeated(value string, n int) string {
	return strings.Join(slices.Repeat([]string{value}, n), ",")
}

func TestWhatBoundsAllowIsAnswered(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, query := range []string{
		"paths=" + repeated("/x", 32), "paths=" + repeated("**/y*", 20) + "&not.paths=" + repeated("/x", 12),
		"paths=/" + strings.Repeat(`%5C%3F`, 200), "ops=" + repeated("EXECUTE", 64) + "&hooks=" + repeated("MMAP", 64),
	} {
		if code, text := w.page(http.MethodGet, "/events?"+query); code != http.StatusOK {
			t.Errorf("%s: got %d %s", query, code, text)
		}
	}
}

func TestListsAreSplitAtCommas(t *testing.T) {
	t.Parallel()
	if got := splitList(`/a\,b,/c\\,,/d\`); !slices.Equal(got, []string{`/a\,b`, `/c\\`, "", `/d\`}) {
		t.Errorf("got %q", got)
	}
}

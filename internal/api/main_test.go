package api

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// denial returns the record of a denied access to /tmp/N.
func denial(n int) spool.Record {
	return spool.Record{Type: ipe.TypeAccess, Time: time.Now().UnixNano(), Data: fmt.Appendf(nil,
		`audit(1795440937.705:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="sh" path="/tmp/%d" dev="vda" ino=7 rule="DEFAULT op=EXECUTE action=DENY"`, n, n, n)}
}

// switched returns the record of a switch to enforcing.
func switched() spool.Record {
	return spool.Record{Type: ipe.TypeMACStatus, Time: time.Now().UnixNano(), Data: []byte(
		`audit(1795440937.705:9): enforcing=1 old_enforcing=0 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1`)}
}

func denials(first, n int) []spool.Record {
	var recs []spool.Record
	for i := range n {
		recs = append(recs, denial(first+i))
	}
	return recs
}

// world is a server with its spool.
type world struct {
	*Server
	t     testing.TB
	spool *spool.Spool
	path  string
}

// start serves a spool that is kept in memory. It ends with the test.
func start(t testing.TB, change ...func(*Options, *timeouts)) *world {
	t.Helper()
	sp, err := spool.Open(spool.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, spool: sp, path: socketPath(t)}
	o := Options{Path: w.path, Mode: 0o600, Spool: sp, Host: func() []byte { return []byte("box") },
		Status:   func() Status { return Status{Version: "1.2.3", Spool: Measure(sp)} },
		ErrorLog: log.New(io.Discard, "", 0)}
	p := defaultTimeouts
	for _, c := range change {
		c(&o, &p)
	}
	if w.Server, err = listen(o, p); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.Serve() }()
	t.Cleanup(func() {
		sp.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// dial connects and sends text.
func (w *world) dial(text string) net.Conn {
	w.t.Helper()
	c, err := net.Dial("unix", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if text != "" {
		if _, err := io.WriteString(c, text); err != nil {
			w.t.Fatal(err)
		}
	}
	return c
}

// request sends a request as it stands.
func (w *world) request(r *http.Request) *http.Response {
	w.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", w.path)
	}}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// page returns a whole answer.
func (w *world) page(method, page string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://x"+page, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp := w.request(r)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// events returns the lines of a stream that ends.
func (w *world) events(query string) []string {
	w.t.Helper()
	code, text := w.page(http.MethodGet, "/events?"+query)
	if code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", query, code, text)
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

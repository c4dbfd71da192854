package otlp

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// receiver takes logs in OTLP, as a collector does.
type receiver struct {
	t   testing.TB
	url string

	mu       sync.Mutex
	got      [][]byte // requests of one record, as they were written
	requests []request
	broken   bool
	hangs    chan struct{} // closed when it goes on; nil when it does not hang

	// answer says what becomes of a request: of the seqs in it. Nil: all is taken. It
	// takes the records only if it returns 200.
	answer func(w http.ResponseWriter, seqs []int) int
}

// request is what came with one.
type request struct {
	seqs    []int
	headers http.Header
	path    string
	hosts   int // ResourceLogs
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL + logsPath
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	broken, hangs := r.broken, r.hangs
	r.mu.Unlock()
	if broken {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if hangs != nil {
		select {
		case <-hangs:
		case <-req.Context().Done():
			return
		}
	}
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(strings.NewReader(string(body)))
		if err == nil {
			body, err = io.ReadAll(z)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	entries, hosts, err := split(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var seqs []int
	for _, e := range entries {
		seqs = append(seqs, seqOf(e))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request{seqs, req.Header.Clone(), req.URL.String(), hosts})
	if r.answer != nil {
		if code := r.answer(w, seqs); code != http.StatusOK {
			w.WriteHeader(code)
			fmt.Fprintf(w, "no: code %d\nmore", code)
			return
		}
	}
	r.got = append(r.got, entries...)
}

// split takes a request apart, into requests of one record each.
func split(body []byte) (entries [][]byte, hosts int, err error) {
	for len(body) > 0 {
		logs, rest, err := field(body, tag1)
		if err != nil {
			return nil, 0, err
		}
		body = rest
		hosts++
		_, rest, err = field(logs, tag1)
		if err != nil {
			return nil, 0, err
		}
		resource := logs[:len(logs)-len(rest)]
		scopeLogs, rest, err := field(rest, tag2)
		if err != nil || len(rest) > 0 {
			return nil, 0, errors.Join(err, errEntry)
		}
		_, records, err := field(scopeLogs, tag1)
		if err != nil {
			return nil, 0, err
		}
		scope := scopeLogs[:len(scopeLogs)-len(records)]
		for len(records) > 0 {
			_, rest, err := field(records, tag2)
			if err != nil {
				return nil, 0, err
			}
			var b batch
			b.group(resource, scope)
			b.bytes = records[:len(records)-len(rest)]
			b.records = []record{{0, 0, len(b.bytes), origin{}}}
			entries = append(entries, b.appendRequest(nil, b.records))
			records = rest
		}
	}
	return entries, hosts, nil
}

// seqOf returns ipe.seq of a request of one record.
func seqOf(entry []byte) int {
	_, rest, ok := strings.Cut(string(entry), "ipe.seq\x12")
	if !ok {
		return -1
	}
	n, _ := binary.Uvarint([]byte(rest[2:])) // behind the length and the tag of int_value
	return int(n)
}

func (r *receiver) entries() ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got, nil
}

// seqs returns the numbers of what was taken, in order.
func (r *receiver) seqs() (list []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.got {
		list = append(list, seqOf(e))
	}
	return list
}

func (r *receiver) setBroken(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

func (r *receiver) hang() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = make(chan struct{})
}

func (r *receiver) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.hangs)
	r.hangs = nil
}

var encode = format.OTLP{Version: "1.0.0"}.Func()

// event returns the i-th denial, of a host.
func event(i int, host string) *sink.Entry {
	ev := &ipe.Event{
		Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Has: ipe.HasStamp, Time: 1795440956605 + int64(i), Type: 1420,
		Path: fmt.Appendf(nil, "/usr/bin/tool-%d%s", i, strings.Repeat("p", i*7%311)),
	}
	at := spool.Cursor{ID: 7, Seq: uint64(i)}
	c := format.Context{Identity: format.Identity{Spool: 7, Seq: at.Seq, Host: []byte(host)}}
	return &sink.Entry{Event: ev, Cursor: at, Bytes: encode(nil, ev, &c)}
}

// told collects what a sink gives up.
type told struct {
	mu   sync.Mutex
	list []sink.Refused
}

func (t *told) add(r sink.Refused) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, r)
}

func newSink(t testing.TB, o Options) *Sink {
	t.Helper()
	if o.Batch == 0 {
		o.Batch = 200
	}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	s, err := New(o)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// deliver writes events with the numbers first to last, and flushes.
func deliver(t testing.TB, s *Sink, first, last int) error {
	t.Helper()
	ctx := limited(t)
	check(t, s.Open(ctx))
	for i := first; i <= last; i++ {
		check(t, s.Write(ctx, event(i, "web1")))
	}
	return s.Flush(ctx)
}

func numbers(first, last int) (list []int) {
	for i := first; i <= last; i++ {
		list = append(list, i)
	}
	return list
}

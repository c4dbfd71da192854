package otlp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func Example() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}))
	defer receiver.Close()

	s, err := otlp.New(otlp.Options{Endpoint: receiver.URL + "/v1/logs", Batch: 200, Timeout: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := s.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ev := &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied}
	encode := format.OTLP{Version: "1.0.0"}.Func()
	if err := s.Write(ctx, &sink.Entry{Event: ev, Bytes: encode(nil, ev, &format.Context{})}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Flush(ctx))
	// Output:
	// POST /v1/logs application/x-protobuf
	// <nil>
}

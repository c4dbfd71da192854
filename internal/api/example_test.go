package api_test

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func Example() {
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	events, err := spool.Open(spool.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	events.Append([]spool.Record{{Type: ipe.TypeMACStatus, Data: []byte(
		"audit(1795440937.705:11): enforcing=0 old_enforcing=1 lsm=ipe res=1")}})

	path := filepath.Join(dir, "api.sock")
	server, err := api.Listen(api.Options{Path: path, Mode: 0o660, Spool: events,
		Status: func() api.Status { return api.Status{Spool: api.Measure(events)} }})
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- server.Serve() }()

	// As curl --unix-socket api.sock 'http://localhost/events?last=1' would.
	stream, err := api.NewClient(path).Events(context.Background(), url.Values{"last": {"1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	line, err := io.ReadAll(stream)
	fmt.Printf("%s%v\n", line[len(`{"spool":"0000000000000000",`):], err)
	stream.Close()

	events.Close() // so that streams get everything
	fmt.Println(server.Close(), <-served)
	// Output:
	// "seq":1,"time":"2026-11-23T13:35:37.705Z","serial":11,"type":1404,"event":"enforcement","dialect":"mainline","enforcing":false,"old_enforcing":true,"lsm":"ipe","res":true}
	// <nil>
	// <nil> <nil>
}

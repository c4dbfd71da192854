//go:build ignore

// Serves the metrics of the daemon to a Prometheus that scrapes over TCP, where the
// textfile collector of node_exporter is not an option (metrics.textfile):
//
//	go run prometheus.go 127.0.0.1:9798
//
// It needs nothing but the standard library, and the right to connect to the socket
// of the daemon. It passes on /metrics, and nothing else of the feed.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: prometheus HOST:PORT")
		os.Exit(2)
	}
	socket := cmp.Or(os.Getenv("IPE_AUDITD_SOCKET"), "/run/ipe-auditd/api.sock")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		answer, err := client.Get("http://localhost/metrics")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway) // Prometheus says that the target is down
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	})
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 20 * time.Second}
	fmt.Fprintln(os.Stderr, server.Serve(listener))
	os.Exit(1)
}

package eventsource

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// BenchmarkSources reads the same 20,000 records from each kind of source.
func BenchmarkSources(b *testing.B) {
	const n = 20_000
	dir := b.TempDir()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	var capture []byte
	le := binary.LittleEndian
	for i := range n {
		text := fmt.Appendf(nil, `audit(1795440%03d.%03d:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="sh" path="/usr/bin/tool%d" dev="dm-0" ino=%d rule="DEFAULT op=EXECUTE action=DENY"`,
			i/1000, i%1000, i, i, i%200, i%200)
		s.Append([]spool.Record{{Type: 1420, Time: time.Now().UnixNano(), Data: text}})
		capture = le.AppendUint64(capture, uint64(i+1))
		capture = le.AppendUint32(capture, 0)
		capture = le.AppendUint32(capture, uint32(16+len(text)))
		capture = le.AppendUint32(capture, uint32(16+len(text)))
		capture = append(capture, 1420&0xff, 1420>>8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		capture = append(capture, text...)
	}
	socket := filepath.Join(b.TempDir(), "s")
	server, err := api.Listen(api.Options{Path: socket, Mode: 0o600, Spool: s, Host: func() []byte { return []byte("web1") }, Status: func() api.Status { return api.Status{} }})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	defer func() {
		s.Close()
		server.Close()
		<-served
	}()
	var json []byte
	read(b, Options{Socket: socket}, n, func(ev *Event) {
		json = format.AppendJSON(json, &ev.Event, &format.Context{Identity: format.Identity{Spool: uint64(ev.At.ID), Seq: ev.At.Seq, Host: ev.Host, BootID: ev.BootID}})
	})
	for _, bb := range []struct {
		name    string
		options func() Options
	}{
		{"capture", func() Options { return Options{Names: []string{"-"}, Stdin: bytes.NewReader(capture)} }},
		{"directory", func() Options { return Options{Names: []string{dir}} }},
		{"feed", func() Options { return Options{Socket: socket} }},
		{"JSON", func() Options { return Options{Names: []string{"-"}, Stdin: bytes.NewReader(json)} }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				read(b, bb.options(), n, func(*Event) {})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}

// read reads a history of n events.
func read(b *testing.B, o Options, n int, take func(*Event)) {
	h, err := Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	for i := 0; ; i++ {
		ev, err := h.Next()
		if err == io.EOF && i >= n {
			return
		} else if err != nil {
			b.Fatalf("%d events: %v", i, err)
		}
		take(ev)
	}
}

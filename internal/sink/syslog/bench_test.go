package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

func TestWriteDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	path := t.TempDir() + "/log"
	local, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	check(t, err)
	defer local.Close()
	remote, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	defer remote.Close()
	l := listen(t)

	check(t, local.SetDeadline(time.Now().Add(patience)))
	check(t, remote.SetDeadline(time.Now().Add(patience)))
	ctx := limited(t)
	e := &sink.Entry{Bytes: bytes.Repeat([]byte("x"), 300)}
	buf := make([]byte, 1024)
	for _, tt := range []struct {
		network, address string
		read             func([]byte) (int, error) // make room for the next one
	}{
		{Unix, path, local.Read},
		{UDP, remote.LocalAddr().String(), remote.Read},
		{TCP, l.Addr().String(), func([]byte) (int, error) { return 0, nil }},
	} {
		s := newSink(t, Config{Network: tt.network, Target: tt.address})
		open(t, s)
		s.history.frames, s.history.marks = make([]byte, 0, maxPending), make([]mark, 0, 1000) // as after the first batches
		n := testing.AllocsPerRun(500, func() {
			if err := s.Write(ctx, e); err != nil {
				t.Fatal(err)
			}
			if _, err := tt.read(buf); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per Write, want 0", tt.network, n)
		}
	}
}

// Each iteration is one message; 64 of them are a batch.
func BenchmarkWrite(b *testing.B) {
	for _, network := range []string{Unix, TCP, TLS} {
		b.Run(network, func(b *testing.B) {
			o := Config{Network: network}
			var l net.Listener
			var err error
			switch network {
			case Unix:
				o.Target = b.TempDir() + "/log"
				c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: o.Target})
				check(b, err)
				defer c.Close()
				go discard(c)
			default:
				l, err = net.Listen("tcp", "127.0.0.1:0")
				check(b, err)
				defer l.Close()
				o.Target = l.Addr().String()
				if network == TLS {
					p := newPKI(b)
					l, o.CA = tls.NewListener(l, p.server(b)), p.ca
				}
				go func() {
					if c, err := l.Accept(); err == nil {
						discard(c)
					}
				}()
			}
			s := newSink(b, o)
			open(b, s)
			ctx := context.Background()
			e := &sink.Entry{Bytes: bytes.Repeat([]byte("x"), 600)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := s.Write(ctx, e); err != nil {
					b.Fatal(err)
				}
				if i%64 == 63 {
					if err := s.Flush(ctx); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func discard(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

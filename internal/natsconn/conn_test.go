package natsconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func ExampleCheckStream() {
	fmt.Println(CheckStream("IPE"))
	fmt.Println(CheckStream("ipe.*"))
	// Output:
	// <nil>
	// "ipe.*" is not the name of a stream; use letters, digits, - and _
}

// A server that accepts and then says nothing holds up nobody whose context ends.
func TestDialEndsWithTheContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			cancel()
			<-t.Context().Done()
		}
	}()
	_, err = Dial(ctx, &Options{Servers: []string{"nats://" + l.Addr().String()}, Timeout: time.Minute})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDialSaysWhyItFails(t *testing.T) {
	t.Parallel()
	creds := filepath.Join(t.TempDir(), "creds")
	if err := os.WriteFile(creds, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*Options)
		want   string
	}{
		{func(*Options) {}, "refused"},
		{func(o *Options) { o.Servers[0] = "nats://no.such.host.invalid:4222"; o.Timeout = 5 * time.Second }, "no.such.host.invalid"},
		{func(o *Options) { o.Credentials = creds }, "chmod 0600"},
		{func(o *Options) { o.Credentials = "/nonexistent" }, "no such file"},
		{func(o *Options) { o.Servers[0], o.Files.CA = "tls://127.0.0.1:1", creds }, "no certificate in"},
	} {
		o := &Options{Servers: []string{"nats://127.0.0.1:1"}, Timeout: time.Minute}
		tt.change(o)
		if _, err := Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

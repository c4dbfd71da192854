package nats_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nats"
)

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		keys           string
		servers        []string
		wrong, warning string
	}{
		{keys: "servers: [tls://a, 'tls://[::1]:1']", servers: []string{"tls://a:4222", "tls://[::1]:1"}},
		{keys: "stream: X", wrong: "has no servers"},
		{keys: "servers: [a]", wrong: "has no scheme"},
		{keys: "servers: [http://a]", wrong: "unknown scheme"},
		{keys: "servers: ['nats://u:p@a']", wrong: "does not belong into the configuration"},
		{keys: "servers: [nats://a, tls://b]", wrong: "partly tls://"},
		{keys: "servers: [nats://a], ca: /ca", wrong: "is for TLS"},
		{keys: "servers: [tls://a], key: /k", wrong: "needs its certificate"},
		{keys: "servers: [tls://a], stream: a.b", wrong: "not the name of a stream"},
		{keys: "servers: [tls://a], subject: 'x.{y}'", wrong: "unknown placeholder"},
		{keys: "servers: [tls://a], subject: '{host}.x', create: true", wrong: "begin it with a word"},
		{keys: "servers: [tls://a], format: text", wrong: "unknown value"},
		{keys: "servers: [nats://a], credentials: /c", warning: "use tls://"},
		{keys: "servers: [tls://a], coalesce: 10s", warning: "counts may be too high"},
	} {
		c, warnings, err := config.Parse("x", []byte("spool: {dir: /x}\nsinks: [{type: nats, "+tt.keys+"}]"))
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: got %v, want %q", tt.keys, err, tt.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.keys, err)
			continue
		}
		if got := c.Sinks[0].Settings.(*nats.Config).Servers; tt.servers != nil && !slices.Equal(got, tt.servers) {
			t.Errorf("%s: got %v", tt.keys, got)
		}
		if (len(warnings) > 0) != (tt.warning != "") || tt.warning != "" && !strings.Contains(warnings[0].Message, tt.warning) {
			t.Errorf("%s: warnings %v, want %q", tt.keys, warnings, tt.warning)
		}
	}
	_, _, err := config.Parse("x", []byte("sinks: [{name: a, type: nats, servers: [tls://a, tls://b]}, {name: b, type: nats, servers: [tls://b, 'tls://a:4222'], match: {events: [lost]}}]"))
	if err == nil || !strings.Contains(err.Error(), `writes to the same place as sink "a"`) {
		t.Errorf("two sinks to one stream: %v", err)
	}
}

// anybody may do everything.
type anybody struct{}

func (anybody) May(_ uint32, path string) error { _, err := os.Stat(path); return err }
func (anybody) String() string                  { return "user 0" }

func TestProbeSaysThatNobodyIsThere(t *testing.T) {
	t.Parallel()
	c := nats.NewConfig().(*nats.Config)
	c.Servers = []string{"nats://127.0.0.1:1"}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got := c.Probe(ctx, &sink.Host{Root: "/", User: anybody{}}); got.Status != probe.Failure || !strings.Contains(got.Text, "refused") {
		t.Errorf("got %+v", got)
	}
	c.Credentials = "/nonexistent"
	if got := c.Probe(ctx, &sink.Host{Root: "/", User: anybody{}}); got.Status != probe.Failure || !strings.Contains(got.Text, "may not read") {
		t.Errorf("got %+v", got)
	}
}

package nats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// Type is the name of this type of sink.
const Type = "nats"

// otlp is the format in which each message is a request of OpenTelemetry.
const otlp = "otlp"

// Config is what a sink of type nats has in the configuration.
type Config struct {
	Servers     []string      `yaml:"servers"` // URLs with ports
	Stream      string        `yaml:"stream"`
	Subject     string        `yaml:"subject"`
	Create      bool          `yaml:"create"`
	Format      string        `yaml:"format"`      // json or otlp
	Credentials string        `yaml:"credentials"` // file, absolute; empty for none
	CA          string        `yaml:"ca"`          // file, absolute; empty for the system's authorities
	Cert        string        `yaml:"cert"`        // file, absolute; empty for no client certificate
	Key         string        `yaml:"key"`         // file, absolute; set exactly when Cert is
	Timeout     time.Duration `yaml:"timeout"`
	Batch       int           `yaml:"batch"`
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings {
	return &Config{Stream: "IPE", Subject: "ipe.{host}.{event}", Format: format.JSON, Timeout: 10 * time.Second, Batch: 100}
}

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{
		"servers":     d.Texts(&c.Servers, checkServer),
		"stream":      d.Text(&c.Stream, natsconn.CheckStream),
		"subject":     d.Text(&c.Subject, func(s string) error { _, err := parseSubject(s); return err }),
		"create":      d.Bool(&c.Create),
		"format":      d.Text(&c.Format, schema.OneOf(format.JSON, otlp)),
		"credentials": d.Text(&c.Credentials, schema.AbsoluteFile),
		"ca":          d.Text(&c.CA, schema.AbsoluteFile),
		"cert":        d.Text(&c.Cert, schema.AbsoluteFile),
		"key":         d.Text(&c.Key, schema.AbsoluteFile),
		"timeout":     d.Duration(&c.Timeout, time.Second, 5*time.Minute),
		"batch":       d.Number(&c.Batch, 1, 10_000),
	}
}

// checkServer checks the URL of a server.
func checkServer(s string) error {
	scheme, rest, found := strings.Cut(s, "://")
	schemes := []string{natsconn.Plain, natsconn.TLS}
	switch {
	case !found:
		return fmt.Errorf("%s has no scheme; write tls://HOST:4222, or nats://", text.Quote(s))
	case !slices.Contains(schemes, scheme):
		return fmt.Errorf("unknown scheme %s%s", text.Quote(scheme), text.DidYouMean(scheme, schemes))
	case strings.Contains(rest, "@"):
		return errors.New("a password does not belong into the configuration; use credentials, or cert and key")
	}
	_, err := schema.HostPort(rest, natsconn.Port)
	return err
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) {
	if !s.Require("servers", "[tls://nats.example.com:4222]") {
		return
	}
	secure := strings.HasPrefix(c.Servers[0], natsconn.TLS+"://")
	for i, server := range c.Servers {
		scheme, rest, _ := strings.Cut(server, "://")
		if (scheme == natsconn.TLS) != secure {
			s.Errorf(s.Given["servers"], "%s.servers are partly tls:// and partly nats://; they are one cluster, so write the same for all", s.Name)
			return
		}
		target, _ := schema.HostPort(rest, natsconn.Port) // as was checked
		c.Servers[i] = scheme + "://" + target
	}
	for _, key := range []string{"ca", "cert", "key"} {
		if n := s.Given[key]; n != nil && !secure {
			s.Errorf(n, "%s.%s is for TLS, but the servers are nats://; use tls://, or remove it", s.Name, key)
		}
	}
	s.CheckCertificate()
	if n := s.Given["credentials"]; n != nil && !secure {
		s.Warnf(n, "%s.credentials prove who we are to servers that are not asked to: over nats:// anybody between may read and change what is sent; use tls://", s.Name)
	}
	if parts, err := parseSubject(c.Subject); err == nil && c.Create && ownSubject(parts) == "" {
		s.Errorf(s.Given["subject"], "%s.subject begins with a placeholder, so a stream made for it would take every message there is; begin it with a word, or make the stream yourself", s.Name)
	}
	if s.Coalesce > 0 {
		s.Warnf(s.Given["coalesce"], "%s.coalesce makes events of its own after a crash, which the stream cannot know as duplicates: counts may be too high; remove it, if that matters", s.Name)
	}
	if c.Format == format.JSON {
		s.CheckFormat(c.Format)
	}
}

// Target names the stream: the messages of two sinks would be duplicates of each
// other there.
func (c *Config) Target() string {
	servers := slices.Clone(c.Servers)
	slices.Sort(servers)
	return strings.Join(servers, " ") + " " + c.Stream
}

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	encode := format.AppendJSON
	if c.Format == otlp {
		encode = format.OTLP{Version: e.Version, HostID: e.HostID, Kernel: e.Kernel}.Func()
	}
	form, err := Form(c.Subject, encode)
	if err != nil {
		return sink.Built{}, err
	}
	o := c.options()
	o.Refused = e.Refused
	o.Warn = func(s string) { e.Warn(s, nil) }
	s, err := New(o)
	return sink.Built{Sink: s, Format: form, Batch: c.Batch}, err
}

func (c *Config) options() Options {
	return Options{
		Servers: c.Servers, Stream: c.Stream, Subject: c.Subject, Create: c.Create, JSON: c.Format == format.JSON,
		Credentials: c.Credentials, Files: certs.Files{CA: c.CA, Cert: c.Cert, Key: c.Key},
		Timeout: c.Timeout, Batch: c.Batch,
	}
}

// Probe connects and looks at the stream, without changing anything.
func (c *Config) Probe(ctx context.Context, h *sink.Host) probe.Finding {
	if found, ok := h.MayRead("a certificate, key or credentials", c.CA, c.Cert, c.Key, c.Credentials); !ok {
		return found
	}
	o := c.options()
	conn, err := natsconn.Dial(ctx, o.conn())
	switch {
	case errors.Is(err, fs.ErrPermission):
		return probe.CannotTell("whether "+c.Servers[0]+" can be reached", "the right to read its certificates and credentials", err)
	case err != nil:
		return probe.Bad("see whether a server runs, its name resolves, no firewall is between, and credentials and certificates fit", "%s: %v", strings.Join(c.Servers, ", "), err)
	}
	defer conn.Close()
	_, warnings, err := o.lookAtStream(ctx, conn, false)
	switch {
	case err != nil && c.Create && strings.Contains(err.Error(), "there is no stream"):
		return probe.Good("%s can be reached; the stream %s is made at the first start", conn.NATS.ConnectedUrlRedacted(), c.Stream)
	case err != nil:
		return probe.Bad("correct the stream, or what the user of the credentials may do", "%v", err)
	case len(warnings) > 0:
		return probe.Dubious("change the stream", "%s", strings.Join(warnings, "; "))
	}
	return probe.Good("stream %s can be reached at %s", c.Stream, conn.NATS.ConnectedUrlRedacted())
}

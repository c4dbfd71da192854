package otlp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// Type is the name of this type of sink.
const Type = "otlp"

// logsPath is where a receiver takes logs, unless told otherwise (OTLP specification,
// "OTLP/HTTP Request").
const logsPath = "/v1/logs"

// The values of compression.
const (
	compressGzip = "gzip"
	compressNone = "none"
)

// Config is what a sink of type otlp has in the configuration.
type Config struct {
	Endpoint    string        `yaml:"endpoint"`    // with the path that is posted to
	Compression string        `yaml:"compression"` // gzip or none
	Batch       int           `yaml:"batch"`       // the most events of one request
	Timeout     time.Duration `yaml:"timeout"`     // of one request
	HeadersFile string        `yaml:"headers_file"`
	CA          string        `yaml:"ca"`   // file, absolute; empty for the system's authorities
	Cert        string        `yaml:"cert"` // file, absolute; empty for no client certificate
	Key         string        `yaml:"key"`  // file, absolute; set exactly when Cert is
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings {
	return &Config{Compression: compressGzip, Batch: 200, Timeout: 10 * time.Second}
}

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{
		"endpoint":     d.Text(&c.Endpoint, c.parseEndpoint),
		"compression":  d.Text(&c.Compression, schema.OneOf(compressGzip, compressNone)),
		"batch":        d.Number(&c.Batch, 1, 10_000),
		"timeout":      d.Duration(&c.Timeout, time.Second, 5*time.Minute),
		"headers_file": d.Text(&c.HeadersFile, schema.AbsoluteFile),
		"ca":           d.Text(&c.CA, schema.AbsoluteFile),
		"cert":         d.Text(&c.Cert, schema.AbsoluteFile),
		"key":          d.Text(&c.Key, schema.AbsoluteFile),
	}
}

// parseEndpoint checks a URL.
func (c *Config) parseEndpoint(s string) error {
	if err := schema.PrintableText(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%s is not a URL; write https://HOST:4318, with the path if that is not %s", text.Quote(s), logsPath)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("unknown scheme %s%s", text.Quote(u.Scheme), text.DidYouMean(u.Scheme, []string{"http", "https"}))
	case u.User != nil:
		return errors.New("a password does not belong into the configuration; put Authorization: into headers_file")
	case u.Fragment != "":
		return fmt.Errorf("%s has a fragment (#), which no receiver gets; remove it", text.Quote(s))
	}
	return nil
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) {
	if !s.Require("endpoint", "https://collector.example.com:4318") {
		return
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return // was said
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = logsPath
		c.Endpoint = u.String()
	}
	s.CheckCertificate()
	if u.Scheme == "https" {
		return
	}
	for _, key := range []string{"ca", "cert", "key"} {
		if n := s.Given[key]; n != nil {
			s.Errorf(n, "%s.%s is for TLS, but the endpoint is http://; use https://, or remove it", s.Name, key)
		}
	}
	if n := s.Given["headers_file"]; n != nil && !isLoopback(u.Hostname()) {
		s.Warnf(n, "%s.headers_file is sent where others can read it, because the endpoint is http://; use https://", s.Name)
	}
}

// isLoopback reports whether a host is this one by its name or address.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	o := c.options(e.Version)
	o.Refused = e.Refused
	s, err := New(o)
	form := format.OTLP{Version: e.Version, HostID: e.HostID, Kernel: e.Kernel}
	return sink.Built{Sink: s, Format: form.Func(), Batch: c.Batch}, err
}

func (c *Config) options(version string) Options {
	return Options{
		Endpoint: c.Endpoint, Gzip: c.Compression == compressGzip, Batch: c.Batch, Timeout: c.Timeout,
		HeadersFile: c.HeadersFile, Files: certs.Files{CA: c.CA, Cert: c.Cert, Key: c.Key}, Version: version,
	}
}

// Probe sends a request without events.
func (c *Config) Probe(ctx context.Context, h *sink.Host) probe.Finding {
	if found, ok := h.MayRead("a certificate, key or headers_file", c.CA, c.Cert, c.Key, c.HeadersFile); !ok {
		return found
	}
	o := c.options("")
	to := shown(c.Endpoint)
	client, err := newClient(&o)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return probe.CannotTell("whether "+to+" takes events", "the right to read its certificates and headers_file", err)
	case err != nil:
		return probe.Bad("correct the file", "%v", err)
	}
	defer client.close()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	a, err := client.post(ctx, nil)
	var resolve *net.DNSError
	switch {
	case errors.As(err, &resolve):
		return probe.Bad("correct the name, or see why it does not resolve", "%s: %v", to, err)
	case err != nil:
		return probe.Bad("see whether the receiver runs, no firewall is between, certificates fit, and HTTPS_PROXY or NO_PROXY say what they should", "%s: %v", to, err)
	case a.success():
		return probe.Good("%s takes requests", to)
	case a.code == 401 || a.code == 403:
		return probe.Bad("put a key that is valid into headers_file", "%s answers %v", to, a)
	case a.code == 404 || a.code == 405:
		return probe.Bad("give endpoint the path where the receiver takes logs in OTLP", "%s answers %v", to, a)
	case a.code == 429 || a.code/100 == 5:
		return probe.Bad("see why the receiver takes nothing", "%s answers %v", to, a)
	}
	return probe.Dubious("see whether it takes logs in OTLP over HTTP, as protobuf", "%s answers %v to a request without events", to, a)
}

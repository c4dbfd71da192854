package syslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// Type is the name of this type of sink.
const Type = "syslog"

// Bounds of max_message, beside LeastMessage.
const (
	// UsualMessage is how long a message every usual receiver takes on a stream as
	// it is delivered, in octets: rsyslog, which cuts longer ones in two, has 8096
	// for what its manual calls 8k (maxMessageSize).
	UsualMessage units.Size = 8096

	mostMessage = units.MiB
)

// Config is what a sink of type syslog has in the configuration.
type Config struct {
	Address  string `yaml:"address"` // as in the file
	Network  string `yaml:"-"`       // the scheme of Address: Unix, UDP, TCP or TLS
	Target   string `yaml:"-"`       // the rest of Address: an absolute path, or host:port
	Facility string `yaml:"facility"`
	RFC      int    `yaml:"rfc"`   // 3164 or 5424
	SDID     string `yaml:"sd_id"` // SD-ID of the structured data of RFC 5424
	CA       string `yaml:"ca"`    // file, absolute; empty for the system's authorities
	Cert     string `yaml:"cert"`  // file, absolute; empty for no client certificate
	Key      string `yaml:"key"`   // file, absolute; set exactly when Cert is

	// MaxMessage is how long a message may be, in octets without what frames it;
	// longer ones are shortened. 0 on unix and udp: what fits.
	MaxMessage units.Size `yaml:"max_message"`
	Framing    string     `yaml:"framing"` // Octet or LF; empty on unix and udp
}

// NewConfig returns the defaults.
func NewConfig() sink.Settings { return &Config{Facility: "authpriv", SDID: "ipe@32473"} }

// Keys implements [sink.Settings].
func (c *Config) Keys(d *schema.Decoder) schema.Keys {
	return schema.Keys{
		"address":     d.Text(&c.Address, c.parseAddress),
		"facility":    d.Text(&c.Facility, schema.OneOf(facilityNames()...)),
		"rfc":         d.OneNumberOf(&c.RFC, 3164, 5424),
		"sd_id":       d.Text(&c.SDID, checkSDID),
		"ca":          d.Text(&c.CA, schema.AbsoluteFile),
		"cert":        d.Text(&c.Cert, schema.AbsoluteFile),
		"key":         d.Text(&c.Key, schema.AbsoluteFile),
		"max_message": d.Size(&c.MaxMessage, LeastMessage, mostMessage),
		"framing":     d.Text(&c.Framing, schema.OneOf(Octet, LF)),
	}
}

// Check implements [sink.Settings].
func (c *Config) Check(s *sink.Section) {
	if !s.Require("address", "tls://logs.example.com:6514") {
		return
	}
	switch {
	case s.Given["rfc"] == nil && c.Network == Unix && isLocalLog(c.Target):
		c.RFC = 3164
	case s.Given["rfc"] == nil:
		c.RFC = 5424
	}
	if n := s.Given["sd_id"]; n != nil && c.RFC == 3164 {
		s.Errorf(n, "%s.sd_id is for structured data, which RFC 3164 does not have; set rfc: 5424, or remove it", s.Name)
	}
	if c.RFC == 3164 && s.Raw {
		s.Errorf(s.Given["raw"], "%s.raw adds nothing to RFC 3164, which has no fields; set rfc: 5424, or remove it", s.Name)
	}
	if c.Network == TCP || c.Network == TLS {
		c.checkStream(s)
	} else if n := s.Given["framing"]; n != nil {
		s.Errorf(n, "%s.framing is for tcp and tls, where a message is no datagram; the address is %s://, so remove it", s.Name, c.Network)
	}
	for _, key := range []string{"ca", "cert", "key"} {
		if n := s.Given[key]; n != nil && c.Network != TLS {
			s.Errorf(n, "%s.%s is for TLS, but the address is %s://; use tls://, or remove it", s.Name, key, c.Network)
		}
	}
	s.CheckCertificate()
}

// checkStream sets the defaults of tcp and tls.
func (c *Config) checkStream(s *sink.Section) {
	if s.Given["framing"] == nil {
		c.Framing = Octet
	}
	switch n := s.Given["max_message"]; {
	case n == nil:
		c.MaxMessage = UsualMessage
	case c.MaxMessage > UsualMessage:
		s.Warnf(n, "%s.max_message is more than receivers take unless they are told to, and what one cuts off may become a log line of its own: make sure that this one takes %d octets (rsyslog: maxMessageSize, syslog-ng: log-msg-size), or set %d or less", s.Name, int64(c.MaxMessage), int64(UsualMessage))
	}
}

// isLocalLog reports whether a socket is that of the local syslog, behind which
// journald reads RFC 3164 only (systemd-journald.service(8)).
func isLocalLog(p string) bool {
	return p == "/dev/log" || p == "/run/systemd/journal/dev-log"
}

// parseAddress sets Network and Target.
func (c *Config) parseAddress(address string) error {
	schemes := []string{Unix, UDP, TCP, TLS}
	network, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		return fmt.Errorf("%s has no scheme; write unix:///dev/log, or udp://, tcp:// or tls:// and host:port", text.Quote(address))
	case !slices.Contains(schemes, network):
		return fmt.Errorf("unknown scheme %s%s", text.Quote(network), text.DidYouMean(network, schemes))
	case network == Unix:
		if err := schema.AbsoluteFile(rest); err != nil {
			return fmt.Errorf("%w, as in unix:///dev/log", err)
		}
		c.Network, c.Target = network, path.Clean(rest)
		return schema.SocketPath(rest)
	}
	// The default port is that of RFC 5426, or of RFC 5425 for TLS, which plain TCP
	// borrows from UDP.
	port := "514"
	if network == TLS {
		port = "6514"
	}
	target, err := schema.HostPort(rest, port)
	if err != nil {
		return err
	}
	c.Network, c.Target = network, target
	return nil
}

// checkSDID checks an SD-ID of our own: name@number (RFC 5424, section 6.3.2).
func checkSDID(s string) error {
	name, number, _ := strings.Cut(s, "@")
	bad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`="]`, r) }
	if name == "" || len(s) > 32 || strings.ContainsFunc(name, bad) || strings.Trim(number, "0123456789.") != "" || number == "" {
		return fmt.Errorf("%s is not an SD-ID; write a name, @ and your private enterprise number, as in ipe@32473", text.Quote(s))
	}
	return nil
}

// Build implements [sink.Settings].
func (c *Config) Build(e *sink.Environment) (sink.Built, error) {
	facility, ok := facilityCode(c.Facility)
	if !ok {
		return sink.Built{}, fmt.Errorf("unknown facility %q", c.Facility)
	}
	form := format.Syslog{Facility: facility, SDID: c.SDID, PID: os.Getpid()}
	encode, err := form.RFC5424()
	if c.RFC == 3164 {
		encode, err = form.RFC3164()
	}
	if err != nil {
		return sink.Built{}, err
	}
	s, err := New(c)
	if err != nil {
		return sink.Built{}, err
	}
	if e.Refused != nil {
		s.refuse = e.Refused
	}
	s.shorten = func(octets int) {
		e.Warn("the receiver ends connections at long messages, so they are shortened from now on: set max_message to what it takes",
			fmt.Errorf("no more than %d octets were taken", octets))
	}
	return sink.Built{Sink: s, Format: encode}, nil
}

// Probe finds out whether the receiver accepts a connection.
func (c *Config) Probe(ctx context.Context, h *sink.Host) probe.Finding {
	if found, ok := h.MayRead("a certificate or key", c.CA, c.Cert, c.Key); !ok {
		return found
	}
	s, err := New(c)
	if err == nil {
		err = s.Probe(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return probe.CannotTell("whether "+c.Address+" can be reached", "the right to connect to it, and to read its certificates", err)
	case err != nil:
		return probe.Bad("see whether the receiver runs, its name resolves, no firewall is between, and certificates fit", "%v", err)
	case c.Network == UDP:
		return probe.Good("there is a way to %s; nobody can tell whether it listens", c.Address)
	case c.Network != Unix && c.MaxMessage > UsualMessage:
		return probe.Dubious(fmt.Sprintf("make sure that it takes %d octets (rsyslog: maxMessageSize, syslog-ng: log-msg-size), or set max_message to %d or less", int64(c.MaxMessage), int64(UsualMessage)),
			"%s accepts connections, but max_message is more than receivers take unless they are told to: what one cuts off may become a log line of its own", c.Address)
	}
	return probe.Good("%s accepts connections", c.Address)
}

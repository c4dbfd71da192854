package syslog

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
)

// handshake makes c a TLS connection.
func (c *stream) handshake(ctx context.Context, o *Config) error {
	host, _, err := net.SplitHostPort(o.Target)
	if err != nil {
		return err
	}
	config, err := certs.Files{CA: o.CA, Cert: o.Cert, Key: o.Key}.Client(host)
	if err != nil {
		return err
	}
	c.tls = tls.Client(c.tcp, config)
	c.io = c.tls
	return c.tls.HandshakeContext(ctx)
}

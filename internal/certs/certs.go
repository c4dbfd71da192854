package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Files are names of files in PEM. Each may be empty.
type Files struct {
	CA   string // who signs the server's certificate; empty: whom the system trusts
	Cert string // our own certificate, and those that lead to its authority; empty: none
	Key  string // the private key of Cert
}

// Client reads the files for connections to a server of that name. An empty name
// leaves it to whoever connects.
func (f Files) Client(server string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate authority: no certificate in %s", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("own certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

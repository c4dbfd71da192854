package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"
)

// certify makes an authority, ca.pem, and a certificate for 127.0.0.1 and
// e2e.test, peer.pem with peer.key, in the folder of the farm.
func certify(f *farm) {
	t := f.t
	t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey := newKey(t)
	f.pem("ca.pem", "CERTIFICATE", sign(t, ca, ca, caKey, caKey))
	peer := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"e2e.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	peerKey := newKey(t)
	f.pem("peer.pem", "CERTIFICATE", sign(t, peer, ca, peerKey, caKey))
	der, err := x509.MarshalPKCS8PrivateKey(peerKey)
	check(t, err)
	f.pem("peer.key", "PRIVATE KEY", der)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func sign(t *testing.T, c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	c.Subject.CommonName = c.SerialNumber.String()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	check(t, err)
	return der
}

func (f *farm) pem(name, kind string, der []byte) {
	f.t.Helper()
	check(f.t, os.WriteFile(f.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

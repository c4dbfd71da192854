package vm

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Key signs policies.
type Key struct {
	// Certificate is in DER.
	Certificate []byte

	certFile, keyFile string
}

// NewKey makes a key and a certificate for it, and keeps both in dir.
func NewKey(dir, name string) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-24 * time.Hour), // the guest's clock may be behind
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	k := &Key{Certificate: cert, certFile: filepath.Join(dir, name+".cert.pem"), keyFile: filepath.Join(dir, name+".key.pem")}
	for file, block := range map[string]*pem.Block{
		k.certFile: {Type: "CERTIFICATE", Bytes: cert},
		k.keyFile:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Sign returns the policy as IPE takes it: a PKCS#7 message that holds the
// text, without signed attributes (Documentation/admin-guide/LSM/ipe.rst).
func (k *Key) Sign(policy string) ([]byte, error) {
	return k.sign([]byte(policy), "-nodetach", "-nosmimecap")
}

// SignDetached returns a signature of data as fs-verity and dm-verity take it: a
// PKCS#7 message without the data
// (Documentation/filesystems/fsverity.rst, "Built-in signature verification").
func (k *Key) SignDetached(data []byte) ([]byte, error) {
	return k.sign(data, "-nocerts")
}

func (k *Key) sign(data []byte, options ...string) ([]byte, error) {
	cmd := exec.Command("openssl", append([]string{
		"smime", "-sign", "-signer", k.certFile, "-inkey", k.keyFile, "-binary", "-noattr", "-outform", "der",
	}, options...)...)
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("openssl smime: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

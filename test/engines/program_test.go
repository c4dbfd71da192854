package engines

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ipe-auditd/ipe-auditd/internal/certs"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.issue("ca")
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key. The first one is the authority's own.
func (a *authority) issue(name string) (cert, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(a.t, err)
	a.n++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	check(a.t, err)
	if a.cert == nil {
		a.cert, err = x509.ParseCertificate(der)
		check(a.t, err)
		a.key = key
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(a.t, err)
	cert, keyFile = a.file(name+".pem"), a.file(name+".key")
	check(a.t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(a.t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, keyFile
}

// demanding returns the configuration of a server that wants a certificate of ours.
func (a *authority) demanding() *tls.Config {
	a.t.Helper()
	cert, key := a.issue("server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	check(a.t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
}

// Over TLS both sides show who they are; who does not is refused, and says why.
func TestTLS(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.issue("client")
	config := a.demanding()
	s := startServer(t, func(o *server.Options) { o.TLSConfig, o.TLSVerify, o.TLSTimeout = config, true, 10 })
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	web.TLS = config.Clone()
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	for _, tt := range []struct {
		name  string
		files certs.Files
		wrong string
	}{
		{"right", certs.Files{CA: a.file("ca.pem"), Cert: cert, Key: key}, ""},
		{"no certificate", certs.Files{CA: a.file("ca.pem")}, "certificate required"},
		{"a stranger's server", certs.Files{CA: stranger.file("ca.pem"), Cert: cert, Key: key}, "unknown authority"},
		{"not in the system's store", certs.Files{Cert: cert, Key: key}, "unknown authority"},
	} {
		out, _ := newSink(t, "tls://"+address(s), func(o *natsOptions) { o.Files, o.Create, o.Timeout = tt.files, true, 10*time.Second })
		err := deliver(t, out, denial(form(t, format.AppendJSON), "a", 1, longAgo, 0))
		// Of TLS 1.3 the server's no comes after the handshake, and may come too late.
		wrong := strings.Replace(tt.wrong, "certificate required", "tls", 1)
		if (err != nil) != (wrong != "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("nats, %s: got %v, want %q", tt.name, err, tt.wrong)
		}
		post, err := otlp.New(otlp.Options{Endpoint: web.URL + "/v1/logs", Batch: 10, Timeout: 10 * time.Second, Files: tt.files})
		check(t, err)
		check(t, post.Open(limited(t)))
		check(t, post.Write(limited(t), denial(format.OTLP{}.Func(), "a", 1, longAgo, 0)))
		err = post.Flush(limited(t))
		check(t, post.Close())
		if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("otlp, %s: got %v, want %q", tt.name, err, tt.wrong)
		}
	}
	place := fmt.Sprintf("tls://%s/IPE?ca=%s&cert=%s&key=%s", address(s), a.file("ca.pem"), cert, key)
	if out, complaint, code := run(t, "tail", "--no-follow", place); code != 0 || !strings.Contains(out, "tool-1") {
		t.Errorf("tail over TLS: exit %d, %s%s", code, out, complaint)
	}
	if _, complaint, code := run(t, "report", "tls://"+address(s)+"/IPE"); code != 1 || !strings.Contains(complaint, "unknown authority") {
		t.Errorf("report without the authority: exit %d, %s", code, complaint)
	}
}

// The user and password of a stream's URL are used, and never shown.
func TestPasswordsOfStreamsAreNotShown(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *server.Options) { o.Username, o.Password = "reader", "secret" })
	makeStream(t, streams(t, "nats://reader:secret@"+address(s)), nil)
	for _, command := range []string{"report", "readiness", "tail"} {
		arguments := []string{command}
		if command == "tail" {
			arguments = append(arguments, "--no-follow")
		}
		out, complaint, code := run(t, append(arguments, "nats://reader:secret@"+address(s)+"/IPE")...)
		if strings.Contains(out+complaint, "secret") || code == 1 {
			t.Errorf("%s: exit %d, %s%s", command, code, out, complaint)
		}
		out, complaint, code = run(t, append(arguments, "nats://reader:wrongsecret@"+address(s)+"/IPE")...)
		if strings.Contains(out+complaint, "secret") || code == 0 || !strings.Contains(strings.ToLower(complaint), "authorization") {
			t.Errorf("%s with a wrong password: exit %d, %s%s", command, code, out, complaint)
		}
	}
}

// A dead engine costs the others nothing, and its events are told to wait; through a
// proxy the receiver is reached.
func TestTheProgramWithADeadEngineAndAProxy(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.String())
	}))
	t.Cleanup(proxy.Close)
	dir := t.TempDir()
	file, config, input := filepath.Join(dir, "events.json"), filepath.Join(dir, "c.yaml"), filepath.Join(dir, "audit.log")
	check(t, os.WriteFile(input, audited(0, 500), 0o600))
	dead := freePort(t)
	check(t, os.WriteFile(config, fmt.Appendf(nil, `
api: {path: ""}
sinks:
  - {type: file, path: %s}
  - {type: otlp, endpoint: "http://collector.invalid:4318"}
  - {name: dead, type: otlp, endpoint: "http://127.0.0.1:%d"}
  - {type: nats, servers: ["nats://127.0.0.1:%d"]}
`, file, dead, dead), 0o600))
	path, err := program()
	check(t, err)
	cmd := exec.CommandContext(limited(t), path, "--config", config, "--input", input, "--timeout", "3s")
	cmd.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(file)
	check(t, err)
	if n := strings.Count(string(lines), `"event":"access"`); n != 500 {
		t.Errorf("the file has %d events, want 500", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) == 0 || asked[0] != "http://collector.invalid:4318/v1/logs" {
		t.Errorf("the proxy was asked for %q", asked)
	}
	if s := string(out); !strings.Contains(s, "dead") || !strings.Contains(s, "nats") || !strings.Contains(s, "refused") {
		t.Errorf("it says %s", s)
	}
}

// A record that a receiver refuses is told in the spool and the log of the program,
// and costs nothing else.
func TestTheProgramTellsWhatWasRefused(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b [1 << 16]byte
		n := 0
		for {
			k, err := r.Body.Read(b[n:])
			if n += k; err != nil {
				break
			}
		}
		if strings.Contains(string(b[:n]), "/p42 comm=sh") {
			http.Error(w, "I do not like 42", http.StatusBadRequest)
		}
	}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	config, input := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "audit.log")
	check(t, os.WriteFile(input, audited(0, 100), 0o600))
	check(t, os.WriteFile(config, fmt.Appendf(nil, "api: {path: \"\"}\nsinks: [{type: otlp, endpoint: %q, compression: none}]\n", receiver.URL), 0o600))
	if _, complaint, code := run(t, "--config", config, "--input", input); code != 0 || !strings.Contains(complaint, "I do not like 42") || !strings.Contains(complaint, `"seq": 43`) {
		t.Errorf("exit %d: %s", code, complaint)
	}
}

package otlp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/probe"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
)

func TestEndpointIsWhatIsPostedTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ keys, want, wrong, warning string }{
		{keys: `endpoint: "https://h"`, want: "https://h/v1/logs"},
		{keys: `endpoint: "https://h:4318/"`, want: "https://h:4318/v1/logs"},
		{keys: `endpoint: "http://[::1]:9428/insert/opentelemetry/v1/logs?x=y"`, want: "http://[::1]:9428/insert/opentelemetry/v1/logs?x=y"},
		{keys: `endpoint: "http://h?x=y"`, want: "http://h/v1/logs?x=y"},
		{keys: `endpoint: h:4318`, wrong: "is not a URL"},
		{keys: `endpoint: "https://"`, wrong: "is not a URL"},
		{keys: `endpoint: "grpc://h"`, wrong: `unknown scheme "grpc"`},
		{keys: `endpoint: "https://u:p@h"`, wrong: "put Authorization: into headers_file"},
		{keys: `endpoint: "https://h#f"`, wrong: "has a fragment"},
		{keys: `batch: 5`, wrong: "has no endpoint"},
		{keys: `endpoint: "http://h", ca: /ca`, wrong: "is for TLS"},
		{keys: `endpoint: "https://h", cert: /c`, wrong: "cert needs its key"},
		{keys: `endpoint: "https://h", batch: 0`, wrong: "out of range"},
		{keys: `endpoint: "https://h", compression: zstd`, wrong: "unknown value"},
		{keys: `endpoint: "http://h", headers_file: /h`, want: "http://h/v1/logs", warning: "others can read it"},
		{keys: `endpoint: "http://127.0.0.1:4318", headers_file: /h`, want: "http://127.0.0.1:4318/v1/logs"},
	} {
		c, warnings, err := config.Parse("x", []byte("spool: {dir: /x}\nsinks: [{type: otlp, "+tt.keys+"}]"))
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: got %v, want %q", tt.keys, err, tt.wrong)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", tt.keys, err)
			continue
		}
		if got := c.Sinks[0].Settings.(*otlp.Config).Endpoint; got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.keys, got, tt.want)
		}
		if (len(warnings) > 0) != (tt.warning != "") || tt.warning != "" && !strings.Contains(warnings[0].Message, tt.warning) {
			t.Errorf("%s: warnings %v, want %q", tt.keys, warnings, tt.warning)
		}
	}
}

// anybody may do everything.
type anybody struct{}

func (anybody) May(_ uint32, path string) error { _, err := os.Stat(path); return err }
func (anybody) String() string                  { return "user 0" }

func TestProbeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("a: b"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		code   int
		status probe.Status
		text   string
		change func(*otlp.Config)
	}{
		{200, probe.OK, "takes requests", nil},
		{401, probe.Failure, "401 Unauthorized", nil},
		{404, probe.Failure, "404 Not Found", nil},
		{400, probe.Warning, "to a request without events", nil},
		{503, probe.Failure, "503", nil},
		{200, probe.Failure, "refused", func(c *otlp.Config) { c.Endpoint = "http://127.0.0.1:1/v1/logs" }},
		{200, probe.Failure, "no such host", func(c *otlp.Config) { c.Endpoint = "http://no.such.host.invalid/v1/logs" }},
		{200, probe.Failure, "may not read", func(c *otlp.Config) { c.HeadersFile = "/nonexistent" }},
		{200, probe.Failure, "chmod 0600", func(c *otlp.Config) { c.HeadersFile = headers }},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(tt.code) }))
		defer s.Close()
		c := otlp.NewConfig().(*otlp.Config)
		c.Endpoint = s.URL + "/v1/logs"
		if tt.change != nil {
			tt.change(c)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		got := c.Probe(ctx, &sink.Host{Root: "/", User: anybody{}})
		cancel()
		if tt.text == "no such host" && !strings.Contains(got.Text, tt.text) {
			tt.text = "lookup" // a resolver that does not answer
		}
		if got.Status != tt.status || !strings.Contains(got.Text, tt.text) {
			t.Errorf("%d: got %+v, want %s that says %q", tt.code, got, tt.status, tt.text)
		}
	}
}

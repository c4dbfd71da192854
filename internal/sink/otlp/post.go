package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	contentTypeProtobuf = "application/x-protobuf"

	// mostRetryAfter is the longest time that a receiver may ask to be left alone for.
	mostRetryAfter = 5 * time.Minute

	// idleTimeout is how long a connection is kept without a request. It is shorter than
	// that of most receivers, so that none closes it under a request.
	idleTimeout = 30 * time.Second
)

// client posts requests.
type client struct {
	http    *http.Client
	url     string
	headers http.Header
	gzip    *gzip.Writer // nil: not compressed
	packed  bytes.Buffer
}

// newClient reads the files that o names.
func newClient(o *Options) (*client, error) {
	headers, err := readHeaders(o.HeadersFile)
	if err != nil {
		return nil, err
	}
	tls, err := o.Files.Client("")
	if err != nil {
		return nil, err
	}
	headers.Set("Content-Type", contentTypeProtobuf)
	if headers.Get("User-Agent") == "" {
		headers.Set("User-Agent", "ipe-auditd/"+o.Version)
	}
	c := &client{url: o.Endpoint, headers: headers, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: tls, ForceAttemptHTTP2: true,
			MaxConnsPerHost: 1, IdleConnTimeout: idleTimeout, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if o.Gzip {
		headers.Set("Content-Encoding", "gzip")
		c.gzip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one
	}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what a receiver said to a request.
type answer struct {
	code       int
	rejected   uint64 // records, with a code of 2xx
	message    string
	retryAfter time.Duration // 0: it did not say
}

// String says it for a person.
func (a *answer) String() string {
	s := strconv.Itoa(a.code)
	if text := http.StatusText(a.code); text != "" {
		s += " " + text
	}
	if a.message != "" {
		s += ": " + a.message
	}
	return s
}

func (a *answer) success() bool { return a.code/100 == 2 }

// post sends a request. An error says that there is no answer.
func (c *client) post(ctx context.Context, body []byte) (*answer, error) {
	if c.gzip != nil {
		c.packed.Reset()
		c.gzip.Reset(&c.packed)
		_, _ = c.gzip.Write(body) // into memory
		_ = c.gzip.Close()
		body = c.packed.Bytes()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = c.headers
	response, err := c.http.Do(request)
	if err != nil {
		if e, ok := err.(*url.Error); ok {
			err = e.Err // without the URL, whose query may be a secret
		}
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	a := &answer{code: response.StatusCode}
	if a.success() {
		if err != nil { // it may say that records were rejected
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		a.rejected, a.message = rejected(text)
		return a, nil
	}
	a.message = message(response.Header.Get("Content-Type"), text)
	a.retryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	if to := response.Header.Get("Location"); a.code/100 == 3 && to != "" {
		a.message = "it is at " + printable([]byte(to)) + "; make that the endpoint"
	}
	return a, nil
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), mostRetryAfter)
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Client asks a daemon. Its methods may be called from any goroutine.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		DisableKeepAlives: true,
	}}}
}

// dialPatience is for how long a client tries again while the queue of the
// socket is full, and dialPause how long it waits between.
const (
	dialPatience = 5 * time.Second
	dialPause    = 2 * time.Millisecond
)

// dial connects to the socket at path. Its queue may be full of the connections
// of somebody who makes them in a loop: then a socket that does not block gets
// EAGAIN at once (unix_stream_connect, net/unix/af_unix.c).
func dial(ctx context.Context, path string) (net.Conn, error) {
	for begin := time.Now(); ; {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) || time.Since(begin) > dialPatience {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialPause):
		}
	}
}

// RefusedError says that the daemon answered, but not with what was asked for.
type RefusedError struct {
	Code int    // of HTTP
	Text string // one line
}

// Error returns what the daemon said.
func (e *RefusedError) Error() string { return "the daemon refused: " + e.Text }

// Events opens a stream of events; parameters are those of the package
// documentation. The caller must close it. It ends with io.EOF when it is
// complete, or the daemon stopped, and else with io.ErrUnexpectedEOF or another
// error. Where there is no daemon, the error of connect(2) is returned.
func (c *Client) Events(ctx context.Context, parameters url.Values) (io.ReadCloser, error) {
	return c.get(ctx, "/events?"+parameters.Encode())
}

// Status returns the state of the daemon: the JSON as it came, and what it says.
func (c *Client) Status(ctx context.Context) ([]byte, *Status, error) {
	body, err := c.get(ctx, "/status")
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, nil, fmt.Errorf("read the status: %w", err)
	}
	var st Status
	if err := json.Unmarshal(text, &st); err != nil {
		return nil, nil, fmt.Errorf("read the status: %w", err)
	}
	return text, &st, nil
}

func (c *Client) get(ctx context.Context, page string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ipe-auditd"+page, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL says nothing
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		line, _, _ := strings.Cut(string(text), "\n")
		return nil, &RefusedError{Code: resp.StatusCode, Text: line}
	}
	return resp.Body, nil
}

package otlp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
)

// maxHeaders is how long a file of headers may be, in bytes.
const maxHeaders = 64 << 10

// ours are the headers that the sink sets.
var ours = []string{"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"}

// readHeaders reads a file of headers: one "Name: value" a line; empty lines and those
// that begin with # do not count. It has to be a secret: nobody but its owner may have
// rights to it. No error shows a value.
func readHeaders(path string) (http.Header, error) {
	headers := make(http.Header)
	if path == "" {
		return headers, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("headers_file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("headers_file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("headers_file: %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("headers_file: %s has mode %04o, so others may use what is secret in it; chmod 0600", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHeaders+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("headers_file: %w", err)
	case len(text) > maxHeaders:
		return nil, fmt.Errorf("headers_file: %s has more than %d bytes", path, maxHeaders)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxHeaders+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !found || !isToken(name):
			return nil, fmt.Errorf("headers_file: %s:%d: no header; write Name: value", path, n)
		case strings.ContainsFunc(value, isControl):
			return nil, fmt.Errorf("headers_file: %s:%d: the value of %s has control characters in it", path, n, name)
		case slices.Contains(ours, name):
			return nil, fmt.Errorf("headers_file: %s:%d: %s is set by the sink; remove it", path, n, name)
		}
		headers.Add(name, value)
	}
	return headers, lines.Err()
}

// isToken reports whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	const punctuation = "!#$%&'*+-.^_`|~"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(punctuation, r)
	})
}

// isControl reports whether a value must not have the character (section 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

package history

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// maxLine bounds a line of the feed, in bytes: a record of at most 1 MiB, each
// byte of it in an escape, twice.
const maxLine = 16 << 20

// feed is a source that reads the feed of the running daemon.
type feed struct {
	socket string
	stream io.ReadCloser
	lines  *bufio.Scanner
	parser lineParser
}

func openFeed(ctx context.Context, socket string, since time.Time, after *spool.Cursor) (*feed, error) {
	parameters := url.Values{"follow": {"false"}}
	if !since.IsZero() {
		parameters.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if after != nil {
		parameters.Set("after", after.String())
	}
	stream, err := api.NewClient(socket).Events(ctx, parameters)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	return &feed{socket: socket, stream: stream, lines: lines}, nil
}

func (f *feed) next(ev *Event) error {
	for f.lines.Scan() {
		if f.parser.read(ev, bytes.TrimSpace(f.lines.Bytes())) {
			return nil
		}
	}
	if err := f.lines.Err(); err != nil {
		return fmt.Errorf("the daemon at %s broke off: %w", f.socket, err)
	}
	return io.EOF
}

func (f *feed) close() { f.stream.Close() }

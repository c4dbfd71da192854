package eventsource

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
)

// reasonMessages is why messages were not read.
const reasonMessages = "messages that are no JSON; a sink of type nats has to write format json"

// natsStream is a source that reads the messages of a stream, each of which is an event
// in JSON.
type natsStream struct {
	file
	messages *messages
}

// openNATS opens the stream that a URL names.
func openNATS(ctx context.Context, name string) (*natsStream, error) {
	place, err := natsconn.ParsePlace(name)
	if err != nil {
		return nil, err
	}
	r, err := natsconn.NewReader(ctx, place, natsconn.From{}, false)
	if err != nil {
		return nil, err
	}
	m := &messages{ctx: ctx, reader: r}
	return &natsStream{file: file{name: r.String(), closer: m, records: NewRecords(m)}, messages: m}, nil
}

// OpenMessages opens the stream that a URL names, to be read as text: each message is
// a line, as it is. It returns what to call the stream, without any password.
func OpenMessages(ctx context.Context, name string) (string, io.ReadCloser, error) {
	place, err := natsconn.ParsePlace(name)
	if err != nil {
		return "", nil, err
	}
	r, err := natsconn.NewReader(ctx, place, natsconn.From{}, false)
	if err != nil {
		return "", nil, err
	}
	return r.String(), &messages{ctx: ctx, reader: r, all: true}, nil
}

func (s *natsStream) next(ev *Event) error {
	err := s.file.next(ev)
	if s.messages.other > 0 && errors.Is(err, io.EOF) {
		return &input.UnreadError{Source: s.name, Parts: []input.Unread{{Lines: s.messages.other, Reason: reasonMessages}}}
	}
	return err
}

// messages is the text of the messages of a stream, one on a line.
type messages struct {
	ctx    context.Context
	reader *natsconn.Reader
	rest   []byte // of the message being read
	other  uint64 // messages that are no JSON, which are left out
	all    bool   // none is left out
}

// Read implements [io.Reader].
func (m *messages) Read(b []byte) (int, error) {
	for len(m.rest) == 0 {
		next, err := m.reader.Next(m.ctx)
		if err != nil {
			return 0, err
		}
		if m.all {
			m.rest = append(next.Data, '\n')
			break
		}
		data := bytes.TrimSpace(next.Data)
		if len(data) == 0 || data[0] != '{' {
			m.other++
			continue
		}
		m.rest = append(data, '\n')
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// Close implements [io.Closer].
func (m *messages) Close() error { m.reader.Close(); return nil }

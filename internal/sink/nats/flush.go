package nats

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// Flush publishes what was written. It returns nil when each message was acknowledged,
// or was given up and told.
func (s *Sink) Flush(ctx context.Context) error {
	c := s.current()
	if c == nil {
		return os.ErrClosed
	}
	s.lost = s.lost[:0]
	for messages := s.messages; len(messages) > 0; {
		n := min(len(messages), s.options.Batch)
		if err := s.publish(ctx, c, messages[:n]); err != nil {
			return fmt.Errorf("publish to %s: %w", s, s.options.reason(c, err))
		}
		messages = messages[n:]
	}
	s.tell() // now that none of it comes again
	s.buf, s.messages = s.buf[:0], s.messages[:0]
	const enough = 1 << 20
	if cap(s.buf) > enough {
		s.buf = nil
	}
	return nil
}

// onItsWay is a message that was published.
type onItsWay struct {
	id     string
	future jetstream.PubAckFuture
	origin *origin

	foreign bool // the stream has another one by that name
}

// publish publishes messages and waits for what the stream says to each, all within
// the time limit. After an error, all of them have to come again.
func (s *Sink) publish(ctx context.Context, c *natsconn.Conn, messages []message) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, c.Cut)() // a write to a server that takes nothing
	sent := make([]onItsWay, 0, len(messages))
	err := s.send(c, messages, &sent)
	for i := range sent {
		if err == nil {
			err = s.await(ctx, c, &sent[i])
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		for i := range sent {
			if sent[i].id != "" && !sent[i].foreign {
				s.tried[sent[i].id] = true
			}
		}
		return cause(ctx, err)
	}
	for i := range sent {
		delete(s.tried, sent[i].id)
	}
	return nil
}

// cause returns why ctx has ended, if it has, and otherwise err.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// send publishes messages.
func (s *Sink) send(c *natsconn.Conn, messages []message, sent *[]onItsWay) error {
	for i := range messages {
		m := &messages[i]
		subject, id, payload, _ := split(s.buf[m.begin:m.end]) // as Write has found out
		msg := &nats.Msg{Subject: string(subject), Header: make(nats.Header, 2)}
		if len(id) > 0 {
			msg.Header.Set(jetstream.MsgIDHeader, string(id))
		}
		msg.Header.Set(jetstream.ExpectedStreamHeader, s.options.Stream)
		if size := len(payload) + headerSize(msg.Header); s.limit > 0 && size > s.limit {
			short, ok := s.short, false
			if s.options.JSON {
				short, ok = shorten(s.short[:0], payload, s.limit-headerSize(msg.Header))
				s.short = short
			}
			if !ok {
				s.giveUp(&m.origin, fmt.Sprintf("a message of %d bytes is more than the %d that the server or the stream takes", size, s.limit))
				continue
			}
			s.shortened.Add(1)
			payload = short
		}
		msg.Data = append([]byte(nil), payload...) // it is kept until it is acknowledged
		future, err := c.JetStream.PublishMsgAsync(msg)
		if err != nil {
			return err
		}
		*sent = append(*sent, onItsWay{id: string(id), future: future, origin: &m.origin})
	}
	return nil
}

// headerSize returns how many bytes headers take (NATS client protocol, "HPUB").
func headerSize(h nats.Header) int {
	n := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}

// await waits for what the stream says to one message.
func (s *Sink) await(ctx context.Context, c *natsconn.Conn, m *onItsWay) error {
	select {
	case ack := <-m.future.Ok():
		if ack.Duplicate {
			s.duplicates.Add(1)
			if m.origin.recent && !s.tried[m.id] {
				m.foreign = true
				s.lost = append(s.lost, sink.Refused{
					Kind: m.origin.kind, Stage: m.origin.stage, Cursor: m.origin.cursor, Unknown: true,
					Reason: "the stream has another message with the id " + m.id + ", which this process has not sent",
				})
			}
		}
		return nil
	case err := <-m.future.Err():
		if errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
			s.giveUp(m.origin, "the stream says: "+err.Error())
			return nil
		}
		return err
	case <-c.Closed():
		return errors.New("the connection has ended")
	case <-ctx.Done():
		return fmt.Errorf("no acknowledgement: %w", ctx.Err())
	}
}

func (s *Sink) giveUp(o *origin, reason string) {
	s.lost = append(s.lost, sink.Refused{Kind: o.kind, Stage: o.stage, Cursor: o.cursor, Reason: reason})
}

// tell counts and tells what was given up, or is in doubt.
func (s *Sink) tell() {
	for _, r := range s.lost {
		if !r.Unknown {
			s.refused.Add(1)
		}
		if s.options.Refused != nil {
			s.options.Refused(r)
		}
	}
}

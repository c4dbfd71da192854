package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/natsconn"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

const (
	// createdWindow is the duplicate window of a stream that the sink makes, and
	// leastWindow the one below which it warns: shorter than an outage that nobody would
	// remember.
	createdWindow = 24 * time.Hour
	leastWindow   = 2 * time.Minute

	// createdReplicas is how many servers a stream is kept on that the sink makes, if
	// there are so many.
	createdReplicas = 3
)

// lookAtStream returns what the stream says of itself, and makes it if that is wanted
// and it is not there. warnings say what is dubious about it.
func (o *Options) lookAtStream(ctx context.Context, c *natsconn.Conn, create bool) (_ *jetstream.StreamConfig, warnings []string, err error) {
	stream, err := c.JetStream.Stream(ctx, o.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && create {
		stream, err = o.createStream(ctx, c)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil, fmt.Errorf("there is no stream %s; make it, or set create: true", o.Stream)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return nil, nil, fmt.Errorf("%w; the server needs a section jetstream", err)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, nil, fmt.Errorf("nobody there knows of streams: the server needs a section jetstream, or its cluster a leader (%w)", err)
	case err != nil:
		return nil, nil, o.reason(c, fmt.Errorf("look at stream %s: %w", o.Stream, err))
	}
	s := &stream.CachedInfo().Config
	parts, err := parseSubject(o.Subject)
	if err != nil {
		return nil, nil, err
	}
	switch ours := pattern(parts); {
	case s.Mirror != nil:
		return nil, nil, fmt.Errorf("stream %s is a mirror, which takes no messages; name the one that it mirrors", o.Stream)
	case s.Sealed:
		return nil, nil, fmt.Errorf("stream %s is sealed and takes no messages; name another one", o.Stream)
	case s.NoAck:
		return nil, nil, fmt.Errorf("stream %s has no_ack, so nobody knows what it has; take that away", o.Stream)
	case !anyCovers(s.Subjects, ours):
		return nil, nil, fmt.Errorf("stream %s takes %s, and not %s; add that to its subjects, or change subject", o.Stream, strings.Join(s.Subjects, ", "), ours)
	}
	if s.Duplicates < leastWindow {
		warnings = append(warnings, fmt.Sprintf("stream %s knows duplicates for %s only; what is sent again after a longer outage is there twice: set its duplicate window to 24h", o.Stream, units.FormatDuration(s.Duplicates)))
	}
	if s.Storage == jetstream.MemoryStorage {
		warnings = append(warnings, fmt.Sprintf("stream %s is kept in memory: what it has acknowledged goes with its server", o.Stream))
	}
	if s.Retention != jetstream.LimitsPolicy {
		warnings = append(warnings, fmt.Sprintf("stream %s keeps messages only until they are read, or only while somebody wants them; set its retention to limits", o.Stream))
	}
	return s, warnings, nil
}

// createStream makes the stream, on as many servers as there are, up to three.
func (o *Options) createStream(ctx context.Context, c *natsconn.Conn) (jetstream.Stream, error) {
	parts, err := parseSubject(o.Subject)
	if err != nil {
		return nil, err
	}
	config := jetstream.StreamConfig{
		Name: o.Stream, Subjects: []string{ownSubject(parts)}, Duplicates: createdWindow,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Replicas: createdReplicas,
		Description: "events of ipe-auditd",
	}
	s, err := c.JetStream.CreateStream(ctx, config)
	if apiErr := new(jetstream.APIError); errors.As(err, &apiErr) && tooFewServers(apiErr.ErrorCode) {
		config.Replicas = 1
		s, err = c.JetStream.CreateStream(ctx, config)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another host was faster
		return c.JetStream.Stream(ctx, o.Stream)
	}
	return s, err
}

// tooFewServers reports whether a code says that there are fewer servers than replicas
// (nats-server, server/errors.json: JSClusterNoPeersErrF, JSStreamReplicasNotSupportedErr,
// JSInsufficientResourcesErr).
func tooFewServers(code jetstream.ErrorCode) bool {
	return code == 10005 || code == 10074 || code == 10023
}

// anyCovers reports whether one of the subjects takes all that a pattern stands for.
func anyCovers(subjects []string, pattern string) bool {
	for _, s := range subjects {
		if covers(s, pattern) {
			return true
		}
	}
	return false
}

func covers(subject, pattern string) bool {
	wide, narrow := strings.Split(subject, "."), strings.Split(pattern, ".")
	for i, w := range wide {
		switch {
		case w == ">":
			return len(narrow) > i
		case i >= len(narrow), w != "*" && w != narrow[i]:
			return false
		}
	}
	return len(wide) == len(narrow)
}

// reason adds to an error what the server has told without being asked: that
// something is not permitted, for which there is no other answer.
func (o *Options) reason(c *natsconn.Conn, err error) error {
	if told := c.Err(); told != nil {
		return fmt.Errorf("%w (the server says: %w)", err, told)
	}
	return err
}

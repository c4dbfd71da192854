package syslog

import (
	"context"
	"fmt"
	"time"
)

// rejection is how long a receiver that accepts a connection gets to end it
// again: in TLS 1.3 the handshake is over for us before the server has looked at
// our certificate (RFC 8446, section 4.4.4).
const rejection = time.Second

// Probe finds out whether the receiver can be reached, without sending it an
// entry: it connects, shakes hands, and over TCP and TLS waits a second whether
// the receiver hangs up. Over UDP it says only that there is a way to the host.
// The sink must not be open.
func (s *Sink) Probe(ctx context.Context) error {
	if err := s.Open(ctx); err != nil {
		return err
	}
	defer s.Close()
	c, ok := s.current().(*stream)
	if !ok {
		return nil
	}
	timer := time.NewTimer(rejection)
	defer timer.Stop()
	select {
	case <-c.ended:
		return fmt.Errorf("connect to %s: %w", s, c.endErr)
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

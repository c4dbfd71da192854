package auditstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Pace is how a helper lives. A service manager starts it again for whoever
// connects later, so none of these can lose a question.
type Pace struct {
	Idle    time.Duration // without a connection for so long, it ends
	Life    time.Duration // it ends after so long in any case
	Between time.Duration // between two answers
	Write   time.Duration // for one answer; the peer may not read
}

// DefaultPace makes that a peer who connects without end costs ten answers in a
// second, and the service manager one start in a minute. In a flood of records,
// where the daemon asks once a second, one process serves it all the time.
func DefaultPace() Pace {
	return Pace{Idle: 3 * time.Second, Life: time.Minute, Between: 100 * time.Millisecond, Write: time.Second}
}

// Serve answers everybody who connects to l with what collect returns, one
// after the other, until nobody comes any more. It reads nothing. It returns an
// error when l fails; a peer that went away is none.
func Serve(l *net.UnixListener, collect func() State, p Pace) error {
	end := time.Now().Add(p.Life)
	for {
		until := time.Now().Add(p.Idle)
		if until.After(end) {
			until = end
		}
		if err := l.SetDeadline(until); err != nil {
			return fmt.Errorf("serve the audit state: %w", err)
		}
		conn, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve the audit state: %w", err)
		}
		answer(conn, collect(), p.Write)
		time.Sleep(p.Between)
	}
}

// answer writes st to a peer.
func answer(conn net.Conn, st State, timeout time.Duration) {
	defer conn.Close()
	text, err := json.Marshal(st)
	if err != nil {
		return // strings and numbers always can be
	}
	if conn.SetWriteDeadline(time.Now().Add(timeout)) == nil {
		conn.Write(append(text, '\n')) //nolint:errcheck // who went away needs no answer
	}
}

package syslog

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// How sure the sink must be that a receiver ends connections because of a message.
const (
	// leastFailures is how often a connection must have ended behind the whole
	// message before it is shortened, and behind the shortest one before it is
	// given up.
	leastFailures = 3

	// byChance is the logarithm to the base of 10 of how likely it may be that
	// they all ended there by chance when a message is given up.
	byChance = -6
)

// identity tells messages apart that the runner writes again after a failure.
type identity struct {
	cursor      sink.Cursor
	kind        ipe.Kind
	stage       string
	first, last uint64
}

func identify(e *sink.Entry) identity {
	id := identity{cursor: e.Cursor}
	if ev := e.Event; ev != nil {
		id.kind, id.first, id.last = ev.Kind, ev.FirstSeq, ev.LastSeq
		if ev.Kind == ipe.KindLost {
			id.stage = string(ev.Stage)
		}
	}
	return id
}

// bisection finds out whether one message makes the receiver end every connection
// it is sent on, and which.
//
// A connection that ended once says nothing: receivers are restarted. When another
// one ends while messages are on their way, fewer of them are sent at once, until
// one alone remains. That is then tried again and again. Each attempt is a connection
// of its own that lasts for a while with nothing on it, and for another while behind
// a message that the receiver takes; only then the candidate is sent, and the
// attempt counts only if the connection ends behind it. After any other end the
// count begins again. How long the whiles are is drawn at random, so that a receiver
// that ends connections by the clock does not seem to refuse a message.
//
// The candidate is shortened more and more. If even the shortest form ends
// connections, and that cannot be by chance, it is given up.
type bisection struct {
	fails int // connections that ended with messages on their way, in a row
	step  int // how many messages to send at once; 0: all

	found     bool     // there is a candidate
	candidate identity // it
	limit     int      // to which it is shortened; 0: not at all
	failures  int      // since the limit is that
	logChance float64  // logarithm of how likely all failures are by chance
	rejected  bool

	taken []byte // a message that was taken
}

// careful reports whether messages count only when the connection lasts a while
// behind them.
func (s *bisection) careful() bool { return s.fails > 0 }

// batch returns how many of n messages to send at once.
func (s *bisection) batch(n int) int {
	if s.step == 0 {
		return n
	}
	return min(n, s.step)
}

// passed says that as many were taken as take had returned.
func (s *bisection) passed() { s.step *= 2 }

// failed says that the connection ended with n messages on their way, the first of
// which is id.
func (s *bisection) failed(n int, id identity) {
	if s.fails++; s.fails == 1 {
		return // a restart
	}
	s.step = max(1, n/2)
	if n == 1 && !(s.found && s.candidate == id) {
		s.setCandidate(id)
	}
}

// setCandidate makes id the candidate.
func (s *bisection) setCandidate(id identity) {
	*s = bisection{fails: s.fails, step: 1, found: true, candidate: id, taken: s.taken}
}

// restart says that the connection ended before the candidate was sent.
func (s *bisection) restart() { s.setCandidate(s.candidate) }

// reset says that everything is delivered.
func (s *bisection) reset() { *s = bisection{taken: s.taken} }

// dropCandidate says that there is no candidate any more.
func (s *bisection) dropCandidate() { *s = bisection{fails: s.fails, step: 1, taken: s.taken} }

// countFailure says that the connection ended after that time behind the candidate, of so
// many octets, having lasted for alive before.
func (s *bisection) countFailure(after, alive time.Duration, size int) {
	s.fails++
	s.failures++
	after = max(after, time.Millisecond)
	s.logChance += math.Log10(after.Seconds() / (after + alive).Seconds())
	switch least := shorter(size, s.limit) == 0; {
	case !least && s.limit > 0, !least && s.failures >= leastFailures:
		s.limit, s.failures = shorter(size, s.limit), 0
	case least && s.failures >= leastFailures && s.logChance <= byChance:
		s.rejected = true
	}
}

// shorter returns the next limit to try behind limit for a message of that size, 0
// if there is none.
func shorter(size, limit int) int {
	if limit == 0 {
		limit = size
	}
	// What syslog-ng and rsyslog take unless told otherwise, and what RFC 5424
	// section 6.1 has a receiver take and has every receiver take.
	for _, next := range []int{64 << 10, 8096, 2048, LeastMessage} {
		if next < limit {
			return next
		}
	}
	return 0
}

// remember keeps a message that was taken, for attempts.
func (s *bisection) remember(msg []byte) { s.taken = append(s.taken[:0], msg...) }

// control returns what is sent before message i of h, the candidate: a message that
// was taken. Where none is known, it is one in the shortest form, for all of them
// may be too long: the next one, or the candidate itself if that can be shortened.
// Nil if there is nothing that would tell the candidate from others.
func (s *bisection) control(h *history, i int) []byte {
	switch {
	case s.taken != nil:
		return s.taken
	case i+1 < len(h.marks):
		i++
	case len(h.message(i)) <= LeastMessage:
		return nil
	}
	msg := h.message(i)
	if len(msg) > LeastMessage {
		msg = shorten(nil, msg, LeastMessage)
	}
	return msg
}

// someTime returns a random time around d.
func someTime(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}

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
	// strikesWhole is how often a connection must have ended behind the whole
	// message before it is shortened, and behind the shortest one before it is
	// given up.
	strikesWhole = 3

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

// suspicion finds out whether one message makes the receiver end every connection
// it is sent on, and which.
//
// A connection that ended once says nothing: receivers are restarted. When another
// one ends while messages are on their way, fewer of them are sent at once, until
// one alone remains. That is then tried again and again. Each trial is a connection
// of its own that lasts for a while with nothing on it, and for another while behind
// a message that the receiver takes; only then the suspect is sent, and
// only if the connection ends behind it this speaks against it. Any other end
// acquits it. How long the whiles are is drawn at random, so that no receiver that
// ends connections by the clock can put the blame on a message.
//
// The suspect is shortened more and more. If even the shortest form ends
// connections, and that cannot be by chance, it is given up.
type suspicion struct {
	fails int // connections that ended with messages on their way, in a row
	step  int // how many messages to send at once; 0: all

	is        bool     // there is a suspect
	id        identity // it
	limit     int      // to which it is shortened; 0: not at all
	strikes   int      // since the limit is that
	chance    float64  // logarithm of how likely all strikes are by chance
	condemned bool

	good []byte // a message that was taken
}

// careful reports whether messages count only when the connection lasts a while
// behind them.
func (s *suspicion) careful() bool { return s.fails > 0 }

// batch returns how many of n messages to send at once.
func (s *suspicion) batch(n int) int {
	if s.step == 0 {
		return n
	}
	return min(n, s.step)
}

// passed says that as many were taken as take had returned.
func (s *suspicion) passed() { s.step *= 2 }

// failed says that the connection ended with n messages on their way, the first of
// which is id.
func (s *suspicion) failed(n int, id identity) {
	if s.fails++; s.fails == 1 {
		return // a restart
	}
	s.step = max(1, n/2)
	if n == 1 && !(s.is && s.id == id) {
		s.accuse(id)
	}
}

// accuse makes id the suspect.
func (s *suspicion) accuse(id identity) {
	*s = suspicion{fails: s.fails, step: 1, is: true, id: id, good: s.good}
}

// acquit says that the connection ended before the suspect was sent.
func (s *suspicion) acquit() { s.accuse(s.id) }

// clear says that everything is delivered.
func (s *suspicion) clear() { *s = suspicion{good: s.good} }

// settled says that there is no suspect any more.
func (s *suspicion) settled() { *s = suspicion{fails: s.fails, step: 1, good: s.good} }

// strike says that the connection ended after that time behind the suspect, of so
// many octets, having lasted for alive before.
func (s *suspicion) strike(after, alive time.Duration, size int) {
	s.fails++
	s.strikes++
	after = max(after, time.Millisecond)
	s.chance += math.Log10(after.Seconds() / (after + alive).Seconds())
	switch least := shorter(size, s.limit) == 0; {
	case !least && s.limit > 0, !least && s.strikes >= strikesWhole:
		s.limit, s.strikes = shorter(size, s.limit), 0
	case least && s.strikes >= strikesWhole && s.chance <= byChance:
		s.condemned = true
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

// remember keeps a message that was taken, for trials.
func (s *suspicion) remember(msg []byte) { s.good = append(s.good[:0], msg...) }

// control returns what is sent before message i of h, the suspect: a message that
// was taken. Where none is known, it is one in the shortest form, for all of them
// may be too long: the next one, or the suspect itself if that can be shortened.
// Nil if there is nothing that would tell the suspect from others.
func (s *suspicion) control(h *history, i int) []byte {
	switch {
	case s.good != nil:
		return s.good
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

package entry

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of what a Joiner holds.
const (
	maxHeld      = 4096    // entries
	maxHeldBytes = 4 << 20 // of their data and attachments
)

// Source is where a Joiner reads: a *spool.Reader with Start.Attachments.
type Source interface {
	Next(ctx context.Context) (*spool.Entry, error)
	TryNext() (e *spool.Entry, ok bool, err error)
	Rewind(c spool.Cursor)
}

// Expectation says whether attachments of a newly received access are still to
// come. Any goroutine may ask.
type Expectation interface {
	// Companions reports whether the kernel sends companions.
	Companions() bool
	// Pending reports whether /proc is still to be asked for the access.
	Pending(k ipe.Key) bool
}

// Joiner reads entries with their attachments. It gives each entry once, in the
// order of the spool, so one that waits for its attachments holds up what is behind
// it. It is for one goroutine.
//
// An access is given once its [ipe.TypeEOE] was read and /proc has been asked, or
// nothing more is expected. It is given without, once a loss was read, Wait after it
// was received, once another epoch begins, and where 4096 entries or 4 MiB are held.
// What comes later is passed over.
type Joiner struct {
	// Wait is for how long an access waits after it was received. 0: for what
	// there is to be read already, and no longer.
	Wait time.Duration
	// Expect says what there is to wait for. Nil: nothing.
	Expect Expectation

	source  Source
	held    Held
	newest  int64 // when what was read last was received, Unix nanoseconds
	err     error // what the source said behind what is held
	hurried bool
}

// NewJoiner returns a Joiner that reads from s, which nobody else may then.
func NewJoiner(s Source) *Joiner { return &Joiner{source: s} }

// TryNext returns the next entry, and false where there is none now. It lives
// until the next call.
func (j *Joiner) TryNext() (e *spool.Entry, ok bool, err error) {
	for {
		holds := j.held.Len() > 0
		switch {
		case holds && j.isComplete(j.held.first()):
			return j.held.Pop(), true, nil
		case !holds && j.err != nil:
			err, j.err = j.err, nil
			return nil, false, err
		}
		// Asked before the source: what is not pending any more can be read then.
		waits := holds && j.waits() > 0
		e, ok, err := j.source.TryNext()
		switch {
		case err != nil:
			j.err = err
		case ok && j.passes(e):
			return e, true, nil
		case ok:
		case !holds || waits:
			return nil, false, nil
		default:
			return j.held.Pop(), true, nil
		}
	}
}

// Next is TryNext, but waits until there is an entry, or ctx ends.
func (j *Joiner) Next(ctx context.Context) (*spool.Entry, error) {
	for {
		e, ok, err := j.TryNext()
		if ok || err != nil {
			return e, err
		}
		wait, cancel := ctx, context.CancelFunc(nil)
		if j.held.Len() > 0 {
			wait, cancel = context.WithTimeout(ctx, j.waits())
		}
		e, err = j.source.Next(wait)
		if cancel != nil {
			cancel()
		}
		switch {
		case err == nil && j.passes(e):
			return e, nil
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded): // of the wait
		default:
			j.err = err
		}
	}
}

// Rewind goes back to after c, as that of the source.
func (j *Joiner) Rewind(c spool.Cursor) {
	j.held.Clear()
	j.err = nil
	j.source.Rewind(c)
}

// Hurry makes the Joiner wait for nothing any more that is not there.
func (j *Joiner) Hurry() { j.hurried = true }

// passes reports whether e, which was read, needs not be held. Otherwise it is
// held, or what it is attached to.
func (j *Joiner) passes(e *spool.Entry) bool {
	j.newest = max(j.newest, e.Time)
	if e.Attachment {
		j.held.attachEntry(e)
		return false
	}
	if j.held.Len() > 0 && j.held.epoch() != e.ID || j.Wait > 0 && isLoss(e) {
		j.held.ReleaseAll()
	}
	mayHave := hasCaller(e.Type) || e.Type == TypeImported
	if j.held.Len() == 0 && (!mayHave || j.isAlone(e)) {
		return true
	}
	j.held.Push(e, !mayHave)
	return false
}

// hasCaller reports whether attachments may say who caused a record of this type: an
// access, or a change of audit.
func hasCaller(typ uint16) bool {
	switch typ {
	case ipe.TypeAccess, ipe.TypeAuditConfigChange, ipe.TypeEventListener:
		return true
	}
	return false
}

// isAlone reports whether e was received a moment ago, and nothing more will come.
func (j *Joiner) isAlone(e *spool.Entry) bool {
	if !hasCaller(e.Type) || j.remaining(e) <= 0 {
		return false
	}
	k, ok := ipe.KeyOf(e.Data)
	return !j.expects(k, ok, false)
}

// isComplete reports whether an entry that is held has all that it will get.
func (j *Joiner) isComplete(s *slot) bool {
	switch {
	case s.released, j.held.full(), j.err != nil, s.ended && s.asked:
		return true
	case s.entry.Type == TypeImported: // its attachments are right behind it
		return j.held.Len() > 1
	}
	return j.Wait > 0 && j.newest-s.entry.Time > int64(j.Wait)
}

// waits returns for how long to wait for attachments of the first entry that is
// held.
func (j *Joiner) waits() time.Duration {
	s := j.held.first()
	if j.hurried || !hasCaller(s.entry.Type) {
		return 0
	}
	rest := j.remaining(&s.entry)
	if rest <= 0 || !j.expects(s.key, s.keyed, s.ended) {
		return 0
	}
	return rest
}

// remaining returns for how long e may still wait. A clock that was set back does
// not make that longer.
func (j *Joiner) remaining(e *spool.Entry) time.Duration {
	if j.Wait == 0 {
		return 0
	}
	return min(time.Until(time.Unix(0, e.Time).Add(j.Wait)), j.Wait)
}

// expects reports whether something is still to come for a new access.
func (j *Joiner) expects(k ipe.Key, keyed, ended bool) bool {
	return j.Expect != nil && keyed && (!ended && j.Expect.Companions() || j.Expect.Pending(k))
}

// isLoss reports whether e is an event that tells a loss.
func isLoss(e *spool.Entry) bool {
	return e.Type == TypeInternal && bytes.Contains(e.Data, []byte(`"event":"lost"`))
}

package segment

import (
	"errors"
	"fmt"
)

// GapError says that entries are gone which a reader should have got. It is
// returned once for each gap; the reader then goes on behind it.
type GapError struct {
	ID          ID
	First, Last uint64 // sequence numbers of events; Last only if Known
	Count       uint64 // events; only if Known
	Known       bool   // how many is known
	Err         error  // what damaged them; nil when they were overwritten

	// Attachments is how many attachments are missing, as far as that is
	// known. Only a reader of attachments is told of a gap without events;
	// its Last is First-1.
	Attachments uint64
}

// Error describes the gap.
func (g *GapError) Error() string {
	why := "overwritten"
	if g.Err != nil {
		why = g.Err.Error()
	}
	if !g.Known {
		return fmt.Sprintf("entries from %v on missing, how many is not known: %s", Cursor{g.ID, g.First}, why)
	}
	if g.Count == 0 {
		return fmt.Sprintf("%d attachments before %v missing: %s", g.Attachments, Cursor{g.ID, g.First}, why)
	}
	return fmt.Sprintf("%d entries from %v to %d missing: %s", g.Count, Cursor{g.ID, g.First}, g.Last, why)
}

// Unwrap returns Err.
func (g *GapError) Unwrap() error { return g.Err }

// ErrDamaged is the reason of a gap whose entries were there, but not sound.
var ErrDamaged = errors.New("damaged on disk")

package format

import (
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Identity says which event it is, and of which host and boot.
type Identity struct {
	Spool  uint64 // id of the spool; meaningless when Seq is 0, but for what has a range of numbers
	Seq    uint64 // sequence number within Spool, from 1; 0 when the event has no identity
	Host   []byte // host name; empty to leave the key out
	BootID []byte // boot id as in /proc/sys/kernel/random/boot_id; empty to leave the key out

	// PrevSeq is the Seq, within Spool, of the event that the reader was given
	// before, with Partial; 0: none since it began. Partial says that it is given
	// only some events, so that a hole between the two is no loss.
	PrevSeq uint64
	Partial bool
}

// AppendUID appends what names the event for ever and everywhere, so that a place
// to which it is delivered twice can keep one of them: SPOOL:SEQ, or
// SPOOL:FIRST-LAST of an event that is no entry but tells of a range of them.
// Nothing where nothing names it.
func (id *Identity) AppendUID(dst []byte, ev *ipe.Event) []byte {
	ranged := id.Seq == 0 && ev.Has&ipe.HasSeqRange != 0
	if id.Spool == 0 || id.Seq == 0 && !ranged {
		return dst
	}
	dst = append(appendHex64(dst, id.Spool), ':')
	if !ranged {
		return strconv.AppendUint(dst, id.Seq, 10)
	}
	dst = append(strconv.AppendUint(dst, ev.FirstSeq, 10), '-')
	return strconv.AppendUint(dst, ev.LastSeq, 10)
}

// AppendID appends what a line of text calls the event, and explain takes:
// SPOOL:SEQ, that of the first one for an event that stands for several, or the
// stamp and serial of a record that comes from no spool, as audit(STAMP:SERIAL) has
// them. Nothing where nothing names it.
func (id *Identity) AppendID(dst []byte, ev *ipe.Event) []byte {
	seq := id.Seq
	if seq == 0 && ev.Kind == ipe.KindRepeated && ev.Has&ipe.HasSeqRange != 0 {
		seq = ev.FirstSeq
	}
	switch {
	case id.Spool != 0 && seq != 0:
		return strconv.AppendUint(append(appendHex64(dst, id.Spool), ':'), seq, 10)
	case id.Spool == 0 && ev.Has&ipe.HasStamp != 0 && ev.Serial != 0 && ev.Time >= 0:
		start := len(dst)
		dst = appendStamp(dst, ev)
		n := copy(dst[start:], dst[start+len("audit("):len(dst)-len("): ")])
		return dst[:start+n]
	}
	return dst
}

// Behind says that the reader is given only some events, and seq of spool was the
// last one, which may be of another spool: an input can hold events of many.
func (id *Identity) Behind(spool, seq uint64) {
	id.Partial, id.PrevSeq = true, 0
	if spool == id.Spool && seq < id.Seq {
		id.PrevSeq = seq
	}
}

// Context is what an encoder needs to know beside the event itself. It also holds
// what was written last and is likely to be written again, so it is for one
// goroutine at a time.
type Context struct {
	Identity
	Raw bool // add the record text, where it is known, to every event of the kernel

	// IDs says that lines of text end with the id of the event (AppendID).
	IDs bool

	// User returns the name of a user for lines of text, empty where it has none. Nil:
	// users are numbers, as they must be for events of other hosts.
	User func(uid uint32) string

	// Zone is that of the times in text; nil for the local one. Other formats have
	// UTC.
	Zone *time.Location

	// Received is when the entry was received, nanoseconds since 1970 UTC; 0 where
	// that is not known.
	Received int64

	clock      clock
	spool      hexID
	attributes attributes
}

// Func appends the event in one format to dst and returns the extended slice.
// It keeps nothing, touches nothing before len(dst), cannot fail, and does not
// allocate once dst is large enough. Line formats end in a newline and contain
// no other one.
type Func func(dst []byte, ev *ipe.Event, c *Context) []byte

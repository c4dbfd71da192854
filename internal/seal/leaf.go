package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Leaf is what a tree has of one event: the first 16 bytes of SHA-256 of its line in
// JSON, the first 16 of SHA-256 of the record's text, which only lines with raw and
// the spool have, and the first 16 of SHA-256 of the keys that say who asked, zeros
// where there are none. So each can be checked without the others.
type Leaf [48]byte

// missing is the leaf of an event that was not there when it was to be sealed.
var missing Leaf

// hasher makes leaves. It is for one goroutine.
type hasher struct {
	context format.Context
	line    []byte
	caller  ipe.Event // only who asked
}

// leaf returns the leaf of an event: of its keys but host and prev_seq, and of the
// text of its record.
func (h *hasher) leaf(ev *ipe.Event, id *format.Identity) (l Leaf) {
	h.context.Identity = format.Identity{Spool: id.Spool, Seq: id.Seq, BootID: id.BootID}
	sealed := *ev
	sealed.Caller, sealed.Has = ipe.Caller{}, ev.Has&^(ipe.HasEUID|ipe.HasPPID|ipe.HasExit)
	h.line = format.AppendJSON(h.line[:0], &sealed, &h.context)
	line, record := sha256.Sum256(h.line), sha256.Sum256(ev.Raw)
	copy(l[:16], line[:16])
	copy(l[16:], record[:16])
	if ev.CallerKnown() {
		h.caller = ipe.Event{Kind: ipe.KindAccess, Has: ev.Has &^ sealed.Has, Caller: ev.Caller}
		h.context.Identity = format.Identity{}
		h.line = format.AppendJSON(h.line[:0], &h.caller, &h.context)
		caller := sha256.Sum256(h.line)
		copy(l[32:], caller[:16])
	}
	return l
}

// same reports whether l is the leaf of what has the leaf got, which has no text of
// the record unless raw is set.
func (l *Leaf) same(got *Leaf, raw bool) bool {
	n := 16
	if raw {
		n = 32
	}
	return string(l[:n]) == string(got[:n])
}

// sameCaller reports whether both say the same of who asked.
func (l *Leaf) sameCaller(got *Leaf) bool { return string(l[32:]) == string(got[32:]) }

// appendLeaves appends leaves as the key "leaves" has them.
func appendLeaves(dst []byte, leaves []Leaf) []byte {
	for i := range leaves {
		dst = base64.RawStdEncoding.AppendEncode(dst, leaves[i][:])
	}
	return dst
}

const leafText = 64 // characters of one leaf

// parseLeaves reads the key "leaves".
func parseLeaves(text []byte) ([]Leaf, error) {
	leaves := make([]Leaf, len(text)/leafText)
	for i := range leaves {
		n, err := base64.RawStdEncoding.Strict().Decode(leaves[i][:], text[i*leafText:][:leafText])
		if err != nil || n != len(Leaf{}) {
			return nil, errors.New("leaves are not in base64")
		}
	}
	if len(text)%leafText != 0 {
		return nil, errors.New("leaves are cut")
	}
	return leaves, nil
}

// noEvent returns the leaf of an entry that holds no event: no line in JSON comes of
// it.
func noEvent(data []byte) (l Leaf) {
	record := sha256.Sum256(data)
	copy(l[16:], record[:16])
	return l
}

// isEvent reports whether a line in JSON comes of what has this leaf.
func (l *Leaf) isEvent() bool { return [16]byte(l[:16]) != [16]byte{} }

package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Leaf is what a tree has of one event: the first 16 bytes of SHA-256 of its line in
// JSON, and the first 16 of SHA-256 of the record's text, which only lines with raw
// and the spool have. So a line can be checked with and without raw.
type Leaf [32]byte

// missing is the leaf of an event that was not there when it was to be sealed.
var missing Leaf

// hasher makes leaves. It is for one goroutine.
type hasher struct {
	context format.Context
	line    []byte
}

// leaf returns the leaf of an event: of its keys but host, prev_seq and those that
// say who asked, and of the text of its record.
func (h *hasher) leaf(ev *ipe.Event, id *format.Identity) (l Leaf) {
	h.context.Identity = format.Identity{Spool: id.Spool, Seq: id.Seq, BootID: id.BootID}
	sealed := *ev
	sealed.Caller, sealed.Has = ipe.Caller{}, ev.Has&^(ipe.HasEUID|ipe.HasPPID|ipe.HasExit)
	h.line = format.AppendJSON(h.line[:0], &sealed, &h.context)
	line, record := sha256.Sum256(h.line), sha256.Sum256(ev.Raw)
	copy(l[:16], line[:16])
	copy(l[16:], record[:16])
	return l
}

// same reports whether l is the leaf of what has the leaf got, which has no text of
// the record unless raw is set.
func (l *Leaf) same(got *Leaf, raw bool) bool {
	if raw {
		return *l == *got
	}
	return [16]byte(l[:16]) == [16]byte(got[:16])
}

// appendLeaves appends leaves as the key "leaves" has them.
func appendLeaves(dst []byte, leaves []Leaf) []byte {
	for i := range leaves {
		dst = base64.RawStdEncoding.AppendEncode(dst, leaves[i][:])
	}
	return dst
}

const leafText = 43 // characters of one leaf

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

package segment

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// ID names one gapless run of entries. It is drawn at random and never 0.
type ID uint64

// String returns the id as 16 lower-case hex digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what [ID.String] writes.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || strings.ToLower(s) != s || n == 0 {
		return 0, fmt.Errorf("spool id %q: want 16 lower-case hex digits, not all 0", s)
	}
	return ID(n), nil
}

// NewID draws an id that is none of those known.
func NewID(known func(ID) bool) ID {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if id := ID(binary.LittleEndian.Uint64(b[:])); id != 0 && !known(id) {
			return id
		}
	}
}

// Cursor is the identity of an entry: how far a reader has delivered. Seq 0
// stands before the first entry of the id.
type Cursor struct {
	ID  ID
	Seq uint64
}

// String returns the cursor as "0123456789abcdef:42".
func (c Cursor) String() string { return string(c.AppendTo(nil)) }

// AppendTo appends what [Cursor.String] returns to dst.
func (c Cursor) AppendTo(dst []byte) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[c.ID>>shift&15])
	}
	return strconv.AppendUint(append(dst, ':'), c.Seq, 10)
}

// ParseCursor reads what [Cursor.String] writes.
func ParseCursor(s string) (Cursor, error) {
	id, seq, ok := strings.Cut(s, ":")
	if !ok {
		return Cursor{}, fmt.Errorf("cursor %q: want ID:SEQ", s)
	}
	i, err := ParseID(id)
	if err != nil {
		return Cursor{}, fmt.Errorf("cursor %q: %w", s, err)
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || seq[0] == '+' {
		return Cursor{}, fmt.Errorf("cursor %q: want a decimal number after the colon", s)
	}
	return Cursor{i, n}, nil
}

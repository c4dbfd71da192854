package segment

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Header begins a segment.
type Header struct {
	ID      ID       // of the spool
	Ordinal uint64   // as in the name of the file
	First   Point    // before its first frame
	Boot    [16]byte // under which its frames were written
	Created int64    // Unix nanoseconds
	Prior   Ancestor // the id before this one
}

// Ancestor is an id that came before another one, and the point where it ended.
type Ancestor struct {
	ID  ID // 0: none
	End Point
}

// Uncertain is the number in the end of an ancestor of which nobody knows how
// many entries it has lost.
const Uncertain = 1<<64 - 1

// Encode returns the header as it is written, HeaderSize bytes.
func (h *Header) Encode() []byte {
	b := make([]byte, HeaderSize)
	le := binary.LittleEndian
	copy(b, Magic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint64(b[12:], uint64(h.ID))
	le.PutUint64(b[20:], h.Ordinal)
	le.PutUint64(b[28:], h.First.N)
	le.PutUint64(b[36:], h.First.Seq)
	copy(b[44:], h.Boot[:])
	le.PutUint64(b[60:], uint64(h.Created))
	le.PutUint64(b[68:], uint64(h.Prior.ID))
	le.PutUint64(b[76:], h.Prior.End.N)
	le.PutUint64(b[84:], h.Prior.End.Seq)
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
	return b
}

// ParseHeader reads what Encode returns. The error is ErrHeader or ErrVersion.
func ParseHeader(b []byte) (h Header, err error) {
	le := binary.LittleEndian
	if len(b) < HeaderSize || string(b[:8]) != Magic {
		return h, ErrHeader
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	h.ID = ID(le.Uint64(b[12:]))
	h.Ordinal = le.Uint64(b[20:])
	h.First = Point{le.Uint64(b[28:]), le.Uint64(b[36:])}
	copy(h.Boot[:], b[44:])
	h.Created = int64(le.Uint64(b[60:]))
	h.Prior = Ancestor{ID(le.Uint64(b[68:])), Point{le.Uint64(b[76:]), le.Uint64(b[84:])}}
	if le.Uint32(b[92:]) != crc32.Checksum(b[:92], castagnoli) || h.ID == 0 ||
		h.First.Seq == 0 || h.First.Seq > h.First.N || h.First.N > maxFirst {
		return h, ErrHeader
	}
	return h, nil
}

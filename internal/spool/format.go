package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The format on disk, version 2. All numbers are little endian.
//
// A segment is a file NNNNNNNNNNNNNNNN.seg, named by its ordinal in 16 hex
// digits. Ordinals only give the order of the segments; there may be holes.
// It begins with a header of 64 bytes:
//
//	 0  8  "ipespool"
//	 8  2  version, 2
//	10  2  0
//	12  8  id of the spool
//	20  8  ordinal
//	28  8  sequence number of the first entry
//	36 16  boot id under which its entries were written
//	52  8  time of creation, Unix nanoseconds
//	60  4  CRC-32C of bytes 0 to 59
//
// and goes on with frames, one an entry, without padding:
//
//	 0  4  CRC-32C of all that follows; its initial value is the spool id,
//	      both halves by exclusive or
//	 4  4  length of the data, at most MaxData
//	 8  8  sequence number
//	16  8  receive time, Unix nanoseconds
//	24  2  record type
//	26  2  context, 0 for none
//	28     data
//
// What a context means is the appender's affair.
//
// The id as initial value makes a frame of another spool, which a file system
// may bring back after a power cut, as wrong as any other garbage.
const (
	formatVersion = 2
	headerSize    = 64
	frameHeader   = 28

	magic         = "ipespool"
	segmentSuffix = ".seg"
	asideSuffix   = ".aside"

	// MaxData is the longest data of an entry in bytes. Longer data is cut
	// and counted in [Stats]. No audit record comes near it
	// (MAX_AUDIT_MESSAGE_LENGTH in include/linux/audit.h is 8970).
	MaxData = 1 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errHeader  = errors.New("damaged segment header")
	errVersion = errors.New("unknown version of the segment format")
)

func segmentName(ordinal uint64) string { return fmt.Sprintf("%016x%s", ordinal, segmentSuffix) }

func parseSegmentName(name string) (ordinal uint64, ok bool) {
	hex, found := strings.CutSuffix(name, segmentSuffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

type header struct {
	id      ID
	ordinal uint64
	first   uint64
	boot    [16]byte
	created int64
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint64(b[12:], uint64(h.id))
	le.PutUint64(b[20:], h.ordinal)
	le.PutUint64(b[28:], h.first)
	copy(b[36:], h.boot[:])
	le.PutUint64(b[52:], uint64(h.created))
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func parseHeader(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < headerSize || string(b[:8]) != magic {
		return h, errHeader
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w: %d", errVersion, v)
	}
	h.id = ID(le.Uint64(b[12:]))
	h.ordinal = le.Uint64(b[20:])
	h.first = le.Uint64(b[28:])
	copy(h.boot[:], b[36:])
	h.created = int64(le.Uint64(b[52:]))
	if le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) || h.id == 0 || h.first == 0 {
		return h, errHeader
	}
	return h, nil
}

// seed returns the initial value of the checksums of the frames of id.
func seed(id ID) uint32 { return uint32(id>>32) ^ uint32(id) }

// frame is one decoded frame; data views the buffer it was decoded from.
type frame struct {
	seq  uint64
	time int64
	typ  uint16
	ctx  uint16
	data []byte
}

func frameSize(r *Record) int { return frameHeader + min(len(r.Data), MaxData) }

// putFrame encodes r at the beginning of b, which is large enough, and returns
// the size of the frame.
func putFrame(b []byte, id ID, seq uint64, r *Record) int {
	data := r.Data[:min(len(r.Data), MaxData)]
	n := frameHeader + len(data)
	b = b[:n]
	le := binary.LittleEndian
	le.PutUint32(b[4:], uint32(len(data)))
	le.PutUint64(b[8:], seq)
	le.PutUint64(b[16:], uint64(r.Time))
	le.PutUint16(b[24:], r.Type)
	le.PutUint16(b[26:], r.Context)
	copy(b[frameHeader:], data)
	le.PutUint32(b, crc32.Update(seed(id), castagnoli, b[4:]))
	return n
}

// getFrame decodes the frame at the beginning of b, which is known to be sound.
func getFrame(b []byte) (f frame, size int) {
	le := binary.LittleEndian
	size = frameHeader + int(le.Uint32(b[4:]))
	f.seq = le.Uint64(b[8:])
	f.time = int64(le.Uint64(b[16:]))
	f.typ = le.Uint16(b[24:])
	f.ctx = le.Uint16(b[26:])
	f.data = b[frameHeader:size:size]
	return f, size
}

type frameState int

const (
	frameSound frameState = iota
	frameShort            // b ends before the frame does
	frameBad
)

// checkFrame looks for a sound frame at the beginning of b whose sequence
// number is from or, at most a segment's worth, above. size is that of the
// frame, or what b must at least hold to say more.
func checkFrame(b []byte, id ID, from uint64) (f frame, size int, st frameState) {
	if len(b) < frameHeader {
		return f, frameHeader, frameShort
	}
	le := binary.LittleEndian
	n, seq := le.Uint32(b[4:]), le.Uint64(b[8:])
	if n > MaxData || seq-from > 1<<32 {
		return f, 0, frameBad
	}
	size = frameHeader + int(n)
	if len(b) < size {
		return f, size, frameShort
	}
	if le.Uint32(b) != crc32.Update(seed(id), castagnoli, b[4:size]) {
		return f, 0, frameBad
	}
	f, size = getFrame(b)
	return f, size, frameSound
}

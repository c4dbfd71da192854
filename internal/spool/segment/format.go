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
// It begins with a header of 96 bytes:
//
//	 0  8  "ipespool"
//	 8  2  version, 2
//	10  2  0
//	12  8  id of the spool
//	20  8  ordinal
//	28  8  number of the first frame
//	36  8  sequence number of the first event
//	44 16  boot id under which its frames were written
//	60  8  time of creation, Unix nanoseconds
//	68  8  id before this one, 0 for none
//	76  8  number of the frame after its last one; all ones where that one
//	       cannot be known
//	84  8  sequence number of the event after its last one
//	92  4  CRC-32C of bytes 0 to 91
//
// and goes on with frames, one an entry, without padding:
//
//	 0  4  CRC-32C of all that follows; its initial value is the spool id,
//	       both halves by exclusive or
//	 4  3  length of what follows these 36 bytes
//	 7  1  kind: 0 an event, 1 an attachment
//	 8  8  number, from 1, gapless over all frames of the id
//	16  8  of an event its sequence number, from 1, gapless over the events
//	       of the id; of an attachment that of the event that comes next
//	24  8  receive time, Unix nanoseconds
//	32  2  record type
//	34  2  context, 0 for none
//	36     data, at most MaxData bytes. Of an attachment they come behind 8
//	       bytes with the sequence number of its event, 0 where the data
//	       itself says which it is
//
// What a context means is the appender's affair. An attachment has no identity:
// two numbers in each frame tell exactly how many events and how many
// attachments are missing between any two frames.
//
// Its name is given to a segment once it has its header: until then it is
// NNNNNNNNNNNNNNNN.seg.new. So each segment says how the one before has to end,
// or the id before, and whatever is missing is noticed, but behind the last
// frame of the newest segment; the mark and the cursors of readers say that.
//
// The id as initial value makes a frame of another spool, which a file system
// may bring back after a power cut, as wrong as any other garbage.
const (
	formatVersion = 2
	headerSize    = 96
	frameHeader   = 36
	reference     = 8 // bytes before the data of an attachment

	magic         = "ipespool"
	segmentSuffix = ".seg"
	asideSuffix   = ".aside"
	tempSuffix    = ".new"

	// MaxData is the longest data of an entry in bytes. Longer data is cut
	// and counted in [Stats]. No audit record comes near it
	// (MAX_AUDIT_MESSAGE_LENGTH in include/linux/audit.h is 8970).
	MaxData = 1 << 20

	kindEvent      = 0
	kindAttachment = 1

	// maxStep is how far the number of a frame is above that of the one
	// before, at most: a segment has no room for as many. maxFirst is the
	// highest in a header. So no sum of numbers from a file overflows.
	maxStep  = 1 << 32
	maxFirst = 1 << 62
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
	first   point
	boot    [16]byte
	created int64
	prior   ancestor
}

// ancestor is an id that came before another one, and the point where it ended.
type ancestor struct {
	id  ID // 0: none
	end point
}

// uncertain is the number in the end of an ancestor of which nobody knows how
// many entries it has lost.
const uncertain = 1<<64 - 1

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint64(b[12:], uint64(h.id))
	le.PutUint64(b[20:], h.ordinal)
	le.PutUint64(b[28:], h.first.n)
	le.PutUint64(b[36:], h.first.seq)
	copy(b[44:], h.boot[:])
	le.PutUint64(b[60:], uint64(h.created))
	le.PutUint64(b[68:], uint64(h.prior.id))
	le.PutUint64(b[76:], h.prior.end.n)
	le.PutUint64(b[84:], h.prior.end.seq)
	le.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
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
	h.first = point{le.Uint64(b[28:]), le.Uint64(b[36:])}
	copy(h.boot[:], b[44:])
	h.created = int64(le.Uint64(b[60:]))
	h.prior = ancestor{ID(le.Uint64(b[68:])), point{le.Uint64(b[76:]), le.Uint64(b[84:])}}
	if le.Uint32(b[92:]) != crc32.Checksum(b[:92], castagnoli) || h.id == 0 ||
		h.first.seq == 0 || h.first.seq > h.first.n || h.first.n > maxFirst {
		return h, errHeader
	}
	return h, nil
}

// seed returns the initial value of the checksums of the frames of id.
func seed(id ID) uint32 { return uint32(id>>32) ^ uint32(id) }

// point is a place between two frames of an id. Of two points the one with the
// higher number has no lower sequence number.
type point struct {
	n   uint64 // number of the next frame
	seq uint64 // sequence number of the next event
}

// origin is the point before the first frame of an id.
var origin = point{1, 1}

// behind returns the point behind a frame that begins at p.
func (p point) behind(attachment bool) point {
	p.n++
	if !attachment {
		p.seq++
	}
	return p
}

// attachments returns how many frames from p to q are none of events.
func (p point) attachments(q point) uint64 { return q.n - p.n - (q.seq - p.seq) }

// frame is one decoded frame; data views the buffer it was decoded from.
type frame struct {
	at         point // before it
	attachment bool
	event      uint64 // of an attachment: sequence number of its event, or 0
	time       int64
	typ        uint16
	ctx        uint16
	data       []byte
}

func (f *frame) next() point { return f.at.behind(f.attachment) }

func frameSize(r *Record) int {
	n := frameHeader + min(len(r.Data), MaxData)
	if r.Attachment {
		n += reference
	}
	return n
}

// putFrame encodes r at the beginning of b, which is large enough, and returns
// the size of the frame.
func putFrame(b []byte, id ID, at point, r *Record) int {
	n := frameSize(r)
	b = b[:n]
	le := binary.LittleEndian
	length, to := uint32(n-frameHeader), frameHeader
	if r.Attachment {
		length |= kindAttachment << 24
		event := r.Event.Seq
		if r.Event.ID != id || event >= at.seq {
			event = 0
		}
		le.PutUint64(b[frameHeader:], event)
		to += reference
	}
	le.PutUint32(b[4:], length)
	le.PutUint64(b[8:], at.n)
	le.PutUint64(b[16:], at.seq)
	le.PutUint64(b[24:], uint64(r.Time))
	le.PutUint16(b[32:], r.Type)
	le.PutUint16(b[34:], r.Context)
	copy(b[to:], r.Data) // the rest of longer data is cut
	le.PutUint32(b, crc32.Update(seed(id), castagnoli, b[4:]))
	return n
}

// get decodes the frame at the beginning of b, which is known to be sound, and
// returns its size.
func (f *frame) get(b []byte) (size int) {
	le := binary.LittleEndian
	length := le.Uint32(b[4:])
	size = frameHeader + int(length&0xffffff)
	f.at.n = le.Uint64(b[8:])
	f.at.seq = le.Uint64(b[16:])
	f.time = int64(le.Uint64(b[24:]))
	f.typ = le.Uint16(b[32:])
	f.ctx = le.Uint16(b[34:])
	f.data = b[frameHeader:size:size]
	f.attachment, f.event = false, 0
	if length>>24 == kindAttachment {
		f.attachment = true
		f.event = le.Uint64(f.data)
		f.data = f.data[reference:]
	}
	return size
}

// sizeOf returns the size of the frame at the beginning of b, which is known to
// be sound.
func sizeOf(b []byte) int {
	return frameHeader + int(binary.LittleEndian.Uint32(b[4:])&0xffffff)
}

type frameState int

const (
	frameSound frameState = iota
	frameShort            // b ends before the frame does
	frameBad
)

// checkFrame looks for a sound frame at the beginning of b that may come at
// from or, by at most a segment's worth, later. size is that of the frame, or
// what b must at least hold to say more.
func checkFrame(b []byte, id ID, from point) (size int, st frameState) {
	if len(b) < frameHeader {
		return frameHeader, frameShort
	}
	le := binary.LittleEndian
	length := le.Uint32(b[4:])
	most := MaxData
	switch length >> 24 {
	case kindEvent:
	case kindAttachment:
		most += reference
	default:
		return 0, frameBad
	}
	n := int(length & 0xffffff)
	number, seq := le.Uint64(b[8:]), le.Uint64(b[16:])
	if n > most || number-from.n > maxStep || seq-from.seq > number-from.n {
		return 0, frameBad
	}
	size = frameHeader + n
	if len(b) < size {
		return size, frameShort
	}
	if le.Uint32(b) != crc32.Update(seed(id), castagnoli, b[4:size]) {
		return 0, frameBad
	}
	if length>>24 == kindAttachment && (n < reference || le.Uint64(b[frameHeader:]) >= seq) {
		return 0, frameBad
	}
	return size, frameSound
}

package segment

import (
	"encoding/binary"
	"hash/crc32"
)

// seed returns the initial value of the checksums of the frames of id.
func seed(id ID) uint32 { return uint32(id>>32) ^ uint32(id) }

// Frame is one decoded frame; data views the buffer it was decoded from.
type Frame struct {
	At         Point // before it
	Attachment bool
	Event      uint64 // of an attachment: sequence number of its event, or 0
	Time       int64
	Type       uint16
	Context    uint16
	Data       []byte
}

// Next returns the point behind the frame.
func (f *Frame) Next() Point { return f.At.Behind(f.Attachment) }

// FrameSize returns the bytes that r takes as a frame.
func FrameSize(r *Record) int {
	n := FrameHeaderSize + min(len(r.Data), MaxData)
	if r.Attachment {
		n += ReferenceSize
	}
	return n
}

// PutFrame encodes r at the beginning of b, which is large enough, and returns
// the size of the frame.
func PutFrame(b []byte, id ID, at Point, r *Record) int {
	n := FrameSize(r)
	b = b[:n]
	le := binary.LittleEndian
	length, to := uint32(n-FrameHeaderSize), FrameHeaderSize
	if r.Attachment {
		length |= kindAttachment << 24
		event := r.Event.Seq
		if r.Event.ID != id || event >= at.Seq {
			event = 0
		}
		le.PutUint64(b[FrameHeaderSize:], event)
		to += ReferenceSize
	}
	le.PutUint32(b[4:], length)
	le.PutUint64(b[8:], at.N)
	le.PutUint64(b[16:], at.Seq)
	le.PutUint64(b[24:], uint64(r.Time))
	le.PutUint16(b[32:], r.Type)
	le.PutUint16(b[34:], r.Context)
	copy(b[to:], r.Data) // the rest of longer data is cut
	le.PutUint32(b, crc32.Update(seed(id), castagnoli, b[4:]))
	return n
}

// Get decodes the frame at the beginning of b, which is known to be sound, and
// returns its size.
func (f *Frame) Get(b []byte) (size int) {
	le := binary.LittleEndian
	length := le.Uint32(b[4:])
	size = FrameHeaderSize + int(length&0xffffff)
	f.At.N = le.Uint64(b[8:])
	f.At.Seq = le.Uint64(b[16:])
	f.Time = int64(le.Uint64(b[24:]))
	f.Type = le.Uint16(b[32:])
	f.Context = le.Uint16(b[34:])
	f.Data = b[FrameHeaderSize:size:size]
	f.Attachment, f.Event = false, 0
	if length>>24 == kindAttachment {
		f.Attachment = true
		f.Event = le.Uint64(f.Data)
		f.Data = f.Data[ReferenceSize:]
	}
	return size
}

// SizeOf returns the size of the frame at the beginning of b, which is known to
// be sound.
func SizeOf(b []byte) int {
	return FrameHeaderSize + int(binary.LittleEndian.Uint32(b[4:])&0xffffff)
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
func checkFrame(b []byte, id ID, from Point) (size int, st frameState) {
	if len(b) < FrameHeaderSize {
		return FrameHeaderSize, frameShort
	}
	le := binary.LittleEndian
	length := le.Uint32(b[4:])
	most := MaxData
	switch length >> 24 {
	case kindEvent:
	case kindAttachment:
		most += ReferenceSize
	default:
		return 0, frameBad
	}
	n := int(length & 0xffffff)
	number, seq := le.Uint64(b[8:]), le.Uint64(b[16:])
	if n > most || number-from.N > maxStep || seq-from.Seq > number-from.N {
		return 0, frameBad
	}
	size = FrameHeaderSize + n
	if len(b) < size {
		return size, frameShort
	}
	if le.Uint32(b) != crc32.Update(seed(id), castagnoli, b[4:size]) {
		return 0, frameBad
	}
	if length>>24 == kindAttachment && (n < ReferenceSize || le.Uint64(b[FrameHeaderSize:]) >= seq) {
		return 0, frameBad
	}
	return size, frameSound
}

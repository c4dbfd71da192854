package segment

import (
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
	formatVersion   = 2
	HeaderSize      = 96 // bytes of a segment before its first frame
	FrameHeaderSize = 36 // bytes of a frame before its data
	ReferenceSize   = 8  // bytes before the data of an attachment

	Magic       = "ipespool" // begins every segment
	Suffix      = ".seg"     // ends the names of segments
	AsideSuffix = ".aside"   // follows that of one that could not be read

	// MaxData is the longest data of an entry in bytes. Longer data is cut
	// and counted by the spool. No audit record comes near it
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

	// ErrHeader is returned for a file that is no segment, or whose header is
	// damaged.
	ErrHeader = errors.New("damaged segment header")
	// ErrVersion is returned for a segment of another version of the format.
	ErrVersion = errors.New("unknown version of the segment format")
)

// Name returns the name of the file of a segment.
func Name(ordinal uint64) string { return fmt.Sprintf("%016x%s", ordinal, Suffix) }

// ParseName reads what Name returns.
func ParseName(name string) (ordinal uint64, ok bool) {
	hex, found := strings.CutSuffix(name, Suffix)
	if !found || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}

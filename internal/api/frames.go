package api

import (
	"encoding/binary"
	"errors"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// A stream of entries (format=spool), version 1. All numbers are little endian.
// It begins with 16 bytes:
//
//	 0  8  "ipefeed\n"
//	 8  2  version, 1
//	10  6  0
//
// and goes on with frames:
//
//	0  4  length of what follows the kind
//	4  1  kind
//
// Of the kinds
//
//	1  host    the name of the host whose spool it is, from here on
//	2  epoch   the spool and the boot of the entries that follow:
//	             0  8  id of the spool
//	             8 16  boot id
//	3  policy  what a context stands for, before the first entry that has it:
//	             0  2  context
//	             2     name, version and digest, each with its length plus one
//	                   before it as a varint; 0 where it is not known
//	4  entry     0  8  sequence number
//	             8  8  time of receipt, Unix nanoseconds
//	            16  2  type
//	            18  2  context, 0 for none
//	            20  1  1 for an attachment, else 0
//	            21  8  of an attachment: sequence number of its event, or 0
//	            29     data
//	5  gap     entries that the stream cannot give:
//	             0  8  id of the spool
//	             8  8  sequence number of the first event
//	            16  8  how many events; the next is 0 if that is not known
//	            24  1  1 if that is known
//	            25  8  how many attachments, as far as that is known
//	            33     why
//	6  end     everything was sent:
//	             0  8  id of the spool
//	             8  8  sequence number up to which the spool was looked at
//
// An attachment has no sequence number of its own: it has that of the newest event
// before it.
//
// Nothing follows an end. A stream without one was cut.
const (
	streamMagic   = "ipefeed\n"
	streamVersion = 1
	streamHeader  = 16
	frameHeader   = 5
	maxFrame      = spool.MaxData + 64 // bytes behind the kind
)

type frameKind byte

const (
	frameHost   frameKind = 1
	frameEpoch  frameKind = 2
	framePolicy frameKind = 3
	frameEntry  frameKind = 4
	frameGap    frameKind = 5
	frameEnd    frameKind = 6
)

// The fixed parts of frames, in bytes.
const (
	epochSize = 24
	entrySize = 29
	gapSize   = 33
	endSize   = 16
)

// ErrStream says that a stream of entries makes no sense.
var ErrStream = errors.New("damaged stream of entries")

// frames writes a stream of entries.
type frames struct {
	policy func(context uint16) *ipe.Policy // may be nil

	id   spool.ID // of the last epoch
	boot [16]byte
	sent map[uint16]bool // contexts of which the policy was sent
}

func (f *frames) appendHeader(dst, host []byte) []byte {
	dst = append(dst, streamMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, streamVersion)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	return appendHost(dst, host)
}

func appendHost(dst, host []byte) []byte {
	return append(appendFrame(dst, frameHost, len(host)), host...)
}

// appendFrame appends what stands before n bytes of a frame.
func appendFrame(dst []byte, kind frameKind, n int) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(n)), byte(kind))
}

func (f *frames) appendEntry(dst []byte, e *spool.Entry) []byte {
	le := binary.LittleEndian
	if e.ID != f.id || e.BootID != f.boot {
		f.id, f.boot = e.ID, e.BootID
		dst = le.AppendUint64(appendFrame(dst, frameEpoch, epochSize), uint64(e.ID))
		dst = append(dst, e.BootID[:]...)
	}
	if n := e.Context &^ entry.ContextOff; n != 0 && f.policy != nil && !f.sent[n] {
		if p := f.policy(n); p != nil {
			dst = appendPolicy(dst, n, p)
			if f.sent == nil {
				f.sent = make(map[uint16]bool)
			}
			f.sent[n] = true
		}
	}
	dst = appendFrame(dst, frameEntry, entrySize+len(e.Data))
	dst = le.AppendUint64(dst, e.Seq)
	dst = le.AppendUint64(dst, uint64(e.Time))
	dst = le.AppendUint16(dst, e.Type)
	dst = le.AppendUint16(dst, e.Context)
	dst = le.AppendUint64(append(dst, octet(e.Attachment)), e.Event)
	return append(dst, e.Data...)
}

func appendPolicy(dst []byte, context uint16, p *ipe.Policy) []byte {
	at := len(dst)
	dst = appendFrame(dst, framePolicy, 0)
	dst = binary.LittleEndian.AppendUint16(dst, context)
	for _, part := range [...][]byte{p.Name, p.Version, p.Digest} {
		if part == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(part))+1), part...)
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-frameHeader))
	return dst
}

func appendGap(dst []byte, g *spool.GapError) []byte {
	why := ""
	if g.Err != nil {
		why = g.Err.Error()
	}
	le := binary.LittleEndian
	dst = appendFrame(dst, frameGap, gapSize+len(why))
	dst = le.AppendUint64(dst, uint64(g.ID))
	dst = le.AppendUint64(dst, g.First)
	dst = le.AppendUint64(dst, g.Count)
	dst = le.AppendUint64(append(dst, octet(g.Known)), g.Attachments)
	return append(dst, why...)
}

func octet(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendEnd(dst []byte, place spool.Cursor) []byte {
	dst = appendFrame(dst, frameEnd, endSize)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(place.ID))
	return binary.LittleEndian.AppendUint64(dst, place.Seq)
}

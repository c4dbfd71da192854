package input

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"
)

// zeroTrimmer reads r, but not the zero bytes at its end: package xz wants their
// number to be a multiple of four. An xz stream ends with "YZ".
type zeroTrimmer struct {
	r      io.Reader
	before int    // zeros to give before rest
	rest   []byte // of what was read; its last byte is no zero
	behind int    // zeros that followed
	err    error
	buf    [4096]byte
}

func (z *zeroTrimmer) Read(p []byte) (n int, err error) {
	for len(z.rest) == 0 {
		if z.err != nil {
			return 0, z.err
		}
		n, z.err = z.r.Read(z.buf[:])
		z.rest = bytes.TrimRight(z.buf[:n], "\x00")
		z.before += z.behind
		z.behind = n - len(z.rest)
	}
	if z.before > 0 {
		n = min(z.before, len(p))
		clear(p[:n])
		z.before -= n
		return n, nil
	}
	n = copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// zstdMagic begins a frame (RFC 8878, section 3.1.1).
const zstdMagic = "\x28\xb5\x2f\xfd"

// isSkippable reports whether a skippable frame is read next (RFC 8878, section
// 3.1.2), such as pzstd begins with.
func isSkippable(br *bufio.Reader) bool {
	p, _ := br.Peek(1)
	return len(p) == 1 && p[0]&0xf0 == 0x50 && startsWith(br, string(p)+"\x2a\x4d\x18")
}

// zstdFrame reads exactly one frame of in, so that whatever is behind it is left
// to others.
type zstdFrame struct {
	in    *bufio.Reader
	begun bool
	last  bool // no block follows
	sum   bool // a checksum follows the last block
	head  []byte
	body  int // bytes of the block behind head
}

func (z *zstdFrame) Read(p []byte) (int, error) {
	for len(z.head) == 0 && z.body == 0 {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	if len(z.head) > 0 {
		n := copy(p, z.head)
		z.head = z.head[n:]
		return n, nil
	}
	n, err := z.in.Read(p[:min(z.body, len(p))])
	z.body -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// over reports whether the frame was read to its end.
func (z *zstdFrame) over() bool { return z.last && !z.sum && z.body == 0 && len(z.head) == 0 }

// next reads a header: that of the frame, that of a block, or the checksum.
func (z *zstdFrame) next() (err error) {
	switch {
	case !z.begun:
		z.begun = true
		if z.head, err = z.appendNext(nil, 5); err != nil {
			return err
		}
		// Frame_Header_Descriptor, section 3.1.1.1.1
		d := z.head[4]
		z.sum = d&4 != 0
		more := [...]int{0, 1, 2, 4}[d&3] + [...]int{0, 2, 4, 8}[d>>6]
		if single := d&0x20 != 0; !single || d>>6 == 0 {
			more++ // Window_Descriptor, or one byte of Frame_Content_Size
		}
		z.head, err = z.appendNext(z.head, more)
		return err
	case !z.last:
		// Block_Header, section 3.1.1.2
		if z.head, err = z.appendNext(nil, 3); err != nil {
			return err
		}
		h := int(z.head[0]) | int(z.head[1])<<8 | int(z.head[2])<<16
		z.last, z.body = h&1 != 0, h>>3
		if h>>1&3 == 1 { // RLE_Block
			z.body = 1
		}
		return nil
	case z.sum:
		z.sum = false
		z.head, err = z.appendNext(nil, 4)
		return err
	}
	return io.EOF
}

// appendNext appends the next n bytes to dst.
func (z *zstdFrame) appendNext(dst []byte, n int) ([]byte, error) {
	p := append(dst, make([]byte, n)...)
	_, err := io.ReadFull(z.in, p[len(dst):])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return p, err
}

// skip reads over a skippable frame, behind which Read has nothing.
func (z *zstdFrame) skip() error {
	z.begun, z.last = true, true
	p, err := z.appendNext(nil, 8)
	if err == nil {
		_, err = io.CopyN(io.Discard, z.in, int64(binary.LittleEndian.Uint32(p[4:])))
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bzip2Reader reads bzip2 streams up to what is none. Package bzip2 does not
// tell an end from damage behind it: it takes two bytes, and complains if they
// do not begin another stream.
type bzip2Reader struct {
	unpacker *unpacker
	streams  io.Reader
	last     []byte // the last bytes that were taken, two at most
	made     int    // how many zeros were given at the end of the input
}

func newBzip2(u *unpacker) *bzip2Reader {
	b := &bzip2Reader{unpacker: u}
	b.streams = bzip2.NewReader(bzip2Source{b})
	return b
}

// errNoStream is what package bzip2 says of the two bytes.
const errNoStream = bzip2.StructuralError("bad magic value in continuation file")

func (b *bzip2Reader) Read(p []byte) (int, error) {
	n, err := b.streams.Read(p)
	if errors.Is(err, errNoStream) {
		if len(b.last) > 0 {
			b.unpacker.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(b.last), b.unpacker.in), bufferSize)
		}
		err = io.EOF
	}
	return n, err
}

// bzip2Source gives package bzip2 one byte at a time, so that it reads no
// further than it must, and two zeros at the end of the input.
type bzip2Source struct{ *bzip2Reader }

func (b bzip2Source) ReadByte() (byte, error) {
	c, err := b.unpacker.in.ReadByte()
	switch {
	case err == nil:
		if len(b.last) == 2 {
			b.last[0] = b.last[1]
			b.last = b.last[:1]
		}
		b.last = append(b.last, c)
	case err == io.EOF && b.made < 2:
		b.made++
		if b.made+len(b.last) > 2 {
			b.last = b.last[1:]
		}
		return 0, nil
	}
	return c, err
}

// Read makes a bzip2Source an io.Reader; package bzip2 reads by bytes.
func (b bzip2Source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := b.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

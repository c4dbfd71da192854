package input

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// The limits of what is decompressed. They are in the manual.
const (
	maxNesting  = 4         // compressed data within compressed data
	maxWindow   = 128 << 20 // bytes of memory that xz and zstd may ask for
	maxUnpacked = 1 << 30   // bytes up to which any ratio will do
	maxRatio    = 1100      // of the size to that of the input; gzip reaches 1032
)

// The errors of decompression. Those of the readers below it stay what they are.
var (
	errCut      = unpackError("the compressed data is cut off")
	errCutXZ    = unpackError("the compressed data is cut off, or followed by something else")
	errDamaged  = unpackError("the compressed data is damaged")
	errTrailing = unpackError("behind the compressed data is something that is not compressed")
	errMemory   = unpackError(fmt.Sprintf("the data was compressed with a window of more than %d MiB: decompress it first, and give the result", maxWindow>>20))
	errRatio    = unpackError(fmt.Sprintf("the compressed data grows to more than %d GiB and %d times its size: decompress it first, and give the result", maxUnpacked>>30, maxRatio))
	errNesting  = unpackError(fmt.Sprintf("the data is compressed more than %d times: decompress it first, and give the result", maxNesting))
)

// unpackError is a reason why compressed data cannot be read on.
type unpackError string

func (e unpackError) Error() string { return string(e) }

// compression is a form of compressed data.
type compression uint8

const (
	compressionNone compression = iota
	compressionGzip             // RFC 1952
	compressionXZ               // tukaani.org/xz/xz-file-format.txt
	compressionZstd             // RFC 8878
	compressionBzip2
)

// compressionOf returns the form of what is read next.
func compressionOf(br *bufio.Reader) compression {
	is := func(magic string) bool { return startsWith(br, magic) }
	switch {
	case is("\x1f\x8b\x08"):
		return compressionGzip
	case is("\xfd7zXZ\x00"):
		return compressionXZ
	case is(zstdMagic), isSkippable(br):
		return compressionZstd
	case is("BZh"):
		if p, _ := br.Peek(4); len(p) == 4 && p[3] >= '1' && p[3] <= '9' {
			return compressionBzip2
		}
	}
	return compressionNone
}

// beginsPacked reports whether a line of text begins as compressed data does. The
// NUL in the magic of xz has ended it.
func beginsPacked(line []byte) bool {
	if len(line) == 0 || line[0] != 0x1f && line[0] != 0xfd && line[0] != 0x28 && line[0] != 'B' {
		return false
	}
	return bytes.HasPrefix(line, []byte("\x1f\x8b\x08")) || bytes.HasPrefix(line, []byte("\xfd7zXZ")) ||
		bytes.HasPrefix(line, []byte(zstdMagic)) ||
		bytes.HasPrefix(line, []byte("BZh")) && len(line) > 4 && bytes.HasPrefix(line[4:], []byte("1AY&SY"))
}

// startsWith reports whether s is read next. It reads no further than to the
// first byte that differs.
func startsWith(br *bufio.Reader, s string) bool {
	for n := range len(s) {
		if p, _ := br.Peek(n + 1); len(p) <= n || p[n] != s[n] {
			return false
		}
	}
	return true
}

// packed is the input as it is. It counts, and remembers what broke it.
type packed struct {
	r   io.Reader
	n   int64
	err error
}

func (p *packed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}

// unpacker decompresses what in holds: one member after the other, which may be
// of different forms, with any number of zero bytes behind each.
type unpacker struct {
	in     *bufio.Reader
	input  *packed   // below all layers
	member io.Reader // nil: the next one is to be opened
	begun  bool
	n      int64 // bytes that came out
	limit  int64 // of n, beyond which the ratio counts

	gzip  *gzip.Reader // are used again for the next member
	zstd  *zstd.Decoder
	frame *zstdFrame // that zstd reads
}

func (u *unpacker) Read(p []byte) (int, error) {
	for {
		if u.member == nil {
			if err := u.open(); err != nil {
				return 0, u.explain(err)
			}
		}
		n, err := u.member.Read(p)
		u.n += int64(n)
		switch {
		case u.n > u.limit && u.n/maxRatio > u.input.n:
			return n, errRatio
		case err == io.EOF && u.frame != nil && !u.frame.over():
			err = errCut // package zstd takes half a header for the end
		case err == io.EOF:
			u.member, u.frame, err = nil, nil, nil
		case err != nil:
			err = u.explain(err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// explain returns what an error of a decompressor means.
func (u *unpacker) explain(err error) error {
	var below unpackError
	switch {
	case u.input.err != nil:
		return u.input.err
	case err == io.EOF, errors.As(err, &below):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	case errors.Is(err, xz.ErrBuf), errors.Is(err, xz.ErrFormat):
		return errCutXZ
	case errors.Is(err, xz.ErrMemlimit), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return errMemory
	}
	return errDamaged
}

// open opens the next member, and returns io.EOF where there is none.
func (u *unpacker) open() (err error) {
	if u.begun {
		if err := skipZeros(u.in); err != nil {
			return err
		}
	}
	u.begun = true
	switch compressionOf(u.in) {
	case compressionGzip:
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		if err = u.gzip.Reset(u.in); err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		u.gzip.Multistream(false)
		u.member = u.gzip
	case compressionXZ:
		// The package reads on to the end by itself, and is strict about the number of
		// the zeros there.
		u.member, err = xz.NewReader(&zeroTrimmer{r: u.in}, maxWindow)
	case compressionZstd:
		frame := &zstdFrame{in: u.in}
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return err
			}
		}
		if isSkippable(u.in) {
			u.member = frame // which has nothing for anybody
			return frame.skip()
		}
		u.member, u.frame, err = u.zstd, frame, u.zstd.Reset(frame)
	case compressionBzip2:
		u.member = newBzip2(u)
	default:
		return errTrailing
	}
	return err
}

// skipZeros skips the zero bytes that are read next.
func skipZeros(br *bufio.Reader) error {
	for {
		if _, err := br.Peek(1); err != nil {
			return err
		}
		p, _ := br.Peek(br.Buffered())
		n := len(p) - len(bytes.TrimLeft(p, "\x00"))
		if br.Discard(n); n < len(p) {
			return nil
		}
	}
}

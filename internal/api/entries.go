package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Entries reads a stream of entries. It is for one goroutine.
type Entries struct {
	closer io.Closer
	from   *bufio.Reader
	begun  bool
	err    error // that ended the stream, or io.EOF

	host     []byte
	policies map[uint16]*ipe.Policy
	entry    spool.Entry // of the epoch
	buf      []byte      // a frame
	end      spool.Cursor
}

// Entries is Events, but for the entries of the spool as they are: parameters are
// those of the package documentation, but for format, raw and cursor.
func (c *Client) Entries(ctx context.Context, parameters url.Values) (*Entries, error) {
	query := url.Values{"format": {"spool"}}
	for key, values := range parameters {
		query[key] = values
	}
	body, err := c.Events(ctx, query)
	if err != nil {
		return nil, err
	}
	return newEntries(body), nil
}

func newEntries(body io.ReadCloser) *Entries {
	return &Entries{closer: body, from: bufio.NewReaderSize(body, 64<<10), policies: make(map[uint16]*ipe.Policy)}
}

// Next returns the next entry, a *spool.GapError where entries are missing, and
// io.EOF when everything was sent that was asked for, or the daemon stopped. Any
// other error ends the stream before: io.ErrUnexpectedEOF where it was cut, and
// one that wraps ErrStream where it makes no sense. Attachments come where they
// stand in the spool. The entry and its data live until the next call.
func (e *Entries) Next() (*spool.Entry, error) {
	if e.err != nil {
		return nil, e.err
	}
	for {
		kind, data, err := e.frame()
		if err != nil {
			e.err = err
			return nil, err
		}
		var gap *spool.GapError
		switch kind {
		case frameEntry:
			if e.readEntry(data) {
				return &e.entry, nil
			}
		case frameGap:
			if gap = readGap(data); gap != nil {
				return nil, gap
			}
		case frameHost:
			e.host = bytes.Clone(data)
			continue
		case frameEpoch:
			if e.readEpoch(data) {
				continue
			}
		case framePolicy:
			if e.readPolicy(data) {
				continue
			}
		case frameEnd:
			if e.err = e.readEnd(data); e.err != nil {
				return nil, e.err
			}
		default:
			e.err = fmt.Errorf("%w: a frame of kind %d, which this release does not know", ErrStream, kind)
			return nil, e.err
		}
		e.err = fmt.Errorf("%w: a frame of kind %d with %d bytes", ErrStream, kind, len(data))
		return nil, e.err
	}
}

// Host returns the name of the host whose spool it is, empty if the daemon does
// not say it. It is known with the first entry, and does not change its bytes.
func (e *Entries) Host() []byte { return e.host }

// Policy returns the policy that an entry's context stands for, nil if that is not
// known. It must not be changed.
func (e *Entries) Policy(context uint16) *ipe.Policy { return e.policies[context] }

// End returns how far the daemon looked, once Next has returned io.EOF.
func (e *Entries) End() spool.Cursor { return e.end }

// Close ends the stream.
func (e *Entries) Close() error { return e.closer.Close() }

// frame reads the next frame. Its data lives until the next call.
func (e *Entries) frame() (kind frameKind, data []byte, err error) {
	if !e.begun {
		head, err := e.read(streamHeader)
		if err != nil {
			return 0, nil, err
		}
		version := binary.LittleEndian.Uint16(head[len(streamMagic):])
		switch {
		case string(head[:len(streamMagic)]) != streamMagic:
			return 0, nil, fmt.Errorf("%w: it does not begin like one", ErrStream)
		case version != streamVersion:
			return 0, nil, fmt.Errorf("%w: version %d, and this release reads version %d", ErrStream, version, streamVersion)
		}
		e.begun = true
	}
	head, err := e.read(frameHeader)
	if err != nil {
		return 0, nil, err
	}
	kind = frameKind(head[4])
	n := binary.LittleEndian.Uint32(head)
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrStream, n)
	}
	data, err = e.read(int(n))
	return kind, data, err
}

// read returns the next n bytes, which live until the next call. Here no stream
// may end.
func (e *Entries) read(n int) ([]byte, error) {
	var b []byte
	var err error
	if n <= e.from.Size() {
		if b, err = e.from.Peek(n); err == nil {
			_, err = e.from.Discard(n) // leaves b alone until the next read
		}
	} else {
		if cap(e.buf) < n {
			e.buf = make([]byte, n)
		}
		b = e.buf[:n]
		_, err = io.ReadFull(e.from, b)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

func (e *Entries) readEpoch(data []byte) bool {
	if len(data) != epochSize {
		return false
	}
	e.entry.ID = spool.ID(binary.LittleEndian.Uint64(data))
	copy(e.entry.BootID[:], data[8:])
	return e.entry.ID != 0
}

func (e *Entries) readEntry(data []byte) bool {
	if len(data) < entrySize || e.entry.ID == 0 {
		return false
	}
	le := binary.LittleEndian
	e.entry.Seq, e.entry.Time = le.Uint64(data), int64(le.Uint64(data[8:]))
	e.entry.Type, e.entry.Context = le.Uint16(data[16:]), le.Uint16(data[18:])
	e.entry.Attachment, e.entry.Event = data[20] == 1, le.Uint64(data[21:])
	e.entry.Data = data[entrySize:]
	return data[20] <= 1 && (e.entry.Seq != 0 || e.entry.Attachment)
}

func (e *Entries) readPolicy(data []byte) bool {
	if len(data) < 2 {
		return false
	}
	context := binary.LittleEndian.Uint16(data)
	data = bytes.Clone(data[2:])
	p := &ipe.Policy{}
	for _, part := range [...]*[]byte{&p.Name, &p.Version, &p.Digest} {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)-size)+1 {
			return false
		}
		if data = data[size:]; n > 0 {
			*part, data = data[:n-1:n-1], data[n-1:]
		}
	}
	e.policies[context] = p
	return len(data) == 0
}

// readGap returns nil for a frame that makes no sense.
func readGap(data []byte) *spool.GapError {
	if len(data) < gapSize {
		return nil
	}
	le := binary.LittleEndian
	g := &spool.GapError{ID: spool.ID(le.Uint64(data)), First: le.Uint64(data[8:]), Count: le.Uint64(data[16:]), Known: data[24] == 1, Attachments: le.Uint64(data[25:])}
	if g.Known {
		g.Last = g.First + g.Count - 1
	}
	if why := string(data[gapSize:]); why == spool.ErrDamaged.Error() {
		g.Err = spool.ErrDamaged
	} else if why != "" {
		g.Err = errors.New(why)
	}
	if g.First == 0 || data[24] > 1 || !g.Known && g.Count > 0 || g.First+g.Count < g.First {
		return nil
	}
	return g
}

// readEnd returns io.EOF, or what is wrong with the end of the stream.
func (e *Entries) readEnd(data []byte) error {
	if len(data) != endSize {
		return fmt.Errorf("%w: an end of %d bytes", ErrStream, len(data))
	}
	e.end = spool.Cursor{ID: spool.ID(binary.LittleEndian.Uint64(data)), Seq: binary.LittleEndian.Uint64(data[8:])}
	switch _, err := e.from.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows the end", ErrStream)
	default:
		return err // io.EOF, unless the connection broke
	}
}

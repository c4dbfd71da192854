package otlp

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Tags of fields with a length: field<<3 | 2 (protobuf.dev, "Encoding").
const (
	tag1 = 1<<3 | 2
	tag2 = 2<<3 | 2
)

// errEntry says that an entry is not what format.OTLP makes.
var errEntry = errors.New("not a request of one record")

// field returns the content of the field at the front of b, which has that tag, and
// what is behind it.
func field(b []byte, tag byte) (content, rest []byte, err error) {
	if len(b) == 0 || b[0] != tag {
		return nil, nil, errEntry
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return nil, nil, errEntry
	}
	b = b[1+size:]
	return b[:n], b[n:], nil
}

// parts takes a request of one record apart. All of them are whole fields, with tag
// and length: the resource, its scope, and the record.
func parts(request []byte) (resource, scope, record []byte, err error) {
	logs, rest, err := field(request, tag1)
	if err != nil || len(rest) > 0 {
		return nil, nil, nil, errEntry
	}
	_, rest, err = field(logs, tag1)
	if err != nil {
		return nil, nil, nil, err
	}
	resource = logs[:len(logs)-len(rest)]
	scopeLogs, rest, err := field(rest, tag2)
	if err != nil || len(rest) > 0 {
		return nil, nil, nil, errEntry
	}
	_, record, err = field(scopeLogs, tag1)
	if err != nil {
		return nil, nil, nil, err
	}
	scope = scopeLogs[:len(scopeLogs)-len(record)]
	if _, rest, err = field(record, tag2); err != nil || len(rest) > 0 {
		return nil, nil, nil, errEntry
	}
	return resource, scope, record, nil
}

// batch is the records that are to be sent, and where they come from.
type batch struct {
	groups  []group
	used    int    // of groups
	bytes   []byte // of the records, one behind the other
	records []record
}

// group is what records have in common: one host.
type group struct{ resource, scope []byte }

type record struct {
	group, begin, end int
	origin
}

// add copies an entry.
func (b *batch) add(entry []byte, o origin) error {
	resource, scope, text, err := parts(entry)
	if err != nil {
		return err
	}
	begin := len(b.bytes)
	b.bytes = append(b.bytes, text...)
	b.records = append(b.records, record{b.group(resource, scope), begin, len(b.bytes), o})
	return nil
}

// group returns the number of the group, the last one first: most records are of one
// host.
func (b *batch) group(resource, scope []byte) int {
	for i := b.used - 1; i >= 0; i-- {
		if bytes.Equal(b.groups[i].resource, resource) && bytes.Equal(b.groups[i].scope, scope) {
			return i
		}
	}
	if b.used == len(b.groups) {
		b.groups = append(b.groups, group{})
	}
	g := &b.groups[b.used]
	g.resource, g.scope = append(g.resource[:0], resource...), append(g.scope[:0], scope...)
	b.used++
	return b.used - 1
}

// reset forgets the records. Memory that only a large batch needed is given back.
func (b *batch) reset() {
	const enough = 1 << 20
	if cap(b.bytes) > enough || len(b.groups) > 1024 {
		*b = batch{}
	}
	b.used, b.bytes, b.records = 0, b.bytes[:0], b.records[:0]
}

// appendRequest appends a request with some of the records: one ResourceLogs for each
// group, in the order in which they came first.
func (b *batch) appendRequest(dst []byte, records []record) []byte {
	for g := range b.groups[:b.used] {
		size := 0
		for _, r := range records {
			if r.group == g {
				size += r.end - r.begin
			}
		}
		if size == 0 {
			continue
		}
		head := &b.groups[g]
		size += len(head.scope)
		dst = append(dst, tag1)
		dst = binary.AppendUvarint(dst, uint64(len(head.resource)+1+lengthOf(size)+size))
		dst = append(dst, head.resource...)
		dst = append(dst, tag2)
		dst = binary.AppendUvarint(dst, uint64(size))
		dst = append(dst, head.scope...)
		for _, r := range records {
			if r.group == g {
				dst = append(dst, b.bytes[r.begin:r.end]...)
			}
		}
	}
	return dst
}

// lengthOf returns how many octets a length takes.
func lengthOf(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n))
}

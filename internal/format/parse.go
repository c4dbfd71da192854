package format

import (
	"bytes"
	"encoding/hex"
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Errors of [Parser.Parse].
var (
	// ErrForeign: the line says nothing about an event.
	ErrForeign = errors.New("no event")
	// ErrUnreadable: the line may have been one of our events.
	ErrUnreadable = errors.New("not an event that this release can read")
)

// Parser reads events in JSON. The zero value is ready to use. It holds scratch
// space, as much as the longest line was long. One goroutine may use it at a time.
type Parser struct {
	scratch []byte
	fields  fields // of the line being read
}

// Parse reads a line as [AppendJSON] writes it into ev and id: the same bytes in
// every string, whatever they are, so that AppendJSON writes the same line again
// (with Raw, if the line has the record text). Any order of the keys will do, and
// keys that nobody knows are passed over. Of a key that is there twice the last
// counts.
//
// The error is ErrForeign or ErrUnreadable; ev and id are empty then. The slices
// of ev and id view the line and the Parser's scratch space until the line is
// overwritten or the next Parse. Parse does not allocate once that space and the
// lists of ev are large enough, but for objects with odd keys.
func (p *Parser) Parse(ev *ipe.Event, id *Identity, line []byte) error {
	ev.Reset()
	*id = Identity{}
	// Nothing is decoded to more bytes than it has in the line, so the scratch
	// space never moves while views of it are out.
	if cap(p.scratch) < len(line) {
		p.scratch = make([]byte, 0, max(len(line), 4096))
	}
	p.scratch = p.scratch[:0]

	p.fields = fields{ev, id}
	ok, named, next := true, false, 0
	var valid bool
	for key, value := range p.members(line, &valid) {
		i, isHex := find(key, next)
		if i < 0 {
			continue
		}
		k := &keys[i]
		next = i
		named = named || k.Name == "event"
		read := k.read
		if isHex {
			read = k.readHex
		}
		ok = ok && read(p, &p.fields, value)
	}
	err := error(nil)
	switch {
	case !valid:
		err = ErrUnreadable
	case !named:
		err = ErrForeign
	case !ok || (ev.Kind == ipe.KindAccess || ev.Kind == ipe.KindRepeated) && !judge(ev):
		err = ErrUnreadable
	case id.Spool == 0 || id.Seq == 0 && ev.Kind != ipe.KindRepeated:
		id.Spool, id.Seq = 0, 0 // one half names nothing
	}
	if err != nil {
		ev.Reset()
		*id = Identity{}
	}
	return err
}

// find returns the place of a key in the table, or of KEY if it is a KEY_hex, and
// -1 if it is not there. It looks first at what comes from next on.
func find(key []byte, next int) (i int, isHex bool) {
	for i := next; i < min(next+8, len(keys)); i++ {
		if keys[i].Name == string(key) {
			return i, false
		}
	}
	if i, ok := keyNumbers[string(key)]; ok {
		return i, false
	}
	name, ok := bytes.CutSuffix(key, []byte("_hex"))
	if i, known := keyNumbers[string(name)]; ok && known && keys[i].readHex != nil {
		return i, true
	}
	return -1, false
}

// judge makes verdict and action of accesses whole, and reports whether that
// can be done: without a verdict it would count as seen, and as no denial.
func judge(ev *ipe.Event) bool {
	action := ipe.ActionDeny
	switch ev.Verdict {
	case ipe.VerdictNone:
		return false
	case ipe.VerdictAllowed:
		action = ipe.ActionAllow
	}
	if ev.Action == ipe.ActionNone {
		ev.Action = action
	}
	return ev.Action == action
}

// text stores a string.
func (p *Parser) text(to *[]byte, v []byte) bool {
	*to = p.unquote(v)
	return v[0] == '"'
}

// hex stores the bytes that a string in hex spells.
func (p *Parser) hex(to *[]byte, v []byte) bool {
	s := p.unquote(v)
	start := len(p.scratch)
	b := p.scratch[start : start+len(s)/2 : start+len(s)/2]
	if _, err := hex.Decode(b, s); err != nil || v[0] != '"' {
		return false
	}
	p.scratch = p.scratch[:start+len(b)]
	*to = b
	return true
}

func (p *Parser) list(to *[][]byte, v []byte, isHex bool) bool {
	if v[0] != '[' {
		return false
	}
	*to = (*to)[:0]
	for item := range items(v) {
		*to = append(*to, nil)
		s := &(*to)[len(*to)-1]
		if isHex && !p.hex(s, item) || !isHex && !p.text(s, item) {
			return false
		}
	}
	return true
}

// contexts stores a set. What a later release may have beside its words is passed
// over.
func (p *Parser) contexts(to *ipe.Contexts, v []byte) bool {
	if v[0] != '[' {
		return false
	}
	*to = 0
	for item := range items(v) {
		*to |= ipe.ContextNamed(p.unquote(item))
	}
	return true
}

// extra stores the members of an object that appendJSONExtra wrote.
func (p *Parser) extra(to *[]ipe.KeyValue, v []byte) bool {
	if v[0] != '{' {
		return false
	}
	*to = (*to)[:0]
	var last []byte // name of the member before
	var valid bool  // as the whole line is
	for name, v := range p.members(v, &valid) {
		if before, ok := bytes.CutSuffix(name, []byte("_hex")); ok && last != nil && bytes.Equal(before, last) {
			if !p.hex(&(*to)[len(*to)-1].Value, v) {
				return false
			}
			last = nil
			continue
		}
		last = name
		key, ok := p.extraKey(name)
		*to = append(*to, ipe.KeyValue{Key: key})
		if !ok || !p.text(&(*to)[len(*to)-1].Value, v) {
			return false
		}
	}
	return true
}

// extraKey returns the key of the record that a member of "extra" is named by: it
// is KEY or #HEX, and # and a position may follow.
func (p *Parser) extraKey(name []byte) (key []byte, ok bool) {
	odd := len(name) > 0 && name[0] == '#'
	if odd {
		name = name[1:]
	}
	name, _, _ = bytes.Cut(name, []byte("#"))
	if !odd {
		return name, len(name) > 0
	}
	start := len(p.scratch)
	b := p.scratch[start : start+len(name)/2 : start+len(name)/2]
	if _, err := hex.Decode(b, name); err != nil {
		return nil, false
	}
	p.scratch = p.scratch[:start+len(b)]
	return b, true
}

// unquote returns the bytes of a JSON string, nil for any other value. The
// string is valid, because the whole line is. Half a surrogate pair becomes
// U+FFFD, as with encoding/json.
func (p *Parser) unquote(v []byte) []byte {
	if v[0] != '"' {
		return nil
	}
	s := v[1 : len(v)-1 : len(v)-1]
	n := bytes.IndexByte(s, '\\')
	if n < 0 {
		return s
	}
	start, b := len(p.scratch), p.scratch
	for ; n >= 0; n = bytes.IndexByte(s, '\\') {
		b = append(b, s[:n]...)
		c := s[n+1]
		s = s[n+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					low = hex4(s[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					s = s[6:]
				}
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		b = append(b, c) // also of \" \\ \/
	}
	p.scratch = append(b, s...)
	return p.scratch[start:len(p.scratch):len(p.scratch)]
}

// hex4 returns the number that the first four hex digits of s spell.
func hex4(s []byte) (r rune) {
	for _, c := range s[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

package input

import (
	"bytes"
	"encoding/json"
)

// block is JSON that goes on over several lines, or of which a line holds several
// values. It is cut into objects: the elements of a list, of the innermost one
// with objects in it, or else whole values. An object within an object stays a
// part of it.
type block struct {
	open  bool
	buf   []byte // the object so far, or what lies between objects
	line  int    // where in buf the last line begins
	begin int    // depth of the object in buf; 0: none
	long  bool   // buf had become too long, and was let go

	stack []byte // the open { and [
	want  want
	str   bool // within a string
	esc   bool // behind a backslash
	bare  bool // within a number or word
	key   bool // the string is a key
}

// want is what JSON can go on with.
type want uint8

const (
	wantValue want = iota
	wantFirst      // a value, or the end of the list
	wantKey
	wantFirstKey // a key, or the end of the object
	wantColon
	wantComma // or the end of the object or list
)

const maxDepth = 64 // of JSON

// beginsBlock reports whether JSON begins in line that ends in a later one, or a
// list of objects.
func beginsBlock(line []byte) bool {
	line = trimBlanks(line)
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return false
	}
	list := line[0] == '['
	for line = trimBlanks(line[1:]); list && len(line) > 0 && line[0] == '['; {
		line = trimBlanks(line[1:])
	}
	return len(line) == 0 || list && line[0] == '{'
}

// trimBlanks cuts blanks off the front of p.
func trimBlanks(p []byte) []byte {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	return p
}

// beginBlock begins a block with the line in r.text. It reports whether rec is
// complete.
func (r *Reader) beginBlock(rec *Record) bool {
	b := &r.block
	*b = block{open: true, buf: b.buf[:0], stack: b.stack[:0]}
	r.text = trimBlanks(r.text)
	return r.blockLine(rec)
}

// blockLine takes the line in r.text into the block. It hands back what is behind
// the object that it found, and the whole line if it does not go on with the
// block: then what the block was is passed over.
func (r *Reader) blockLine(rec *Record) bool {
	b, line := &r.block, r.text
	b.line = len(b.buf)
	fresh := b.line+len(b.stack) == 0
	for i, c := range line {
		if !b.step(c) {
			r.abandon(fresh)
			return false
		}
		r.keep(c)
		if c == '{' && !b.str && b.begins() {
			b.buf = b.buf[:len(b.buf)-1]
			r.glance()
			b.begin = len(b.stack)
			r.keep(c)
		}
		switch {
		case b.begin > len(b.stack):
			b.begin, b.open = 0, len(b.stack) > 0
			r.handBack(line[i+1:])
			object := b.buf
			if b.buf, b.line = b.buf[:0], 0; b.long {
				b.long = false
				return false
			}
			done, _ := r.object(r.compact(object), true, rec)
			return done
		case len(b.stack) == 0:
			r.glance()
			b.open = false
			r.handBack(line[i+1:])
			return false
		}
	}
	if !b.step('\n') {
		r.abandon(fresh)
		return false
	}
	r.keep('\n')
	return false
}

// begins reports whether the object that was just opened is one to be cut out.
func (b *block) begins() bool {
	n := len(b.stack)
	return n == 1 || b.stack[n-2] == '['
}

// keep adds c to the object, unless that is too long.
func (r *Reader) keep(c byte) {
	b := &r.block
	if len(b.buf) < maxLine {
		b.buf = append(b.buf, c)
		return
	}
	if !b.long {
		b.long = true
		r.passed++
		r.unread.add(causeLong)
	}
}

// glance looks at what lies between objects, and lets it go.
func (r *Reader) glance() {
	b := &r.block
	if !b.long && holdsIPE(b.buf) {
		r.unread.add(causeJSON)
	}
	b.buf, b.line, b.long = b.buf[:0], 0, false
}

// abandon ends a block with which the line in r.text does not go on. The line is
// looked at again, unless it has begun the block.
func (r *Reader) abandon(fresh bool) {
	b := &r.block
	b.open = false
	if fresh {
		r.pass(r.text)
		return
	}
	if before := b.buf[:b.line]; !b.long && len(before) > 0 {
		r.pass(before)
	}
	r.again = true
}

// handBack leaves the rest of the line in r.text for the next readLine.
func (r *Reader) handBack(rest []byte) {
	if rest = trimBlanks(rest); len(rest) > 0 {
		r.text, r.again = rest, true
	}
}

// compact returns object in one line.
func (r *Reader) compact(object []byte) []byte {
	if bytes.IndexByte(object, '\n') < 0 {
		return object
	}
	b := bytes.NewBuffer(r.line[:0])
	if json.Compact(b, object) != nil {
		return object
	}
	r.line = b.Bytes()
	return r.line
}

// step goes on with c. It reports false if JSON cannot go on so.
func (b *block) step(c byte) bool {
	if b.str {
		switch {
		case b.esc:
			b.esc = false
		case c == '\\':
			b.esc = true
		case c == '"':
			if b.str = false; b.key {
				b.want = wantColon
			} else {
				b.valueEnds()
			}
		}
		return c >= ' '
	}
	value := b.want == wantValue || b.want == wantFirst
	if b.bare || value {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			b.bare = true
			return true
		case b.bare:
			b.bare = false
			b.valueEnds()
		}
	}
	switch c {
	case ' ', '\t', '\r', '\n':
		return true
	case '"':
		b.key = b.want == wantKey || b.want == wantFirstKey
		b.str = true
		return value || b.key
	case '{', '[':
		if b.stack, b.want = append(b.stack, c), wantFirst; c == '{' {
			b.want = wantFirstKey
		}
		return value && len(b.stack) <= maxDepth
	case '}':
		return b.pop('{', wantFirstKey)
	case ']':
		return b.pop('[', wantFirst)
	case ':':
		ok := b.want == wantColon
		b.want = wantValue
		return ok
	case ',':
		ok := b.want == wantComma
		if b.want = wantValue; ok && b.stack[len(b.stack)-1] == '{' {
			b.want = wantKey
		}
		return ok
	}
	return false
}

// pop closes the object or list that open has opened. first is what is wanted in
// an empty one.
func (b *block) pop(open byte, first want) bool {
	top := len(b.stack) - 1
	if top < 0 || b.stack[top] != open || b.want != wantComma && b.want != first {
		return false
	}
	b.stack = b.stack[:top]
	b.valueEnds()
	return true
}

// valueEnds says that a value is complete.
func (b *block) valueEnds() { b.want = wantComma }

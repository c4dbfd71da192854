package input

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// cause is why a line that holds a record of IPE, or may, gave none.
type cause uint8

const (
	causeForm    cause = iota // the line is of no form that is known
	causeVerbose              // journalctl -o verbose
	causeJSON                 // JSON of others
	causeProcess              // a process wrote it, as the journal or the kernel log says
	causeRecord               // a record of one of IPE's types that cannot be understood
	causeLong                 // longer than maxLine
	causePacked               // compressed data behind something else
	causeCount
)

// reasons are the causes in words.
var reasons = [causeCount]string{
	causeForm:    "records of IPE in a form that is not known; give the log itself, such as audit.log, or what ausearch --raw or journalctl -o export prints",
	causeVerbose: "records of IPE as journalctl -o verbose prints them; print them with journalctl -o export",
	causeJSON:    "records of IPE within JSON of another program; give their text, one on a line, such as with jq -r .message",
	causeProcess: "text of records of IPE that did not come from the kernel: a process wrote it",
	causeRecord:  "audit records that name IPE but are none that is known",
	causeLong:    fmt.Sprintf("longer than %d MiB", maxLine>>20),
	causePacked:  "compressed data behind something else; give each file by itself",
}

// reasonNothing is said of an input with something in it, but nothing to read.
const reasonNothing = "no audit record and no event of ipe-auditd found; give a log such as audit.log, what ausearch --raw or journalctl -o export prints, or a capture"

// unread keeps account of what was not read of an input.
type unread struct {
	known   int  // audit records, and events of ours
	content bool // there was something else than blanks and NULs
	lines   [causeCount]uint64
}

func (u *unread) add(c cause) { u.lines[c]++ }

// pass takes a line or an object that gave no record. other says that it is an
// audit record of another type all the same.
func (u *unread) pass(line []byte, other bool) {
	if other {
		u.known++
		return
	}
	u.content = u.content || len(bytes.TrimSpace(line)) > 0
	if beginsPacked(line) {
		u.add(causePacked)
		return
	}
	if !holdsIPE(line) && !holdsEvent(line) {
		return
	}
	switch text := bytes.TrimLeft(line, " \t,["); {
	case len(line)-len(text) == 4 && isExport(text):
		u.add(causeVerbose)
	case isJSON(text):
		u.add(causeJSON)
	default:
		u.add(causeForm)
	}
}

// reject takes a record that gave no event.
func (u *unread) reject(rec *Record) {
	switch {
	case rec.Event:
		u.known--
		u.pass(rec.Text, false)
	case ipe.Carries(rec.Type) && ipe.Classify(rec.Type, rec.Text) == ipe.ClassForeign && namesIPE(rec.Text):
		u.add(causeRecord)
	}
}

// end returns what Next has to say where the input ended with err.
func (u *unread) end(err error) error {
	e := &UnreadError{}
	for c, n := range u.lines {
		if n > 0 {
			e.Parts = append(e.Parts, Unread{n, reasons[c]})
		}
	}
	switch err.(type) {
	case *DamageError, *FormatError:
		e.Parts = append(e.Parts, Unread{0, err.Error()})
	}
	if len(e.Parts) == 0 && err == io.EOF && u.content && u.known == 0 {
		e.Parts = append(e.Parts, Unread{0, reasonNothing})
	}
	if len(e.Parts) == 0 {
		return err
	}
	if err != io.EOF {
		e.Err = err
	}
	return e
}

// holdsIPE reports whether text holds a record of IPE, in whatever wrapping: a
// stamp or the tag of one of its types, and words of its own behind. A record of
// another type may say what it likes, but in JSON each line of each string may be
// a record.
func holdsIPE(text []byte) bool {
	holds, other := holdsPlain(text)
	if !holds && !other && bytes.Contains(text, []byte(`\u00`)) {
		holds, other = holdsPlain(unescapeJSON(text))
	}
	if !other || !isJSON(text) {
		return holds
	}
	for len(text) > 0 {
		var piece []byte
		if piece, text = cutPiece(text); holdsIPE(piece) {
			return true
		}
	}
	return false
}

// holdsEvent reports whether text holds the identity of an event of ours, as JSON in
// whatever wrapping: "spool":"5f1c9a0277d8e3b4","seq":9
func holdsEvent(text []byte) (holds bool) {
	find(text, "spool", func(i int) bool {
		id := bytes.TrimLeft(text[i+len("spool"):], `\": `)
		n := 0
		for n < len(id) && (unhex(id[n]) >= 0) {
			n++
		}
		holds = n == 16 && bytes.HasPrefix(bytes.TrimLeft(id[n:], `\", `), []byte("seq"))
		return holds
	})
	return holds
}

// isJSON reports whether text begins as JSON, or the rest of it.
func isJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t,[")
	return len(text) > 0 && (text[0] == '{' || text[0] == '"')
}

// cutPiece cuts JSON behind the next quote that begins or ends a string, or the
// next escaped LF or CR in one.
func cutPiece(text []byte) (piece, rest []byte) {
	for i := 0; i < len(text); i++ {
		n := 0
		switch after := text[i+1:]; {
		case text[i] == '"':
			n = 1
		case text[i] != '\\' || len(after) == 0:
			continue
		case after[0] == 'n' || after[0] == 'r':
			n = 2
		case bytes.HasPrefix(after, []byte("u000")) && len(after) > 4 && (after[4]|0x20 == 'a' || after[4]|0x20 == 'd'):
			n = 6
		default:
			i++
			continue
		}
		return text[:i], text[i+n:]
	}
	return text, nil
}

// holdsPlain is holdsIPE for text without escapes. other says that there are such
// words, but that a record of another type says them.
func holdsPlain(text []byte) (holds, other bool) {
	for {
		at, end := mark(text)
		if at < 0 || !namesIPE(text[end:]) {
			return false, other
		}
		if text[at] == 'A' || !ofAnotherType(text[:at]) {
			return true, false
		}
		// Only messages of user space, between quotes, can quote another record.
		other, text = true, text[end:]
		i := joint(text, false)
		if i == 0 || bytes.Contains(text, []byte("msg='")) {
			return false, other
		}
		text = text[i:]
	}
}

// mark finds the first stamp, or tag of the journal for a type from 1400 to
// 1499. at is -1 where there is none.
func mark(text []byte) (at, end int) {
	at = -1
	find(text, "audit(", func(i int) bool {
		n := stampLen(text[i:])
		if n > 0 {
			at, end = i, i+n
		}
		return n > 0
	})
	const tag, length = "AUDIT14", len("AUDIT1400")
	find(text, tag, func(i int) bool {
		switch {
		case at >= 0 && i > at:
			return true
		case digits(text[i+len(tag):]) != 2:
			return false
		}
		at, end = i, i+length
		return true
	})
	return at, end
}

// find calls found for each place of s in text, until it returns true.
func find(text []byte, s string, found func(i int) bool) {
	for from := 0; ; from += len(s) {
		i := bytes.Index(text[from:], []byte(s))
		if i < 0 || found(from+i) {
			return
		}
		from += i
	}
}

// stampLen returns the length of audit(N.NNN:N) at the front of text, or 0.
func stampLen(text []byte) int {
	n := len("audit(")
	for i, end := range []byte(".:)") {
		d := digits(text[n:])
		if d == 0 || i == 1 && d != 3 || n+d >= len(text) || text[n+d] != end {
			return 0
		}
		n += d + 1
	}
	return n
}

// namesIPE reports whether text has words that only records of IPE have.
func namesIPE(text []byte) bool {
	if bytes.Contains(text, []byte("ipe_op=")) || bytes.Contains(text, []byte("IPE ctx_")) {
		return true
	}
	const word = "lsm=ipe"
	for {
		i := bytes.Index(text, []byte(word))
		if i < 0 {
			return false
		}
		before, behind := i == 0 || !isWord(text[i-1]), text[i+len(word):]
		if before && (len(behind) == 0 || !isWord(behind[0])) {
			return true
		}
		text = behind
	}
}

// isWord reports whether c goes on with a word.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-' || c == '.' || c == '/'
}

// ofAnotherType reports whether before, what lies before a stamp, ends with the
// type of a record that cannot be IPE's: type=USER_AVC msg=
func ofAnotherType(before []byte) bool {
	before = bytes.TrimSuffix(before, []byte("msg="))
	before = bytes.TrimRight(before, " ")
	i := bytes.LastIndex(before, []byte("type="))
	if i < 0 || i > 0 && isWord(before[i-1]) {
		return false
	}
	name := before[i+len("type="):]
	typ, ok := typeByName(name)
	if !ok {
		typ, ok = parseType(name)
	}
	return ok && !ipe.Carries(typ) || !ok && isTypeName(name)
}

// isTypeName reports whether p can be the name of a record type, as in
// linux/audit.h without AUDIT_.
func isTypeName(p []byte) bool {
	for _, c := range p {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(p) > 1 && p[0] >= 'A' && p[0] <= 'Z'
}

// otherRecord reports whether p is a record of a type whose name is not known
// here: type=SYSCALL msg=audit(1795440701.244:47): ...
func otherRecord(p []byte) bool {
	p, ok := bytes.CutPrefix(p, []byte("type="))
	if !ok {
		return false
	}
	name, text, ok := bytes.Cut(p, []byte(" "))
	if !ok || !isTypeName(name) {
		return false
	}
	text, _ = bytes.CutPrefix(text, []byte("msg="))
	_, _, ok = auditrec.CutStamp(text)
	return ok
}

// unescapeJSON returns text with the escapes for ASCII, \u0020 to \u007e, undone.
func unescapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		if len(text) >= 6 && string(text[:4]) == `\u00` {
			hi, lo := unhex(text[4]|0x20), unhex(text[5]|0x20)
			if hi >= 2 && hi < 8 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				text = text[6:]
				continue
			}
		}
		out = append(out, text[0])
		text = text[1:]
	}
	return out
}

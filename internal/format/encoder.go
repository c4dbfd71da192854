package format

import (
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// form is a way to write keys and values.
type form uint8

const (
	formNames   form = iota // "key ", also of what is absent: for Keys
	formJSON                // ,"key":value
	formSD                  // ' key="value"', RFC 5424 section 6.3.3
	formJournal             // IPE_KEY=value and a newline, or the form with a length
	formEnv                 // IPE_KEY=value and a NUL
)

// encoder writes fields in one form. It has a method for each type of value;
// for what is absent it writes nothing.
type encoder struct {
	dst  []byte
	form form
}

// begin writes a key and what stands before a value, end what stands behind it.
func (e *encoder) begin(key string) {
	switch e.form {
	case formJSON:
		e.dst = append(e.dst, ',', '"')
		e.dst = append(e.dst, key...)
		e.dst = append(e.dst, '"', ':')
	case formSD:
		e.dst = append(e.dst, ' ')
		e.dst = append(e.dst, key...)
		e.dst = append(e.dst, '=', '"')
	case formJournal, formEnv:
		e.dst = append(appendVariable(e.dst, key), '=')
	}
}

func (e *encoder) end() {
	switch e.form {
	case formSD:
		e.dst = append(e.dst, '"')
	case formJournal:
		e.dst = append(e.dst, '\n')
	case formEnv:
		e.dst = append(e.dst, 0)
	}
}

// want reports whether a value is to be written, which is so when it is known.
func (e *encoder) want(key string, known bool) bool {
	if e.form == formNames {
		e.dst = append(append(e.dst, key...), ' ')
		return false
	}
	return known
}

func (e *encoder) number(key string, n uint64, known bool) {
	if e.want(key, known) {
		e.begin(key)
		e.dst = strconv.AppendUint(e.dst, n, 10)
		e.end()
	}
}

// errno writes the negative number that the kernel prints. The journal has a
// field of its own for it, and there it is positive: ERRNO=,
// systemd.journal-fields(7).
func (e *encoder) errno(key string, n int64, known bool) {
	switch {
	case !e.want(key, known):
	case e.form == formJournal:
		e.dst = strconv.AppendUint(append(e.dst, "ERRNO="...), uint64(max(n, -n)), 10)
		e.end()
	default:
		e.begin(key)
		e.dst = strconv.AppendInt(e.dst, n, 10)
		e.end()
	}
}

func (e *encoder) boolean(key string, b ipe.Bool) {
	if e.want(key, b.Known()) {
		e.begin(key)
		e.dst = strconv.AppendBool(e.dst, b == ipe.True)
		e.end()
	}
}

func (e *encoder) instant(key string, ms int64, known bool) {
	if e.want(key, known) {
		e.begin(key)
		e.quote()
		e.dst = appendInstant(e.dst, ms)
		e.quote()
		e.end()
	}
}

func (e *encoder) hex32(key string, n uint32, known bool) {
	if e.want(key, known) {
		e.begin(key)
		e.quote()
		for shift := 28; shift >= 0; shift -= 4 {
			e.dst = append(e.dst, lowerHex[n>>shift&15])
		}
		e.quote()
		e.end()
	}
}

// word writes a word of ours: it needs no escaping.
func (e *encoder) word(key, s string) {
	if e.want(key, s != "") {
		e.begin(key)
		e.quote()
		e.dst = append(e.dst, s...)
		e.quote()
		e.end()
	}
}

// quote writes the quotes of a string that is written bare elsewhere.
func (e *encoder) quote() {
	if e.form == formJSON {
		e.dst = append(e.dst, '"')
	}
}

// name writes a string from the outside; an empty one is absent. The compiler
// does not copy it for text as long as it sees that all of text only reads: a
// function in assembly, such as bytes.IndexByte, would hide that.
func (e *encoder) name(key, s string) {
	if e.want(key, s != "") {
		e.text(key, []byte(s))
	}
}

// text writes bytes that others chose.
func (e *encoder) text(key string, b []byte) {
	if !e.want(key, b != nil) {
		return
	}
	whole := true
	switch e.form {
	case formJSON:
		e.begin(key)
		e.dst, whole = appendJSONString(e.dst, b)
	case formSD:
		e.begin(key)
		e.dst, whole = appendSDValue(e.dst, b)
	case formEnv:
		if len(b) > maxVariable {
			return
		}
		e.begin(key)
		e.dst = appendEnvValue(e.dst, b)
	case formJournal:
		if slices.Contains(b, '\n') {
			e.dst = appendVariable(e.dst, key)
			e.dst = appendJournalBinary(e.dst, b)
		} else {
			e.begin(key)
			e.dst = append(e.dst, b...)
		}
	}
	e.end()
	if !whole {
		e.hexKey(key)
		e.quote()
		e.dst = appendHex(e.dst, b)
		e.quote()
		e.end()
	}
}

// hexKey is begin for KEY_hex, which only JSON and SD have.
func (e *encoder) hexKey(key string) {
	if e.form == formJSON {
		e.dst = append(append(append(e.dst, ',', '"'), key...), `_hex":`...)
	} else {
		e.dst = append(append(append(e.dst, ' '), key...), `_hex="`...)
	}
}

// list writes several values: as a list in JSON, elsewhere with a blank between
// two. Not as several fields in the journal, which gives up an entry with more
// than 1024.
func (e *encoder) list(key string, list [][]byte) {
	if !e.want(key, len(list) != 0) {
		return
	}
	if e.form == formJSON {
		e.begin(key)
		whole := true
		e.dst, whole = appendJSONList(e.dst, list)
		if !whole {
			e.hexKey(key)
			e.dst = appendJSONHexList(e.dst, list)
		}
		return
	}
	start := len(e.dst)
	for _, b := range list {
		e.dst = append(append(e.dst, b...), ' ')
	}
	e.fromTail(key, start)
}

// extra writes keys that nobody knows: as an object in JSON, elsewhere as
// key=value with a blank between two.
func (e *encoder) extra(key string, extra []ipe.KeyValue) {
	if !e.want(key, len(extra) != 0) {
		return
	}
	if e.form == formJSON {
		e.begin(key)
		e.dst = appendJSONExtra(e.dst, extra)
		return
	}
	start := len(e.dst)
	for _, kv := range extra {
		e.dst = append(append(e.dst, kv.Key...), '=')
		e.dst = append(append(e.dst, kv.Value...), ' ')
	}
	e.fromTail(key, start)
}

// fromTail writes as a text what was put together in dst[start:], without the
// blank at its end, and takes that away: the end of dst is scratch space too.
func (e *encoder) fromTail(key string, start int) {
	end := len(e.dst)
	e.text(key, e.dst[start:end-1])
	e.dst = slices.Delete(e.dst, start, end)
}

// appendVariable appends the name of key in the journal and among environment
// variables: in upper case, with IPE_ before it, but only once.
func appendVariable(dst []byte, key string) []byte {
	if len(key) < 4 || key[:4] != "ipe_" {
		dst = append(dst, "IPE_"...)
	}
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// appendHex appends b in upper-case hex.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}
